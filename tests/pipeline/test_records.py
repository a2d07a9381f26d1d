"""Reading what is lost, cut, empty or somebody else's: an error that names the file, or a row that says why."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from headprune.pipeline import progress, records, store
from headprune.pipeline.context import execution_of
from headprune.pipeline.inventory import Inventory
from headprune.pipeline.records import DamagedError
from headprune.pipeline.store import is_kept, kept_or_computed, read_json, write_json
from headprune.pipeline.supervisor import ATTEMPTS, Supervisor
from headprune.results.layout import RunFolder
from headprune.results.provenance import file_sha256
from headprune.system import stopping
from tests.found import Found, rows

WHOLE = {"status": "ok", "reason": "", "signature": "0123", "latency_ms": {}, "throughput": {}, "batch_size": 2}
PARSER = "Expecting value: line 1 column 1 (char 0)"


@rows(
    Found("empty", wrong=PARSER, right="is empty", source="the file", case=b""),
    Found("cut", wrong="Expecting", right="cannot be read: no JSON", source="RFC 8259", case=b'{"status": "o'),
    Found("a list", wrong="list indices must be", right="holds a JSON list", source="the file", case=b"[1, 2]"),
    Found("a number", wrong="'int' object", right="holds a JSON int", source="the file", case=b"7"),
    Found("other bytes", wrong="codec can't decode", right="it is no UTF-8", source="RFC 8259", case=b"\xff\xfe"),
    Found("no status", wrong="KeyError", right="status None is unknown", source="store", case=b'{"reason": ""}'),
    Found("an odd status", wrong="KeyError", right="status [1] is unknown", source="store", case=b'{"status": [1]}'),
    Found(
        "another kind of record",
        wrong="KeyError: 'latency_ms'",
        right="no record of kind 'speed': it lacks latency_ms, throughput, batch_size",
        source="records.PROMISED",
        case=b'{"status": "ok", "reason": ""}',
    ),
    Found("deep", wrong="RecursionError", right="cannot be read", source="the file", case=b"[" * 100_000),
    Found("nothing", wrong="No such file", right="is lost", source="the folder", case=None),
)
def test_what_is_no_record_is_told_by_the_name_of_its_file(found: Found, tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    if found.case is not None:
        path.write_bytes(found.case)
    with pytest.raises(DamagedError) as caught:
        records.read(path, "speed")
    assert str(caught.value).startswith(f"{path} ")
    assert found.right in str(caught.value)
    assert not str(caught.value).startswith(found.wrong)
    row = records.find(path, "speed")
    assert (row["status"], row["signature"]) == ("missing", "")
    assert row["reason"] == (str(caught.value) if path.exists() else records.MISSING["reason"])
    assert records.hint(path) == (json.loads(found.case) if (found.case or b"").endswith(b"}") else {})


def test_a_folder_in_the_place_of_a_record(tmp_path: Path) -> None:
    (tmp_path / "speed.json").mkdir()
    with pytest.raises(DamagedError, match=r"speed\.json cannot be read: Is a directory"):
        records.read(tmp_path / "speed.json", "speed")


def test_a_whole_record_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "speed.json", WHOLE)
    assert records.read(tmp_path / "speed.json", "speed") == WHOLE == records.find(tmp_path / "speed.json", "speed")


@pytest.mark.parametrize("how", ["kept", "lost", "replaced", "emptied"])
def test_a_record_is_kept_with_the_files_that_came_with_it(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model, made = tmp_path / "cell/pruned.json", tmp_path / "cell/model.pt", list[str]()

    def compute() -> dict[str, Any]:
        made.append(how)
        model.parent.mkdir(exist_ok=True)
        model.write_bytes(b"weights")
        return {"files": records.checksums(path, [model])}

    kept_or_computed(path, "0123", compute)
    if how == "lost":
        model.unlink()
    elif how != "kept":
        model.write_bytes(b"others" if how == "replaced" else b"")
    assert is_kept(path, "0123") == (how == "kept")
    kept_or_computed(path, "0123", compute)
    assert len(made) == (1 if how == "kept" else 2)
    assert model.read_bytes() == b"weights"
    told = capsys.readouterr().out
    assert (f"{model} " in told and told.count("\n") == 1) if how != "kept" else not told


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"7", b'{"attempts": "many"}'])
def test_notes_of_progress_are_done_without(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "progress"
    folder.mkdir()
    for name in ("plan", "overview", "execution", "dense-tiny-s1"):
        (folder / f"{name}.json").write_bytes(content)
    assert progress.overview(tmp_path) is None
    assert progress.recent_overview(tmp_path) == ""
    assert execution_of(RunFolder(tmp_path)).attempts == ATTEMPTS
    assert Supervisor([], {"results": str(tmp_path), "job": "a", "kind": "data"}, tmp_path / "a").attempts == ATTEMPTS
    assert RunFolder(tmp_path).execution.exists()


@rows(
    Found("written a moment ago", wrong="", right="as it was", source="the file", case=(0.0, 1.0)),
    Found(
        "written tomorrow",
        wrong="as it was",
        right="0/1 cells pruned, 0 tested, 0/1 jobs",
        source="the run",
        case=(86_400.0, 1.0),
    ),
    Found(
        "took for ever",
        wrong="as it was",
        right="0/1 cells pruned, 0 tested, 0/1 jobs",
        source="the run",
        case=(-3_600.0, 1e9),
    ),
)
def test_the_progress_line_moves_on(found: Found, tmp_path: Path) -> None:
    """Whatever clock wrote the line before."""
    jobs = {"jobs/dense/tiny/s1.json": {"name": "dense/tiny/s1", "estimate": 10.0}}
    write_json(tmp_path / "progress/plan.json", {"jobs": jobs, "cells": ["tiny/random/k4-s1"], "cores": 1})
    path, (offset, took) = tmp_path / "progress/overview.json", found.case
    write_json(path, {"text": "as it was", "took": took})
    os.utime(path, (time.time() + offset, time.time() + offset))
    assert progress.recent_overview(tmp_path).startswith(found.right)
    assert read_json(path)["text"].startswith(found.right)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES])
def test_what_cannot_be_read_now_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Neither a record nor a file that came with it is forgotten then, or computed again."""
    path, model = tmp_path / "pruned.json", tmp_path / "model.pt"
    model.write_bytes(b"weights")
    record = {"status": "ok", "reason": "", "signature": "s", "files": records.checksums(path, [model])}
    write_json(path, record)

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    for owner, name in ((Path, "read_text"), (records, "file_sha256")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            with pytest.raises(OSError, match=os.strerror(number)):
                store.is_kept(path, "s")
    assert store.is_kept(path, "s")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ESTALE, errno.EACCES])
def test_a_full_disk_is_left_to_the_next_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A watched job ends then; a refusal, which does not pass, is a row."""

    def fails() -> Any:
        raise OSError(number, os.strerror(number))

    assert store.kept_or_computed(tmp_path / "a.json", "s", fails)["status"] == "failed"
    monkeypatch.setattr(store, "PAUSE", 0.0)
    monkeypatch.setattr(store.ledger, "folder", tmp_path)
    if number == errno.EACCES:
        assert store.kept_or_computed(tmp_path / "b.json", "s", fails)["status"] == "failed"
        return
    with pytest.raises(stopping.Stopped):
        store.kept_or_computed(tmp_path / "b.json", "s", fails)
    assert not (tmp_path / "b.json").exists()
    assert list(records.load(tmp_path / "underway.json")) == [str(tmp_path / "b.json")]


@pytest.mark.parametrize("now", ["magnitude", "all-score"])
def test_of_two_jobs_for_one_record_that_of_the_plan_counts(tmp_path: Path, now: str) -> None:
    """Batches of another kind left a receipt of the same cell, of the record that was there then."""
    run, cell = RunFolder(tmp_path), "tiny/magnitude/k8-s1"
    record = run.cell(cell).pruned
    write_json(record, {"status": "failed", "reason": "new", "signature": "new"})
    for name in ("magnitude", "all-score"):
        row = {"signature": "new", "status": "failed", "sha256": file_sha256(record)}
        rows = {cell: row if name == now else row | {"signature": "old", "sha256": 64 * "0"}}
        write_json(run.receipt(f"score/tiny/{name}/s1"), {"status": "ok", "reason": "", "cells": rows})
    write_json(run.plan, {"jobs": {f"score/tiny/{now}/s1": {"name": "", "estimate": 1}}, "cells": [], "cores": 1})
    found = Inventory(tmp_path)
    assert found.find(record, "pruned")["reason"] == "new"
    assert record not in {damage.path for damage in found.damages()}
