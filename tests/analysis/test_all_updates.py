"""Updates in all, against sums by hand; exact."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_cells import GROUP, N_HEADS
from made_up_cells import rows_of as quality_rows

from headprune.analysis.evidence import Evidence
from headprune.analysis.tables import read
from headprune.analysis.updates import TOTAL, pretrained_updates, total_updates, trained_updates

MANIFEST = {"config": {"models": {"tiny": {"training": {"updates": 100}}}}}
# Method and arm: prune_updates, prune_seconds, train_seconds, tuning_updates (None: no such row), and the sum.
CELLS = {
    ("unpruned", ""): (0, 0.0, 9.0, None, 100),
    ("magnitude", ""): (0, 0.003, 9.0, None, 100),
    ("dsp", "continued"): (40, 4.0, 9.0, None, 140),
    ("dsp", "joint"): (100, 0.0, 12.0, None, 100),
    ("l0", "joint"): (800, 0.0, 96.0, None, 800),  # a search of eight trainings from new weights
    ("l0", "continued"): (200, 20.0, 9.0, 1600, 1900),
    ("dsp", "joint+scratch"): (0, 0.0, 11.0, None, 100),  # trains once, and found no mask
    ("unpruned", "+ft"): (40, 4.0, 9.0, None, 140),
    ("magnitude", "+ft"): (40, 4.0, 9.0, None, 140),
}
NAMES = ("prune_updates", "prune_seconds", "train_seconds", "tuning_updates")


def rows_of(seed: int = 1) -> list[dict]:
    found = []
    for (method, arm), (*values, _) in CELLS.items():
        budget = N_HEADS if method == "unpruned" else 6
        rows = quality_rows({(method, arm, budget, seed): 20.0})
        costs = [(name, value) for name, value in zip(NAMES, values, strict=True) if value is not None]
        found += [*rows, *(rows[0] | {"split": "", "metric": name, "value": float(value)} for name, value in costs)]
    return found


def own_name(cell: tuple[str, str]) -> tuple[str, str]:
    """The unpruned model that trained on is an entry of its own once a table is read."""
    return ("unpruned+ft", "") if cell == ("unpruned", "+ft") else cell


def with_manifest(folder: Path, manifest: object = MANIFEST) -> Path:
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_the_start_the_mask_and_the_tuning_add_up(write: Callable) -> None:
    folder = with_manifest(write(rows_of()))
    found = total_updates(read(folder).cells, trained_updates(folder)).set_index(["method", "arm"])["value"]
    assert found.to_dict() == {own_name(cell): values[-1] for cell, values in CELLS.items()}


def test_a_pretraining_is_before_every_cell(write: Callable) -> None:
    manifest = copy.deepcopy(MANIFEST)
    manifest["config"]["models"]["tiny"]["start"] = {"checkpoint": None, "pretraining": {"updates": 7}}
    folder = with_manifest(write(rows_of()), manifest)
    assert pretrained_updates(folder) == {"tiny": 7}
    found = total_updates(read(folder).cells, trained_updates(folder), pretrained_updates(folder))
    expected = {own_name(cell): values[-1] + 7 for cell, values in CELLS.items()}
    assert found.set_index(["method", "arm"])["value"].to_dict() == expected


def test_evidence_has_them_as_they_are_and_as_a_share_of_the_unpruned(write: Callable) -> None:
    evidence = Evidence(read(with_manifest(write([*rows_of(1), *rows_of(2)]))), tuple(GROUP.values()))
    for cell, (*_, total) in CELLS.items():
        (method, arm), budget = own_name(cell), N_HEADS if cell[0] == "unpruned" else 6
        assert evidence.spent(TOTAL, (method, arm), budget) == {1: total, 2: total}
        assert evidence.cost(TOTAL, (method, arm), budget) == {1: total / 100, 2: total / 100}


def test_what_does_not_tell_enough_has_none(write: Callable) -> None:
    rows = [row for row in rows_of() if (row["method"], row["metric"]) != ("magnitude", "prune_seconds")]
    folder = write(rows)
    assert total_updates(read(folder).cells, {"other": 100}).empty
    assert set(total_updates(read(folder).cells, {"tiny": 100})["method"]) == {"unpruned", "unpruned+ft", "dsp", "l0"}


@pytest.mark.parametrize(
    "manifest", [None, "no object", {}, {"config": {"models": {"tiny": {}}}}, {"config": {"models": ["tiny"]}}]
)
def test_a_manifest_that_does_not_tell_gives_nothing(manifest: object, tmp_path: Path) -> None:
    folder = tmp_path if manifest is None else with_manifest(tmp_path, manifest)
    assert trained_updates(folder) == {}


def test_the_published_results_tell_them() -> None:
    """One training of DSP for each budget comes on top of the unpruned model, or in its place."""
    folder = Path(__file__).parents[2] / "results/published/small"
    trained = trained_updates(folder)
    assert trained == {"transformer-3x4": 2000}
    cells = read(folder).cells
    found = total_updates(cells, trained)
    dsp = found[found["method"] == "dsp"].groupby("arm")["value"].unique()
    assert dsp["joint"].tolist() == [2000]
    assert dsp["continued"].tolist() == [2400]
    assert dsp["pipelined"].tolist() == [2580]
