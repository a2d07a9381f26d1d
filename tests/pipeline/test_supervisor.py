"""The parent of a job: real processes that end, hang, kill themselves, are asked to stop, or lose their parent.

The job is a stand-in that computes one record per cell with the functions that the jobs of the DAG use.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headprune.pipeline.attempts import record_paths
from headprune.pipeline.cells import Cell
from headprune.pipeline.failures import ended_by_error
from headprune.pipeline.store import read_json, write_json
from headprune.pipeline.supervisor import Supervisor
from headprune.results.layout import RunFolder
from headprune.system.stopping import EXIT_STATUS
from tests.found import Found, rows

CHILD = """
import json, os, signal, sys, time
from pathlib import Path
from headprune.system import stopping
from headprune.pipeline.store import kept_or_computed, ledger, read_json, write_json

stopping.die_with_parent()
stopping.listen()
if fault := json.loads(sys.argv[3]):  # before anything is computed
    os._exit(int(fault))
ledger.open(Path(os.environ["HEADPRUNE_SUPERVISED"]))

def compute(path, fault):
    with open(path + ".tries", "a") as file:
        file.write("x")
    Path(path + ".pid").write_text(str(os.getpid()))
    if fault == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if fault == "slow":
        time.sleep(2)
    if fault in ("hang", "deaf"):
        time.sleep(60)
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "exit":
        os._exit(3)
    if fault.isdigit():
        os._exit(int(fault))
    if fault == "sys.exit":
        sys.exit(0)
    if fault == "interrupt":
        raise KeyboardInterrupt
    if fault == "SIGTERM":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    return {"value": fault}

cells = json.loads(sys.argv[1])
for path, fault in cells.values():
    kept_or_computed(Path(path), "signature", lambda: compute(path, fault))
statuses = {cell: read_json(Path(path))["status"] for cell, (path, _) in cells.items()}
told = {f"tiny/{cell}/k4-s1": {"status": status} for cell, status in statuses.items()}
write_json(Path(sys.argv[2]), {"status": "ok", "cells": told})
"""
PARENT = """
import json, sys
from pathlib import Path
from headprune.pipeline.supervisor import Supervisor

command, spec, receipt, attempt, seconds = json.loads(sys.argv[1])
sys.exit(Supervisor(command, spec, Path(receipt), attempt, seconds).run())
"""


@dataclass
class Job:
    """A job with a fault per cell, in a results folder."""

    results: Path
    faults: dict[str, str]
    start: int | str = 0  # exit status before anything is computed
    kind: str = "score"

    @property
    def spec(self) -> dict[str, Any]:
        cells = [vars(Cell("tiny", name, "", 0, 4, 1, 12)) for name in self.faults]
        return {"results": str(self.results), "job": "score/tiny/all/s1", "kind": self.kind, "cells": cells}

    @property
    def receipt(self) -> Path:
        return self.results / "jobs/score/tiny/all/s1.json"

    def path(self, name: str) -> Path:
        return self.results / f"cells/tiny/{name}/k4-s1/pruned.json"

    def launch(self, attempt: int = 1, seconds: float | None = 60) -> subprocess.Popen[bytes]:
        cells = {name: [str(self.path(name)), fault] for name, fault in self.faults.items()}
        for name in self.faults:
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", CHILD, json.dumps(cells), str(self.receipt), json.dumps(self.start)]
        call = json.dumps([command, self.spec, str(self.receipt), attempt, seconds])
        return subprocess.Popen([sys.executable, "-c", PARENT, call])

    def attempt(self, number: int = 1, seconds: float | None = 60) -> int:
        return self.launch(number, seconds).wait(timeout=120)

    def outcome(self, name: str) -> tuple[str, str]:
        record = read_json(self.path(name))
        return record["status"], record["reason"]

    def told(self) -> dict[str, str]:
        """The status of every cell in the receipt."""
        return {cell.split("/")[1]: found["status"] for cell, found in read_json(self.receipt)["cells"].items()}

    def tries(self, name: str) -> int:
        path = Path(f"{self.path(name)}.tries")
        return len(path.read_text(encoding="utf-8")) if path.exists() else 0

    def wait_for(self, name: str) -> int:
        """The process that computes a cell, once it does."""
        path = Path(f"{self.path(name)}.pid")
        deadline = time.monotonic() + 60
        while not (path.exists() and path.read_text(encoding="utf-8")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return int(path.read_text(encoding="utf-8"))


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """`job(faults, attempts)`"""

    def job(faults: dict[str, str], attempts: int = 1, **changes: Any) -> Job:
        write_json(RunFolder(tmp_path).execution, {"attempts": attempts})
        return Job(tmp_path, faults, **changes)

    return job


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except OSError:
        return False


def test_a_job_that_ends_leaves_its_receipt_and_nothing_else(job: Callable[..., Job]) -> None:
    run = job({"a": "ok", "b": "ok"})
    assert run.attempt() == 0
    assert set(run.told()) == {"a", "b"}
    assert not any((run.results / "attempts").iterdir())


def test_every_attempt_hands_its_specification_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a long text, to a process that is killed and to the one after it."""
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)  # this process keeps its own
    given, count = "x" * 1_000_000, tmp_path / "count"
    child = """
import json, os, signal, sys
from pathlib import Path
read, count = len(sys.stdin.read()), Path(sys.argv[1])
before = count.read_text() if count.exists() else ""
count.write_text(f"{before}{read} ")
if not before:
    underway = json.dumps({f"{count}.json": "signature"})
    Path(os.environ["HEADPRUNE_SUPERVISED"], "underway.json").write_text(underway)
    os.kill(os.getpid(), signal.SIGKILL)
Path(sys.argv[2]).write_text('{"status": "ok", "reason": "", "cells": {}}')
"""
    write_json(RunFolder(tmp_path).execution, {"attempts": 1})
    spec = {"results": str(tmp_path), "job": "score/tiny/all/s1", "kind": "score", "cells": []}
    command = [sys.executable, "-c", child, str(count), str(tmp_path / "receipt")]
    codes = [Supervisor(command, spec, tmp_path / "receipt", n, 60, given).run() for n in (1, 2)]
    assert codes == [EXIT_STATUS, 0]
    assert count.read_text() == "1000000 1000000 "


def test_an_attempt_waits_for_one_that_outlived_its_snakemake(job: Callable[..., Job]) -> None:
    run = job({"a": "slow", "b": "ok"})
    orphan = run.launch()
    run.wait_for("a")
    follower = run.launch()
    assert (orphan.wait(timeout=120), follower.wait(timeout=120)) == (0, 0)
    assert [run.tries(name) for name in run.faults] == [1, 1]
    assert set(run.told()) == {"a", "b"}


def test_an_attempt_waits_no_longer_than_it_has_time(job: Callable[..., Job]) -> None:
    run = job({"a": "hang"})
    orphan = run.launch()
    run.wait_for("a")
    assert run.attempt(seconds=5) == EXIT_STATUS
    assert run.tries("a") == 1
    orphan.terminate()
    assert orphan.wait(timeout=120) == EXIT_STATUS


@pytest.mark.parametrize(("fault", "reason"), [("kill", "killed by SIGKILL"), ("exit", "died with exit status 3")])
def test_what_dies_is_given_up_after_its_attempts_and_the_rest_is_computed(
    job: Callable[..., Job], fault: str, reason: str
) -> None:
    run = job({"a": "ok", "bad": fault, "c": "ok"}, attempts=2)
    for number in (1, 2):
        assert run.attempt(number) == EXIT_STATUS
        assert not run.receipt.exists()
    assert run.attempt(3) == 0
    status, why = run.outcome("bad")
    assert (status, run.outcome("a")[0], run.outcome("c")[0]) == ("failed", "ok", "ok")
    assert reason in why
    assert "attempt 2 of 2" in why
    assert [run.tries(name) for name in ("a", "bad", "c")] == [1, 2, 1]
    assert run.told()["bad"] == "failed"


STATUS_0 = "ended with exit status 0 before its work was done"


@rows(
    Found("os._exit(0)", "done, without a row", STATUS_0, "status 0 promises a receipt", "0"),
    Found("os._exit(75), the status of a request to stop", "no row, for ever", "exit status 75", "nobody asked", "75"),
    Found("SIGTERM to itself in every attempt", "no row, for ever", "exit status 75", "nobody asked", "SIGTERM"),
)
def test_what_ends_its_process_by_a_status_of_success_or_a_request_is_a_row(
    job: Callable[..., Job], found: Found
) -> None:
    run = job({"a": "ok", "bad": found.case, "c": "ok"})
    before = {f"tiny/{name}/k4-s1": {"status": "ok"} for name in run.faults}
    write_json(run.receipt, {"status": "ok", "reason": "", "cells": before})
    assert run.attempt(1) == EXIT_STATUS
    assert not run.receipt.exists()
    assert run.attempt(2) == 0
    status, why = run.outcome("bad")
    assert status == "failed"
    assert found.right in why
    assert run.told() == {"a": "ok", "bad": "failed", "c": "ok"}


@rows(
    Found("sys.exit(0)", "done, without a row", "tries to end the process: sys.exit(0)", "a row", "sys.exit"),
    Found("KeyboardInterrupt", "a death", "tries to end the process: raises KeyboardInterrupt", "a row", "interrupt"),
)
def test_what_tries_to_end_its_process_is_a_row_at_once(job: Callable[..., Job], found: Found) -> None:
    run = job({"a": "ok", "bad": found.case, "c": "ok"})
    assert run.attempt(1) == 0
    assert run.outcome("bad") == ("failed", f"SelfEndedError: {found.right}")
    assert run.told() == {"a": "ok", "bad": "failed", "c": "ok"}


@pytest.mark.parametrize("receipt", [None, "", "[1, 2]", '{"reason": ""}', '{"status": "ok", "cells": {}}'])
def test_status_0_without_a_complete_receipt_is_not_done(tmp_path: Path, receipt: str | None) -> None:
    spec = {"results": str(tmp_path), "job": "score/tiny/all/s1", "kind": "score"}
    spec["cells"] = [vars(Cell("tiny", "a", "", 0, 4, 1, 12))]
    if receipt is not None:
        (tmp_path / "receipt").write_text(receipt)
    supervisor = Supervisor([], spec, tmp_path / "receipt")
    assert not supervisor._is_complete()
    write_json(tmp_path / "receipt", {"status": "ok", "reason": "", "cells": {"tiny/a/k4-s1": {"status": "failed"}}})
    assert supervisor._is_complete()
    write_json(tmp_path / "receipt", {"status": "failed", "reason": "the job as a whole"})
    assert supervisor._is_complete()


def test_every_cell_that_dies_is_given_up_in_turn(job: Callable[..., Job]) -> None:
    run = job({"bad": "kill", "b": "ok", "worse": "exit", "d": "ok"})
    assert run.attempt(1) == EXIT_STATUS
    assert run.attempt(2) == 0
    assert [run.outcome(name)[0] for name in run.faults] == ["failed", "ok", "failed", "ok"]


@pytest.mark.parametrize("fault", ["hang", "deaf"])
def test_what_exceeds_its_time_becomes_a_timeout(job: Callable[..., Job], fault: str) -> None:
    run = job({"a": "ok", "slow": fault, "c": "ok"})
    assert run.attempt(1, seconds=5) == EXIT_STATUS
    assert run.attempt(2) == 0
    assert run.outcome("slow")[0] == "timeout"
    assert "time limit of" in run.outcome("slow")[1]
    assert run.outcome("c")[0] == "ok"


def test_what_gets_no_time_because_of_others_is_told(job: Callable[..., Job]) -> None:
    run = job({"a": "ok", "slow": "hang", "slower": "hang", "d": "ok"})
    assert run.attempt(1, seconds=4) == EXIT_STATUS
    assert run.attempt(2, seconds=4) == 0
    assert [run.outcome(name)[0] for name in run.faults] == ["ok", "timeout", "timeout", "timeout"]
    statuses = [cell["status"] for cell in read_json(run.receipt)["cells"].values()]
    assert statuses == ["ok", "timeout", "timeout", "timeout"]


def test_a_request_to_stop_is_passed_on_and_is_nobodys_failure(job: Callable[..., Job]) -> None:
    run = job({"a": "ok", "slow": "hang"})
    for number in (1, 2):
        parent = run.launch(number)
        child = run.wait_for("slow")
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(timeout=60) == EXIT_STATUS
        assert not alive(child)
        Path(f"{run.path('slow')}.pid").unlink()
    assert not run.receipt.exists()
    assert not run.path("slow").exists()
    run.faults["slow"] = "ok"
    assert run.attempt(3) == 0
    assert run.outcome("slow")[0] == "ok"


def test_a_job_goes_with_its_parent_and_the_next_attempt_knows(job: Callable[..., Job]) -> None:
    """The parent is killed, as when a scheduler kills all processes of a job or the node fails."""
    run = job({"a": "ok", "bad": "deaf", "c": "ok"})
    parent = run.launch(1)
    child = run.wait_for("bad")
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)
    assert run.attempt(2) == 0
    status, reason = run.outcome("bad")
    assert status == "failed"
    assert "vanished with its parent on" in reason
    assert run.outcome("c")[0] == "ok"


def test_a_first_attempt_knows_nothing_of_earlier_runs(job: Callable[..., Job]) -> None:
    run = job({"bad": "kill"})
    assert run.attempt(1) == EXIT_STATUS
    run.faults["bad"] = "ok"
    assert run.attempt(1) == 0
    assert run.outcome("bad")[0] == "ok"


def test_a_job_that_dies_before_it_computes_gives_up_all(job: Callable[..., Job]) -> None:
    run = job({"a": "ok", "b": "ok"}, start=9)
    write_json(run.path("a"), {"signature": "of another code", "status": "ok", "reason": ""})
    assert run.attempt(1) == EXIT_STATUS
    assert run.attempt(2) == 0
    assert [run.outcome(name)[0] for name in run.faults] == ["failed", "failed"]


@pytest.mark.parametrize(("start", "status"), [(9, 9), ("0", 1)])
def test_without_data_the_run_ends(job: Callable[..., Job], start: int | str, status: int) -> None:
    run = job({"a": "ok"}, start=start, kind="data")
    assert [run.attempt(1), run.attempt(2)] == [status, status]
    assert not run.receipt.exists()


@rows(
    Found("an error of its input", "three attempts", "one attempt", "no attempt can mend its input", True),
    Found("an error of the network", "three attempts", "three attempts", "the next attempt may fare better", False),
)
def test_what_no_attempt_can_mend_is_tried_once(found: Found, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    """And its reason is in the log of the last attempt, which is the one that Snakemake keeps."""
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)  # this process keeps its own
    child = """
import os, sys
from pathlib import Path
from headprune.data.download import DownloadError
from headprune.pipeline.store import ledger
with open(sys.argv[1], "a") as file:
    file.write("x")
ledger.open(Path(os.environ["HEADPRUNE_SUPERVISED"]))
ledger.end(ValueError("train.tsv, line 3") if sys.argv[2] == "True" else DownloadError("no address"))
sys.exit(2)
"""
    write_json(RunFolder(tmp_path).execution, {"attempts": 2})
    spec = {"results": str(tmp_path), "job": "data/help", "kind": "data"}
    command, told = [sys.executable, "-c", child, str(tmp_path / "tries"), str(found.case)], []
    for number in (1, 2, 3):
        assert Supervisor(command, spec, tmp_path / "receipt", number, 60).run() == 2
        told.append(capfd.readouterr().err)
    tries = len((tmp_path / "tries").read_text())
    assert tries == {"one attempt": 1, "three attempts": 3}[found.right]
    assert ("train.tsv, line 3" if found.case else "DownloadError: no address") in told[2]
    expected = "train.tsv, line 3" if found.case else "DownloadError: no address"
    assert ended_by_error(tmp_path) == {"data/help": expected}
    assert Supervisor(command, spec, tmp_path / "receipt", 1, 60).run() == 2  # of the next call of Snakemake
    assert len((tmp_path / "tries").read_text()) == tries + 1


def test_records_of_every_kind_of_job_are_known(tmp_path: Path) -> None:
    spec = {"results": str(tmp_path), "model": "tiny", "seed": 3, "cells": [vars(Cell("tiny", "l0", "a", 2, 4, 3, 12))]}
    names = {
        "dense": {"": "dense/tiny/s3.json"},
        "ablate": {"": "ablations/tiny/drop_one-s3.json"},
        "data": {},
        "speed": {},
        "choose": {"": "tuning/tiny/l0.a/choice.json"},
        "tune_gates": {
            "tuning/tiny/l0.a/t3/k8-s3": "tuning/tiny/l0.a/t3/k8-s3.json",
            "tuning/tiny/l0.a/t3/k4-s3": "tuning/tiny/l0.a/t3/k4-s3.json",
        },
        "test": {"tiny/l0.a-draw2/k4-s3": "cells/tiny/l0.a-draw2/k4-s3/test.json"},
        "gates": {"tiny/l0.a-draw2/k4-s3": "cells/tiny/l0.a-draw2/k4-s3/pruned.json"},
    }
    for kind, expected in names.items():
        tuned = {"label": "l0.a", "trial": 3, "budgets": [4, 8], "methods": [{"name": "l0", "arm": "a"}]}
        found = record_paths({**spec, **tuned, "kind": kind, "ablation": {"kind": "drop_one"}})
        assert {cell: os.path.relpath(path, tmp_path) for cell, path in found.items()} == expected
