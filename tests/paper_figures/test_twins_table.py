"""The table of masks against their random twins, of the published results."""

from __future__ import annotations

from math import comb, prod
from pathlib import Path

import pandas as pd
import twins

from headprune.system.bundled import PACKAGE

SMALL = PACKAGE.parent / "results" / "published" / "small"


def test_published_twins(tmp_path: Path) -> None:
    """The number of masks is counted again from the table of masks; what is bound has no difference and says so."""
    assert twins.main([str(SMALL), str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "twins.csv", dtype={"twins_masks": str})
    masks = pd.read_parquet(SMALL / "masks.parquet")
    own = masks[(masks["method"] == "dsp") & (masks["arm"] == "joint") & (masks["budget"] == 16)]
    counts = own.groupby(["seed", "type", "layer"], observed=True)["kept"].agg(["sum", "size"])
    number = min(prod(comb(int(n), int(k)) for k, n in part.to_numpy()) for _, part in counts.groupby("seed"))
    row = table[(table["method"] == "dsp") & (table["arm"] == "joint") & (table["budget"] == 16)].iloc[0]
    assert row["twins_masks"] == str(number)
    bound = (table["twins_masks"].map(int) < 20) | (table["twins_expected"] > 0.8 * table["heads_kept"] + 1e-9)
    assert bound.any() and not bound.all()
    assert table.loc[bound, "improvement"].isna().all() and table.loc[~bound, "improvement"].notna().all()
    few = table["twins_masks"].map(int) < 20
    assert few.any() and (bound & ~few).any()
    assert (table["verdict"].str.contains("too little freedom: .*a seed's mask is one of") == few).all()
    assert table.loc[bound & ~few, "verdict"].str.startswith("too little freedom: twins share").all()


def test_no_twins(tmp_path: Path) -> None:
    assert twins.main([str(SMALL.with_name("quick")), str(tmp_path), "--arms", "random"]) == 0
    assert "No random twins" in (tmp_path / "twins.md").read_text(encoding="utf-8")
