"""The tables of single heads, from rows made by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "paper_figures"))

import ablations  # noqa: E402

ROWS = [
    # kind, head, bleu, p, segments in which outputs differ
    ("drop_one", "encoder.0.0", 20.5, 0.2, 50),
    ("drop_one", "encoder.0.1", 18.0, 0.004, 10),
    ("drop_one", "encoder.1.0", 18.0, 0.004, 9),
    ("drop_one", "encoder.1.1", 20.0, 1.0, 0),
    ("keep_one", "cross.0.0", 10.0, 0.001, 50),
    ("keep_one", "cross.0.1", 19.5, 0.01, 50),
]


def rows() -> pd.DataFrame:
    table = pd.DataFrame(ROWS, columns=["kind", "head", "value", "p_value", "segments_differing"])
    place = table["head"].str.split(".", expand=True)
    table = table.assign(type=place[0], layer=place[1].astype(int), index=place[2].astype(int))
    return table.assign(model="m", seed=1, unpruned=20.0, metric="bleu")


def test_drop_one_is_layer_by_head_and_keep_one_the_best_of_each_module() -> None:
    (drop, header, body), (keep, columns, best) = ablations.tables(rows())
    assert header == ["encoder layer", "head 0", "head 1"]
    assert body == [["0", "+0.50", "−2.00*"], ["1", "−2.00", "+0.00"]]
    assert columns == ["layer", "cross"]
    assert best == [["0", "−0.50"]]  # p = 0.01 is not below 0.01
    assert "20.00; m, seed 1" in drop
    assert "best head of each module" in keep


def test_nothing_is_starred_without_the_number_of_segments_that_differ() -> None:
    (_, _, body), _ = ablations.tables(rows().assign(segments_differing=float("nan")))
    assert body == [["0", "+0.50", "−2.00"], ["1", "−2.00", "+0.00"]]


def test_perplexities_differ_by_their_logarithm() -> None:
    """ln(18 / 20) = −0.105: a lower perplexity is a smaller one."""
    (_, _, body), _ = ablations.tables(rows().assign(metric="perplexity"))
    assert body[0] == ["0", "+0.025", "−0.105*"]
