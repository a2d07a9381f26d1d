"""Calls of Snakemake as they are noted, and what it takes to give the last one again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headprune.config import ConfigError
from headprune.pipeline import calls, history
from headprune.pipeline.store import write_json
from headprune.results.layout import RunFolder
from tests.found import Found, rows

SQUEUE = """#!/bin/sh
echo "squeue $*" >> {notes}
[ -e {gone} ] || echo 7
"""
SCANCEL = """#!/bin/sh
echo "scancel $*" >> {notes}
touch {gone}
"""


def call(**changes: Any) -> dict[str, Any]:
    here = {"host": socket.gethostname(), "pid": 2**22 + 1, "directory": ".", "logs": []}
    return {"arguments": ["tables", "--cores", "2"], **here, **changes}


def test_a_call_is_noted_with_what_repeats_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["/bin/snakemake", "--configfile", "a b.yaml"])
    calls.note(tmp_path, 3, ["log.txt"])
    (noted,) = calls.calls(tmp_path)
    assert noted["command"] == "snakemake --configfile 'a b.yaml'"
    assert noted["arguments"] == ["--configfile", "a b.yaml"]
    assert (noted["directory"], noted["logs"]) == (str(tmp_path), [str(tmp_path / "log.txt")])
    assert (noted["pid"], noted["cores"]) == (os.getpid(), 3)


def test_half_done_work_is_done_again() -> None:
    unlock, again = calls.commands(call())
    assert unlock[1:] == ["-m", "snakemake", "--quiet", "all", "--unlock", "tables", "--cores", "2"]
    assert again[1:] == ["-m", "snakemake", "--rerun-incomplete", "tables", "--cores", "2"]
    assert calls.commands(call(arguments=["--rerun-incomplete"]))[1][3:] == ["--rerun-incomplete"]


def test_without_a_call_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="notes no call of snakemake"):
        calls.resume(tmp_path, False, print)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"arguments": []}', '[{"command": "snakemake"}]'])
def test_damaged_notes_are_no_calls(content: str, tmp_path: Path) -> None:
    """The next call is noted all the same; none can be given again."""
    RunFolder(tmp_path).calls.parent.mkdir()
    RunFolder(tmp_path).calls.write_text(content)
    with pytest.raises(ConfigError, match=r"notes no call of snakemake \(progress/calls\.json\)"):
        calls.resume(tmp_path, False, print)
    calls.note(tmp_path, 3)
    assert [noted["cores"] for noted in calls.calls(tmp_path)] == [3]
    assert history.history(RunFolder(tmp_path))["calls"][-1]["cores"] == 3


@rows(
    Found("copied", wrong="acts on the original", right="it was copied from there", source="the note", case=True),
    Found("moved", wrong="a bare ENOENT", right="it was moved since", source="the note", case=False),
)
def test_a_copied_or_moved_folder_is_not_resumed(found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command would compute in the other folder; the error names both and the command."""
    original, here = tmp_path / "work/results/quick", tmp_path / "other/results/quick"
    original.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("sys.argv", ["/bin/snakemake", "--configfile", "a b.yaml"])
    calls.note(Path("results/quick"), 2)
    monkeypatch.chdir(tmp_path)
    if found.case:
        shutil.copytree(tmp_path / "work", tmp_path / "other")
    else:
        (tmp_path / "work").rename(tmp_path / "other")
    with pytest.raises(ConfigError) as caught:
        calls.resume(here, False, print)
    for part in (found.right, str(original), str(here), "snakemake --rerun-incomplete --configfile 'a b.yaml'"):
        assert part in str(caught.value)


def test_a_folder_is_known_by_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "results")
    noted = call(folder=str(tmp_path / "results"), directory=str(tmp_path))
    calls.require_place(noted, tmp_path / "link")
    with pytest.raises(ConfigError, match="its last call was made in .*gone"):
        calls.require_place(noted | {"directory": str(tmp_path / "gone")}, tmp_path / "link")


def test_a_call_that_still_runs_is_left_alone(tmp_path: Path) -> None:
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, "snakemake"], stdin=subprocess.PIPE) as process:
        write_json(RunFolder(tmp_path).calls, [call(pid=process.pid)])
        with pytest.raises(ConfigError, match=f"still runs, as process {process.pid}"):
            calls.resume(tmp_path, False, print)
        process.communicate()
    calls.require_over(call(pid=process.pid), False)


def test_a_number_that_is_another_process_now_is_no_call() -> None:
    calls.require_over(call(pid=1), False)


def test_nobody_knows_of_a_call_on_another_machine() -> None:
    with pytest.raises(ConfigError, match="made on elsewhere: resume it there"):
        calls.require_over(call(host="elsewhere"), False)
    calls.require_over(call(host="elsewhere"), True)


def test_slurm_jobs_are_known_by_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert calls.slurm_run(call(logs=[str(log)])) is None
    log.write_text("Building DAG of jobs...\nSLURM run ID: 35a02312-1\nmore\n")
    assert calls.slurm_run(call(logs=[str(log)])) == "35a02312-1"


def test_slurm_jobs_are_cancelled_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes, gone = tmp_path / "notes", tmp_path / "gone"
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text.format(notes=notes, gone=gone))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    calls.cancel("run-1", print)
    asked = "squeue --noheader --name run-1 --format %i"
    assert notes.read_text().splitlines() == [asked, "scancel 7", asked]


def test_slurm_jobs_that_cannot_be_cancelled_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no scancel here"):
        calls.cancel("run-1", print)
