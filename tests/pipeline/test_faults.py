"""Jobs as Snakemake starts them, with methods that go wrong in every way: each is a row, the others are done."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from headprune.cli.commands import app
from headprune.pipeline import collect
from headprune.pipeline.cells import Cell, Job
from headprune.pipeline.failures import failures
from headprune.pipeline.forgetting import forget_failures
from headprune.pipeline.specification import specification
from headprune.pipeline.store import read_json, write_json
from headprune.results.layout import RunFolder
from headprune.system.stopping import EXIT_STATUS

Start = Callable[..., Any]

MEMORY = 16 * 2**30  # of address space, of which imports take some
FAULTS = {
    "raises": "raise RuntimeError('no idea')",
    "undefined": "return torch.full((len(HeadSpace.of(model)),), float('nan'))",
    "greedy_tensor": f"return torch.ones({2 * MEMORY})",
    "greedy_bytes": f"return bytearray({2 * MEMORY})",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "sleeps": "time.sleep(600)",
    "leaves": "os._exit(0)",
    "exits": "sys.exit(0)",
    "interrupts": "raise KeyboardInterrupt",
}
METHOD = """
import os
import signal
import sys
import time

import torch

from headprune.heads import HeadSpace
from headprune.method import ScoreMethod, register


@register("{name}")
class Method(ScoreMethod):
    def scores(self, model, batches, rng):
        print("about to go wrong", flush=True)
        {fault}
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("methods")
    for name, fault in FAULTS.items():
        (folder / f"{name}.py").write_text(METHOD.format(name=name, fault=fault))
    return folder


def launch(run: Any, label: str, attempt: int, minutes: float = 60) -> int:
    """`headprune job score …`, its log where the rule has it."""
    job = Job("score", "tiny", label=label, seed=1)
    spec, log = specification(run.plan, job), run.plan.folder / "logs" / f"{job.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "headprune", "job", "score", "--spec", json.dumps(spec)]
    command += ["--receipt", str(run.plan.folder / job.receipt), "--attempt", str(attempt), "--minutes", str(minutes)]
    with log.open("a") as file:
        return subprocess.run(
            command,
            stdout=file,
            stderr=file,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        ).returncode


def outcome(run: Any, label: str) -> tuple[str, str]:
    cell: Cell = run.cells(label)[0]
    record = run.record(cell)
    return record["status"], record["reason"]


def test_methods_that_go_wrong_are_rows_and_the_others_are_done(start: Start, directory: Path) -> None:
    wrong = [name for name in FAULTS if name != "sleeps"]
    methods = [{"name": name} for name in ("magnitude", *wrong, "random")]
    run = start(methods, methods_directories=[str(directory)], budgets=[8])
    write_json(RunFolder(run.plan.folder).execution, {"attempts": 1})
    assert launch(run, "all-score", 1) == EXIT_STATUS  # killed
    assert launch(run, "all-score", 2) == 0
    found = {label: outcome(run, label) for label in run.plan.grid.labels}
    assert [found[name][0] for name in ("magnitude", "random")] == ["ok", "ok"]
    assert {found[name][0] for name in wrong} == {"failed"}
    assert found["raises"][1] == "RuntimeError: no idea"
    assert "not a finite number" in found["undefined"][1]
    assert "allocate" in found["greedy_tensor"][1]
    assert found["greedy_bytes"][1].startswith("MemoryError")
    assert "killed by SIGKILL" in found["killed"][1]
    assert "ended with exit status 0 before its work was done" in found["leaves"][1]
    assert found["exits"][1] == "SelfEndedError: tries to end the process: sys.exit(0)"
    assert found["interrupts"][1] == "SelfEndedError: tries to end the process: raises KeyboardInterrupt"

    collect.collect(run.plan)
    table = pd.read_csv(run.plan.folder / "cells.csv", keep_default_na=False)
    rows = table[(table["metric"] == "bleu") & (table["status"] == "failed")].set_index("method")["reason"]
    assert {name: rows[name] for name in wrong} == {name: found[name][1] for name in wrong}

    known = {failure.what: failure for failure in failures(run.plan.folder)}
    assert known["cell tiny/raises/k8-s1"].trace[-1] == "RuntimeError: no idea"
    assert any("about to go wrong" in line for line in known["cell tiny/killed/k8-s1"].last_lines(1000))
    printed = CliRunner().invoke(app, ["failures", str(run.plan.folder), "--lines", "2"]).output
    assert "cell tiny/raises/k8-s1: failed: RuntimeError: no idea" in printed
    assert f"{len(wrong)} failed" in printed

    removed = list(forget_failures(run.plan.folder))
    assert run.plan.folder / "jobs/score/tiny/all-score/s1.json" in removed
    assert outcome(run, "magnitude")[0] == "ok"


def test_a_method_that_does_not_end_is_a_timeout(start: Start, directory: Path) -> None:
    run = start([{"name": "sleeps"}], methods_directories=[str(directory)], budgets=[8])
    write_json(RunFolder(run.plan.folder).execution, {"attempts": 1})
    assert launch(run, "all-score", 1, minutes=0.5) == EXIT_STATUS
    assert launch(run, "all-score", 2, minutes=0.5) == 0
    status, reason = outcome(run, "sleeps")
    assert status == "timeout"
    assert "did not end within its time limit of 0.5 minutes" in reason
    receipt = read_json(run.plan.folder / "jobs/score/tiny/all-score/s1.json")
    assert [cell["status"] for cell in receipt["cells"].values()] == ["timeout"]
    assert not list((run.plan.folder / "attempts").iterdir())
    assert os.path.exists(run.plan.folder / "logs/score/tiny/all-score/s1.log")


def test_what_others_caused_comes_after_its_cause(start: Start) -> None:
    run = start([{"name": "magnitude"}], budgets=[8])
    dense = run.plan.folder / "dense/tiny/s1.json"
    write_json(dense, {"signature": "", "status": "timeout", "reason": "the job did not end", "trace": ["a", "b"]})
    run.job("score", "all-score")
    found = [failure for failure in failures(run.plan.folder.parent / "unit") if failure.status != "missing"]
    assert [(failure.what, failure.upstream) for failure in found] == [
        ("unpruned model tiny/s1", False),
        ("cell tiny/magnitude/k8-s1", True),
    ]
    assert found[0].last_lines(1) == ["b"]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not a results folder"):
        failures(tmp_path)


@pytest.fixture
def fickle(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a method that kills its process while a file is there, and that file."""
    flag, folder = tmp_path / "flag", tmp_path / "fickle"
    folder.mkdir()
    fault = f"os.path.exists({str(flag)!r}) and os.kill(os.getpid(), signal.SIGKILL)\n        "
    text = METHOD.format(name="fickle", fault=f"{fault}return torch.arange(len(HeadSpace.of(model))).float()")
    (folder / "fickle.py").write_text(text, encoding="utf-8")
    return folder, flag


def test_what_is_done_stays_when_what_was_added_to_it_is_given_up(start: Start, fickle: tuple[Path, Path]) -> None:
    """A budget more of a method that dies now; and of the job's records those that nobody has come to yet."""
    folder, flag = fickle
    methods = [{"name": "fickle"}, {"name": "magnitude"}]
    run = start(methods, methods_directories=[str(folder)], budgets=[8])
    write_json(RunFolder(run.plan.folder).execution, {"attempts": 1})
    assert launch(run, "all-score", 1) == 0
    done = {cell: run.record(cell) for label in ("fickle", "magnitude") for cell in run.cells(label)}
    assert {record["status"] for record in done.values()} == {"ok"}
    flag.touch()
    run = start(methods, methods_directories=[str(folder)], budgets=[8, 4])
    assert launch(run, "all-score", 1) == EXIT_STATUS
    settled = run.plan.folder / "attempts" / "score-tiny-all-score-s1" / "settled.txt"
    assert len(settled.read_text(encoding="utf-8").splitlines()) == len(done)
    assert launch(run, "all-score", 2) == 0
    now = {cell: run.record(cell) for label in ("fickle", "magnitude") for cell in run.cells(label)}
    assert {cell: now[cell] for cell in done} == done
    new = {(cell.method, cell.budget): record["status"] for cell, record in now.items() if cell not in done}
    assert new == {("fickle", 4): "failed", ("magnitude", 4): "ok"}
