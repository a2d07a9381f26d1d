"""Checks of a plan before anything runs: cells that can be planned, names that files can have, a folder that can be
written, data that fit."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headprune.config import ConfigError
from headprune.config.lengths import bounds
from headprune.pipeline.grid import Grid

if TYPE_CHECKING:
    from headprune.pipeline.plan import Plan

LEAST_SPACE = 64 * 2**20  # bytes that must be free before anything begins: less than any run takes

MOST_CELLS = 25_000  # five times what benchmarks/scale.py measures; Snakemake plans as many for about a minute
NAME_MAX, PATH_MAX = 255, 4095  # bytes, of Linux' file systems and system calls
ENDING = "-" + "0" * 12 + ".json"  # after the name of a job: the signature of a training, the kind of a file
TEMPORARY = "..old-12345678"  # the most that `files.replacing` and `files.discard` add to a name
DEEPEST = "/" + "x" * 99  # more than anything has below the folder of a training


def check_size(grid: Grid) -> None:
    """:raises ConfigError: more cells and ablations than can be planned. They are counted, not listed."""
    total = 0
    for rule, count in _counts(grid):
        total += count
        if total > MOST_CELLS:
            raise ConfigError(
                f"{rule} brings the grid to {total:,} cells or more; at most {MOST_CELLS:,} are supported: give fewer "
                "`seeds`, `budgets` or `draws`, or several profiles"
            )


def _counts(grid: Grid) -> Iterator[tuple[str, int]]:
    """Numbers of cells by entry and model, and of those of trials; ablations count one for every seed."""
    for model in grid.config.models:
        for label in grid.labels_for(model):
            treatment = grid.treatment(label)
            draws = grid.method(label).draws * (treatment.draws if treatment else 1)
            count = len(grid.seeds(label, model)) * len(grid.budgets(label, model)) * draws
            yield f"entry {label!r} of model {model!r}", count
        for label in grid.tuned_for(model):
            yield f"tuning of {label!r}, model {model!r},", len(grid.trials(label)) * _judged(grid)
        for ablation in grid.config.ablations:
            yield f"ablation {ablation.kind!r} of model {model!r}", len(grid.ablated_seeds(model, ablation))


def _judged(grid: Grid) -> int:
    """Budgets and seeds of a trial."""
    tuning = grid.config.tuning
    return len(tuning.seeds) * len(tuning.budgets) if tuning else 0


def check_writable(plan: Plan) -> None:
    """:raises ConfigError: the results folder, or the nearest one that exists, cannot be written or is full, or the
    names of its files would be too long."""
    check_names(plan)
    existing = next(path for path in (plan.folder, *plan.folder.absolute().parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x")
        if (free := shutil.disk_usage(existing).free) < LEAST_SPACE:
            room = f"only {free / 2**20:.1f} MiB are free, {LEAST_SPACE / 2**20:.0f} are needed"
            raise OSError(errno.ENOSPC, room)
    except OSError as error:
        raise ConfigError(f"results: {str(plan.folder)!r} cannot be written: {existing}: {error.strerror}") from None


def check_data(plan: Plan) -> None:
    """:raises ConfigError: data that are prepared already do not fit this profile: a sentence is too long."""
    for name in dict.fromkeys(model.dataset for model in plan.config.models.values()):
        try:
            plan.config.datasets[name].check_prepared(plan.run.dataset(name), bounds(plan.config, name))
        except ValueError as error:
            raise ConfigError(f"datasets.{name}: {error}") from None


def check_names(plan: Plan) -> None:
    """:raises ConfigError: a file of the run would have a longer name, or path, than a file system takes."""
    folder = os.fsencode(plan.folder.absolute())
    for part in folder.split(b"/"):
        if len(part) > NAME_MAX:
            raise ConfigError(f"results: {part.decode(errors='replace')[:40]!r}… has {len(part)} bytes, {_MOST}")
    longest = max((job.name for job in plan.jobs), key=len)
    name = f"{longest.replace('/', '-')}{ENDING}{TEMPORARY}"
    if len(name.encode()) > NAME_MAX:
        raise ConfigError(
            f"job {longest!r}: the names of its files have up to {len(name.encode())} bytes, {_MOST}: give its model, "
            "its method's `arm` or its treatment's `arm` a shorter name"
        )
    path = folder + f"/training/{name}{DEEPEST}".encode()
    if len(path) > PATH_MAX:
        raise ConfigError(
            f"results: paths of the run have up to {len(path)} bytes; Linux takes {PATH_MAX}: name a folder less deep"
        )


_MOST = f"file systems take {NAME_MAX}"
