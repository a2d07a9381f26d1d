"""What a grid must not exceed: the cells that can be planned, and the lengths of the names that its files have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headprune.config import ConfigError

if TYPE_CHECKING:
    from headprune.pipeline.plan import Plan

MOST_CELLS = 25_000  # five times what benchmarks/scale.py measures; Snakemake plans as many for about a minute
NAME_MAX, PATH_MAX = 255, 4095  # bytes, of Linux' file systems and system calls
ENDING = "-" + "0" * 12 + ".json"  # after the name of a job: the signature of a training, the kind of a file
TEMPORARY = "..4194304"  # what `files.replacing` and `files.discard` add to a name: dots and the number of a process
DEEPEST = "/" + "x" * 99  # more than anything has below the folder of a training


def check_size(plan: Plan) -> None:
    """:raises ConfigError: more cells and ablations than can be planned. They are counted, not listed."""
    total = 0
    for rule, count in _counts(plan):
        total += count
        if total > MOST_CELLS:
            raise ConfigError(
                f"{rule} brings the grid to {total:,} cells or more; at most {MOST_CELLS:,} are supported: give fewer "
                "`seeds`, `budgets` or `draws`, or several profiles"
            )


def _counts(plan: Plan) -> Iterator[tuple[str, int]]:
    """By entry and model its cells; ablations count one for every seed."""
    for model in plan.config.models:
        for label in plan.labels_for(model):
            treatment = plan.treatment(label)
            draws = plan.method(label).draws * (treatment.draws if treatment else 1)
            count = len(plan.seeds(label, model)) * len(plan.budgets(label, model)) * draws
            yield f"entry {label!r} of model {model!r}", count
        for ablation in plan.config.ablations:
            yield f"ablation {ablation.kind!r} of model {model!r}", len(plan.ablated_seeds(model, ablation))


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
