"""Forecasts of what jobs take by earlier timings of the same results folder, or of the ones beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headprune.naming import counted
from headprune.pipeline import estimate
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import hint, planned
from headprune.pipeline.remaining import Pace
from headprune.results.layout import RunFolder

MOST = 100  # timings of a kind of job that are kept of earlier runs


@dataclass(frozen=True)
class Forecast:
    """The time that a plan takes, in seconds of one core."""

    all_jobs: Mapping[str, float]  # by kind
    left: Mapping[str, float]  # of jobs that have no receipt yet
    counts: Mapping[str, tuple[int, int]]  # by kind: jobs, and jobs left
    basis: str  # where the numbers come from, in words


def forecast(plan: Plan) -> Forecast:
    """Every job by its own earlier time; else by the formula of `estimate`, corrected by the median ratio of time to
    formula among finished jobs of its kind (of kinds like it, or of any, where there is none of its own)."""
    folders = [plan.folder, *sorted(path for path in plan.folder.parent.glob("*") if path != plan.folder)]
    folder = next((path for path in folders if any(_finished(path))), None)
    finished = list(_finished(folder)) if folder is not None else []
    own = {name: seconds for name, seconds, _ in finished} if folder == plan.folder else {}
    pace = Pace.of((name.split("/")[0], seconds, formula) for name, seconds, formula in finished)
    whole, left = defaultdict[str, float](float), defaultdict[str, float](float)
    counts: dict[str, tuple[int, int]] = {}
    for job in plan.jobs:
        seconds = own.get(job.name) or estimate.seconds(plan, job) * pace.ratio(job.kind)
        missing = not plan.run.receipt(job.name).exists()
        total, waiting = counts.get(job.kind, (0, 0))
        counts[job.kind] = total + 1, waiting + missing
        whole[job.kind] += seconds
        left[job.kind] += seconds * missing
    basis = "a formula, good within a factor of two"
    if finished:
        basis = f"{counted(len(finished), 'finished job')} in {folder}"
    return Forecast(dict(whole), dict(left), counts, basis)


def paces_beside(folder: Path) -> dict[str, list[float]]:
    """Ratios of time to formula in the runs beside one, by kind of job: what this machine, or those that share the
    folder, did before."""
    found = defaultdict[str, list[float]](list)
    for path in sorted(path for path in folder.parent.glob("*") if path != folder):
        for name, seconds, formula in _finished(path):
            found[name.split("/")[0]].append(seconds / formula)
    return {kind: values[-MOST:] for kind, values in found.items()}


def _finished(folder: Path) -> Iterator[tuple[str, float, float]]:
    """Name, seconds and formula of every finished job of a run; nothing where it cannot be read."""
    run = RunFolder(folder)
    plan = planned(run)
    for job in plan["jobs"].values() if plan else ():
        with suppress(ValueError, TypeError):
            seconds = hint(run.state(job["name"])).get("seconds")
            if seconds and job["estimate"] > 0:
                yield str(job["name"]), float(seconds), float(job["estimate"])
