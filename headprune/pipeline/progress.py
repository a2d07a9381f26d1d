"""What the user sees while the DAG runs: cells done and left, the current loss, the time it will take.

Every job says where it stands in a file of its own under `progress/` and, now and then, in a line on its standard
output, which Snakemake passes on. The plan of the run, written when it starts, tells how much there is in all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headprune.pipeline import calls, estimate
from headprune.pipeline.cells import execution_path
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import hint, planned
from headprune.pipeline.store import write_json

EVERY = 15.0  # seconds between two lines of one job
LONGEST = 600.0  # seconds that what was found out counts
SHARE = 0.02  # of the time of all jobs that may go into looking at thousands of files to say where the run stands


@dataclass(frozen=True)
class Overview:
    """The state of a run."""

    cells: int
    cells_done: int
    jobs: int
    jobs_done: int
    seconds_left: float

    def __str__(self) -> str:
        left = f"about {format_seconds(self.seconds_left)} left" if self.jobs_done < self.jobs else "done"
        return f"{self.cells_done}/{self.cells} cells, {self.jobs_done}/{self.jobs} jobs, {left}"


def start(plan: Plan, cores: int, logs: Sequence[str] = (), moved: bool = False) -> None:
    """Writes what a run has to do, and how; called once when it starts. For `logs` and `moved` see `calls.note`."""
    write_json(execution_path(plan.folder), plan.config.execution.model_dump())
    jobs = {job.receipt: {"name": job.name, "estimate": estimate.seconds(plan, job)} for job in plan.jobs}
    cells = [cell.id for cell in plan.cells]
    write_json(plan.folder / "progress" / "plan.json", {"jobs": jobs, "cells": cells, "cores": cores})
    calls.note(plan.folder, cores, logs, moved)


def overview(folder: Path) -> Overview | None:
    """Where the run in `folder` stands; None if none was started."""
    plan = planned(folder)
    if plan is None:
        return None
    spent = estimated = left = 0.0
    done = 0
    for receipt, job in plan["jobs"].items():
        state = _state(folder, job["name"])
        if (folder / receipt).exists():
            done += 1
            if state.get("seconds"):
                spent, estimated = spent + state["seconds"], estimated + job["estimate"]
        else:
            left += job["estimate"] * (1 - state.get("fraction", 0.0))
    pace = spent / estimated if estimated else 1.0
    cells_done = sum((folder / "cells" / cell / "test.json").exists() for cell in plan["cells"])
    return Overview(len(plan["cells"]), cells_done, len(plan["jobs"]), done, left * pace / plan["cores"])


def recent_overview(folder: Path) -> str:
    """Where the run stands, or stood a moment ago: what it takes to find out is shared by all jobs of a large run."""
    path = folder / "progress" / "overview.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        known = hint(path)
        age = time.time() - path.stat().st_mtime  # below zero: written by a clock that went ahead
        if 0 <= age < min(float(known["took"]) / SHARE, LONGEST):
            return str(known["text"])
    started = time.monotonic()
    text = str(overview(folder) or "")
    write_json(path, {"text": text, "took": time.monotonic() - started})
    return text


class Reporter:
    """Reports on one job."""

    def __init__(self, folder: Path, job: str) -> None:
        self.folder, self.job = folder, job
        self.started = self.printed = time.monotonic()

    def update(self, done: int, total: int, loss: float | None) -> None:
        """:param done: updates or cells done, of `total`; :param loss: of training, bits per token"""
        now = time.monotonic()
        if now - self.printed < EVERY and done < total:
            return
        self.printed = now
        self._write(done / total, None)
        unit = "update" if loss is not None else "cell"
        current = f" · loss {loss:.3f}" if loss is not None else ""
        self._print(f"{unit} {done}/{total}{current}")

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return time.monotonic() - self.started

    def finish(self) -> None:
        seconds = self.seconds
        self._write(1.0, seconds)
        self._print(f"finished in {format_seconds(seconds)}")

    def _write(self, fraction: float, seconds: float | None) -> None:
        write_json(state_path(self.folder, self.job), {"fraction": fraction, "seconds": seconds})

    def _print(self, text: str) -> None:
        everything = recent_overview(self.folder)
        suffix = f" | {everything}" if everything else ""
        print(f"[{time.strftime('%H:%M:%S')}] {self.job} · {text}{suffix}", flush=True)


def format_seconds(seconds: float) -> str:
    """`48 s`, `7 min`, `3.2 h`"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def state_path(folder: Path, job: str) -> Path:
    """Of the file in which a job says where it stands."""
    return folder / "progress" / f"{job.replace('/', '-')}.json"


def _state(folder: Path, job: str) -> dict[str, float]:
    found = hint(state_path(folder, job))
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
