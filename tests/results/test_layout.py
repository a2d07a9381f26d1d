"""The layout of a results folder: names that are files, and files that are names."""

from __future__ import annotations

from pathlib import Path

import pytest

from headprune.results.layout import RunFolder, run_of_cell


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_cell_is_found_by_its_files(tmp_path: Path) -> None:
    run, name = RunFolder(tmp_path), "tiny/dsp.joint+ft/k4-s1"
    cell = run.cell(name)
    assert cell.pruned == tmp_path / "cells" / name / "pruned.json"
    assert [run.cell_name(path) for path in (cell.pruned, cell.test, cell.speed, cell.model)] == [name] * 4
    assert run_of_cell(cell.path) == (run, name)
    assert run.records("test") == []
    touch(cell.test)
    assert run.records("test") == [cell.test]


def test_outputs_are_found_by_their_split(tmp_path: Path) -> None:
    cell = RunFolder(tmp_path).cell("tiny/random/k4-s1")
    valid, test = (touch(cell.outputs / f"hypotheses.{split}.txt.gz") for split in ("valid", "test"))
    assert (cell.outputs_on("valid"), cell.outputs_on("test")) == ([valid], [test])


def test_a_job_is_found_by_its_receipt(tmp_path: Path) -> None:
    run, job = RunFolder(tmp_path), "gates/tiny/dsp.joint/k4/s1"
    assert run.receipts == []
    receipt = touch(run.receipt(job))
    assert run.receipts == [receipt]
    assert run.job_of(receipt) == job
    assert run.state(job).parent == run.plan.parent == run.progress
    assert len({run.state(job).stem, run.attempts(job).name, run.lock(job).stem}) == 1


def test_records_are_told_from_manifests(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    record = touch(run.dense("tiny", 2))
    manifest = touch(run.dense_manifest("tiny", 2))
    assert run.dense_records == [record]
    assert set(run.notes) == {record, manifest}


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="it is not a results folder"):
        run.require()
    run.progress.mkdir()
    run.require()
