"""What jobs will take by what others took: earlier timings of the same results folder, or of the ones beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from headprune.pipeline import estimate
from headprune.pipeline.plan import Plan
from headprune.pipeline.progress import state_path
from headprune.pipeline.records import hint, planned


@dataclass(frozen=True)
class Forecast:
    """What a plan takes, in seconds of one core."""

    all_jobs: Mapping[str, float]  # by kind
    left: Mapping[str, float]  # of jobs that have no receipt yet
    counts: Mapping[str, tuple[int, int]]  # by kind: jobs, and jobs left
    basis: str  # where the numbers come from, in words


def forecast(plan: Plan) -> Forecast:
    """Every job by its own earlier time; else by the formula of `estimate`, corrected by the median ratio of time to
    formula among finished jobs of its kind (of any kind, where there is none of its own)."""
    folders = [plan.folder, *sorted(path for path in plan.folder.parent.glob("*") if path != plan.folder)]
    folder = next((path for path in folders if any(_finished(path))), None)
    finished = list(_finished(folder)) if folder is not None else []
    own = {name: seconds for name, seconds, _ in finished} if folder == plan.folder else {}
    ratios = _ratios(finished)
    whole, left = defaultdict[str, float](float), defaultdict[str, float](float)
    counts: dict[str, tuple[int, int]] = {}
    for job in plan.jobs:
        seconds = own.get(job.name) or estimate.seconds(plan, job) * ratios.get(job.kind, ratios.get("", 1.0))
        missing = not (plan.folder / job.receipt).exists()
        total, waiting = counts.get(job.kind, (0, 0))
        counts[job.kind] = total + 1, waiting + missing
        whole[job.kind] += seconds
        left[job.kind] += seconds * missing
    basis = f"{len(finished)} finished jobs in {folder}" if finished else "a formula, good within a factor of two"
    return Forecast(dict(whole), dict(left), counts, basis)


def _ratios(finished: list[tuple[str, float, float]]) -> dict[str, float]:
    """Time over formula by kind of job, and under the empty name of all."""
    by_kind = defaultdict[str, list[float]](list)
    for name, seconds, formula in finished:
        for kind in (name.split("/")[0], ""):
            by_kind[kind].append(seconds / formula)
    return {kind: median(values) for kind, values in by_kind.items()}


def _finished(folder: Path) -> Iterator[tuple[str, float, float]]:
    """Name, seconds and formula of every finished job of a run; nothing where it cannot be read."""
    plan = planned(folder)
    for job in plan["jobs"].values() if plan else ():
        with suppress(ValueError, TypeError):
            seconds = hint(state_path(folder, job["name"])).get("seconds")
            if seconds and job["estimate"] > 0:
                yield str(job["name"]), float(seconds), float(job["estimate"])
