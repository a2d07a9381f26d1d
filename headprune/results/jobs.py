"""The kinds of jobs that make results: what each computes, waits for, is told and asks of a machine.

Everything that differs from kind to kind stands in this table; the plan, the rules of the workflow and the reading of
results ask it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Parts of a specification, of which each kind is told some; see `headprune.pipeline.specification`.
Told = Literal[
    "recipe", "model", "evaluation", "cells", "methods", "calibration", "treatment", "ablation", "speed", "planned"
]
# Receipts that a job waits for; see `headprune.pipeline.plan.Plan.needs`.
Need = Literal["data", "dense", "start", "shared", "masks", "pruned", "tested"]


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    :param place: of its receipt and its log below the kind, in fields of `headprune.pipeline.cells.Job`
    :param after: what it waits for
    :param told: the parts of its specification
    :param step: the name, in manifests and of records, of what it adds to a cell, a model or a dataset
    :param stage: the module of `headprune.pipeline.stages` whose `run` computes it; empty: that of its name
    :param trains: it runs trainings, with the workers of its model and the longest limits
    :param shared: it computes cells of several entries and is known by what it has done of each
    :param alone: nothing runs beside it
    :param final: its error ends the run, as nothing can go on without it
    :param own_file: it runs again when the file of its one method changes
    :param pace: kinds whose times tell of each other
    :param priority: of jobs that are ready at the same time, the highest goes first
    :param minutes: of a first attempt, unless the profile says otherwise
    :param memory: likewise, in MB
    """

    name: str
    place: str
    after: tuple[Need, ...]
    told: tuple[Told, ...]
    step: str
    stage: str = ""
    trains: bool = False
    shared: bool = False
    alone: bool = False
    final: bool = False
    own_file: bool = False
    pace: str = "cells"
    priority: int = 0
    minutes: int = 720
    memory: int = 4000

    @property
    def finds_masks(self) -> bool:
        """True if it leaves pruned models of cells."""
        return self.step == "pruned"

    @property
    def of_cells(self) -> bool:
        """True if it computes cells."""
        return "cells" in self.told


_MASKS: tuple[Told, ...] = ("model", "evaluation", "cells", "methods", "calibration")
JOBS = {
    kind.name: kind
    for kind in (
        Kind("data", "{dataset}", (), ("recipe",), "prepared", final=True, pace="data", minutes=60, memory=2000),
        # most jobs wait for it
        Kind(
            "dense",
            "{model}/s{seed}",
            ("data",),
            ("model",),
            "trained",
            trains=True,
            pace="training",
            priority=20,
            minutes=2880,
        ),
        # what others treat waits for it
        Kind("score", "{model}/{label}/s{seed}", ("dense",), (*_MASKS, "planned"), "pruned", shared=True, priority=15),
        # the long ones first, so that the short ones fill the gaps
        Kind(
            "gates",
            "{model}/{label}/k{budget}/s{seed}",
            ("start",),
            _MASKS,
            "pruned",
            trains=True,
            own_file=True,
            pace="training",
            priority=10,
            minutes=2880,
        ),
        # several trainings, one after the other
        Kind(
            "search",
            "{model}/{label}/s{seed}",
            ("start", "shared"),
            _MASKS,
            "pruned",
            trains=True,
            own_file=True,
            pace="training",
            priority=12,
            minutes=5760,
        ),
        Kind("treat", "{model}/{label}/s{seed}", ("start", "masks"), (*_MASKS, "treatment"), "pruned"),
        Kind(
            "retrain",
            "{model}/{label}/k{budget}/s{seed}",
            ("start", "masks"),
            (*_MASKS, "treatment"),
            "pruned",
            stage="treat",
            trains=True,
            pace="training",
            minutes=2880,
        ),
        Kind("ablate", "{model}/{label}/s{seed}", ("dense",), ("model", "evaluation", "ablation"), "ablated"),
        Kind(
            "test",
            "{model}/{label}/s{seed}",
            ("pruned",),
            ("model", "evaluation", "cells", "planned"),
            "test",
            shared=True,
        ),
        Kind(
            "speed",
            "{model}/s{seed}",
            ("tested",),
            ("model", "evaluation", "cells", "speed", "planned"),
            "speed",
            shared=True,
            alone=True,
        ),
    )
}
