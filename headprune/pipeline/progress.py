"""The display that the user sees while the DAG runs: cells pruned and tested, the current loss, the time it will take.

Every job says where it stands in a file of its own under `progress/` and, now and then, in a line on its standard
output, which Snakemake passes on. The plan of the run, written when it starts, tells how much there is in all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.config.lengths import bounds
from headprune.pipeline import calls, estimate, timings
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import hint, planned
from headprune.pipeline.remaining import JobState, Pace, seconds_left
from headprune.pipeline.store import write_json
from headprune.results.layout import RunFolder

ONE_TRAINING = ("dense/", "gates/")  # jobs of which an update is the same part of the whole as of the training
EVERY = 15.0  # seconds between two lines of one job
LONGEST = 600.0  # seconds that what was found out counts
SHARE = 0.02  # of the time of all jobs that may go into looking at thousands of files to say where the run stands


@dataclass(frozen=True)
class Overview:
    """The state of a run."""

    cells: int
    cells_pruned: int
    cells_tested: int
    jobs: int
    jobs_done: int
    seconds_left: float

    def __str__(self) -> str:
        left = f"about {format_seconds(self.seconds_left)} left" if self.jobs_done < self.jobs else "done"
        cells = f"{self.cells_pruned}/{self.cells} cells pruned, {self.cells_tested} tested"
        return f"{cells}, {self.jobs_done}/{self.jobs} jobs, {left}"


def start(plan: Plan, cores: int, logs: Sequence[str] = (), moved: bool = False) -> None:
    """Writes what a run has to do, and how; called once when it starts. For `logs` and `moved` see `calls.note`."""
    run = plan.run
    write_json(run.execution, plan.config.execution.model_dump())
    asked = {name: bounds(plan.config, name) for name in plan.config.datasets}
    write_json(run.bounds, {name: {s: vars(b) for s, b in each.items()} for name, each in asked.items()})
    for path in run.attempt_notes:
        ended = hint(path).get("ended")
        if isinstance(ended, dict) and ended.get("status") == "error":  # of an earlier call
            path.unlink()
    jobs = {
        job.receipt: {
            "name": job.name,
            "estimate": estimate.seconds(plan, job),
            "needs": [need.name for need in plan.needs(job)],
            "threads": estimate.threads(plan, job, cores),
        }
        for job in plan.jobs
    }
    about = {"cells": [cell.id for cell in plan.cells], "cores": cores, "earlier": timings.paces_beside(plan.folder)}
    write_json(run.plan, {"jobs": jobs, **about})
    calls.note(plan.folder, cores, logs, moved)


def overview(folder: Path) -> Overview | None:
    """The state of the run in `folder`; None if none was started."""
    run = RunFolder(folder)
    plan = planned(run)
    if plan is None:
        return None
    parts = [_part(run, receipt, job) for receipt, job in plan["jobs"].items()]
    earlier = Pace.of((kind, ratio, 1.0) for kind, values in plan.get("earlier", {}).items() for ratio in values)
    left = seconds_left(parts, plan["cores"], earlier)
    folders = [run.cell(cell) for cell in plan["cells"]]
    pruned, tested = sum(cell.pruned.exists() for cell in folders), sum(cell.test.exists() for cell in folders)
    return Overview(len(folders), pruned, tested, len(parts), sum(part.done for part in parts), left)


def _part(run: RunFolder, receipt: str, job: Mapping[str, Any]) -> JobState:
    """A job of the written plan, and where it stands."""
    state, done = _state(run.state(job["name"])), (run.path / receipt).exists()
    about = (job["name"], job["estimate"], tuple(job.get("needs", ())), job.get("threads", 1), done)
    if done or state.get("seconds"):  # it took so long, now or before it was forgotten
        return JobState(*about, elapsed=(state.get("seconds") or 0.0) if done else 0.0)
    return JobState(*about, fraction=state.get("fraction", 0.0), elapsed=state.get("elapsed", 0.0))


def recent_overview(folder: Path) -> str:
    """The state of the run, now or a moment ago: what it takes to find out is shared by all jobs of a large run."""
    path = RunFolder(folder).overview
    with suppress(OSError, ValueError, TypeError, KeyError):
        known = hint(path)
        age = time.time() - path.stat().st_mtime  # below zero: written by a clock that went ahead
        if 0 <= age < min(float(known["took"]) / SHARE, LONGEST):
            return str(known["text"])
    started = time.monotonic()
    text = str(overview(folder) or "")
    with suppress(OSError):
        write_json(path, {"text": text, "took": time.monotonic() - started})
    return text


class Reporter:
    """Reports on one job.

    :param before: seconds that went by before anything was computed: imports
    """

    def __init__(self, folder: Path, job: str, before: float = 0.0) -> None:
        self.folder, self.job, self.before = folder, job, before
        self.started = self.printed = time.monotonic()
        self.fraction = 0.0

    def update(self, done: int, total: int, loss: float | None) -> None:
        """:param done: updates or cells done, of `total`; :param loss: of training, bits per token"""
        now = time.monotonic()
        if now - self.printed < EVERY and done < total:
            return
        self.printed = now
        if loss is None or self.job.startswith(ONE_TRAINING):
            self.fraction = done / total
        self._write(self.fraction, None)
        unit = "update" if loss is not None else "cell"
        current = f" · loss {loss:.3f}" if loss is not None else ""
        self._print(f"{unit} {done}/{total}{current}")

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return time.monotonic() - self.started

    def finish(self) -> None:
        seconds = self.seconds
        self._write(1.0, self.before + seconds)
        self._print(f"finished in {format_seconds(seconds)}")

    def _write(self, fraction: float, seconds: float | None) -> None:
        state = {"fraction": fraction, "seconds": seconds, "elapsed": self.before + self.seconds}
        with suppress(OSError):  # a full disk or a busy file server; what is only looked at ends no training
            write_json(RunFolder(self.folder).state(self.job), state)

    def _print(self, text: str) -> None:
        everything = recent_overview(self.folder)
        suffix = f" | {everything}" if everything else ""
        with suppress(OSError):
            print(f"[{time.strftime('%H:%M:%S')}] {self.job} · {text}{suffix}", flush=True)


def format_seconds(seconds: float) -> str:
    """`48 s`, `7 min`, `3.2 h`"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _state(path: Path) -> dict[str, float]:
    found = hint(path)
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
