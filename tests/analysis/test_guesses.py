"""Accuracies that guesses reach are not the best of anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import accumulate
from math import comb
from pathlib import Path

import pytest
from made_up_cells import rows_of

from headprune.analysis.tables import quality_in, read
from headprune.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "paper_figures"))

import results_table  # noqa: E402

LABELS = {"contradiction": 30, "entailment": 40, "neutral": 30}
GROUP = {"profile": "p", "track": "nli", "dataset": "pairs", "model": "tiny"}
VALUES = {  # of three seeds: K = 8 above what guesses reach, K = 4 not
    ("unpruned", "", 16, 0.80): 0.01,
    ("a", "", 8, 0.60): 0.01,
    ("b", "", 8, 0.50): 0.01,
    ("a", "", 4, 0.46): 0.01,
    ("b", "", 4, 0.40): 0.0,
}


@pytest.fixture
def folder(write: Callable[..., Path]) -> Path:
    values = {(*line, seed): value + (seed - 2) * step for (*line, value), step in VALUES.items() for seed in (1, 2, 3)}
    found = write(rows_of(values, GROUP, "accuracy"))
    data = {"pairs": {"splits": {"test": {"examples": 100, "labels": LABELS}}}}
    (found / "manifest.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    return found


def test_the_floor_is_the_quantile_of_guesses(folder: Path) -> None:
    """The least count of right guesses of 100, each right with 0.4, that 95 % of test sets at least do not exceed."""
    below = accumulate(comb(100, right) * 0.4**right * 0.6 ** (100 - right) for right in range(101))
    least = next(right for right, share in enumerate(below) if share >= 0.95)
    assert quality_in(read(folder), ("p", "nli", "pairs", "tiny")).floor == least / 100 == 0.48


def test_nothing_is_bold_where_guesses_do_as_well(folder: Path) -> None:
    results = read(folder)
    table = results_table.summarise(results, results.groups()[0]).set_index(["method", "budget"])
    assert table["best"].to_dict() == {
        ("unpruned", 16): False,
        ("a", 8): True,
        ("b", 8): False,
        ("a", 4): False,
        ("b", 4): False,
    }
    assert "or less than 0.48 share of examples" in results_table.opening_of(
        [quality_in(results, results.groups()[0])], 3
    )


def test_what_does_not_count_labels_has_the_floor_of_its_metric(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    assert quality_in(read(folder), ("p", "nli", "pairs", "tiny")).floor is None
    assert quality_in(read(folder), ("p", "mt", "pairs", "tiny")).floor == TASKS["mt"].outputs.qualities[0].floor == 2.0
