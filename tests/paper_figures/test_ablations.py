"""The tables of single heads, from rows made by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "paper_figures"))

import ablations  # noqa: E402

ROWS = [
    # kind, head, bleu, p
    ("drop_one", "encoder.0.0", 20.5, 0.2),
    ("drop_one", "encoder.0.1", 18.0, 0.004),
    ("drop_one", "encoder.1.1", 20.0, 1.0),
    ("keep_one", "cross.0.0", 10.0, 0.001),
    ("keep_one", "cross.0.1", 19.5, 0.01),
]


def rows() -> pd.DataFrame:
    table = pd.DataFrame(ROWS, columns=["kind", "head", "value", "p_value"])
    place = table["head"].str.split(".", expand=True)
    table = table.assign(type=place[0], layer=place[1].astype(int), index=place[2].astype(int))
    table = table.assign(model="m", seed=1, unpruned=20.0, metric="bleu")
    return table.assign(difference=table["value"] - table["unpruned"])


def test_drop_one_is_layer_by_head_and_keep_one_the_best_of_each_module() -> None:
    (drop, header, body), (keep, columns, best) = ablations.tables(rows())
    assert header == ["encoder layer", "head 0", "head 1"]
    assert body == [["0", "+0.50", "−2.00*"], ["1", "–", "+0.00"]]
    assert columns == ["layer", "cross"]
    assert best == [["0", "−0.50"]]  # p = 0.01 is not below 0.01
    assert "20.00; m, seed 1" in drop
    assert "best head of each module" in keep
