"""Finding published results, and what they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_cells import GROUP, rows_of

from headprune.analysis.published import contents, find, tables
from headprune.analysis.topics import Contents
from headprune.results.schema import read_cells

ROOT = Path(__file__).parents[2]


def test_names_and_folders(write: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = GROUP | {"method": "dsp", "arm": "joint", "budget": 4, "seed": 1, "head": "cross.0.0", "type": "cross"}
    folder = write(rows_of({("dsp", "joint", 4, 1): 1.0}), [head | {"layer": 0, "index": 0, "kept": True}], "merged")
    assert find("quick", ROOT) == {"quick": ROOT / "results/published/quick"}
    assert find(["quick", str(folder)], ROOT) == {"quick": ROOT / "results/published/quick", "merged": folder}
    assert [path.name for path in tables(folder)] == ["cells.parquet", "masks.parquet"]
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find("~/merged", ROOT) == {"merged": folder}
    with pytest.raises(ValueError, match="'quick' is the second of the name 'quick'"):
        find(["quick", "quick"], ROOT)
    with pytest.raises(
        ValueError, match="unknown results './nowhere'; available: multi30k-core, multi30k-frozen, quick, small"
    ):
        find("./nowhere", ROOT)
    with pytest.raises(ValueError, match="no results are named"):
        find([], ROOT)
    (folder / "masks.parquet").unlink()
    with pytest.raises(ValueError, match="merged is no results folder: masks.parquet not found"):
        find([str(folder)], ROOT)


def test_committed_results_are_few_files() -> None:
    """Tables of outputs, not files and folders of every cell; nothing twice."""
    folders = [path.parent for path in (ROOT / "results" / "published").glob("*/cells.parquet")]
    assert len(folders) >= 2
    for folder in folders:
        files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        assert len(files) < 60
        assert not [path for path in files if path.parts[0] == "segments" or path.name == "cells.csv"]
        models = set(read_cells(folder)["model"])
        assert {path.stem for path in files if path.parts[0] == "outputs"} == models


def test_contents(write: Callable) -> None:
    plain = {("magnitude", "", 4, 1): 1.0, ("gradient_importance", "one_shot", 4, 1): 1.0}
    folder = write(rows_of(plain))
    assert contents(folder) == Contents(lines=frozenset({("magnitude", ""), ("gradient_importance", "one_shot")}))
    (folder / "trials.csv").write_text("profile,model\n")
    (folder / "ablations.csv").write_text("profile,model\nunit,tiny\n")
    more = {
        ("unpruned", "", 12, 1): 1.0,
        ("magnitude", "+ft", 4, 1): 1.0,
        ("random", "draw1", 4, 1): 1.0,
        ("random", "draw2", 4, 1): 1.0,
        ("gradient_importance", "signed", 4, 1): 1.0,
    }
    found = contents(write(rows_of(plain | more)))
    gradient = {("gradient_importance", "one_shot"), ("gradient_importance", "signed")}
    lines = frozenset({("magnitude", ""), ("random", ""), *gradient})
    assert found == Contents(lines=lines, treatments=True, ablations=True)
