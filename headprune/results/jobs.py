"""The kinds of jobs that make results: what each computes, waits for, is told and asks of a machine.

Everything that differs from kind to kind stands in this table; the plan, the rules of the workflow and the reading of
results ask it.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

# Parts of a specification, of which each kind is told some; see `headprune.pipeline.specification`.
Told = Literal[
    "recipe",
    "model",
    "evaluation",
    "cells",
    "methods",
    "calibration",
    "treatment",
    "ablation",
    "speed",
    "planned",
    "trial",
    "choice",
]
# There is a job of a kind for each; an entry may have one for every budget, or share one with its batch.
Per = Literal[
    "dataset",
    "begun model",
    "unpruned model",
    "entry",
    "batch",
    "seed",
    "timed seed",
    "ablation",
    "trial",
    "tuned entry",
]
# Receipts that a job waits for; see `headprune.pipeline.plan.Plan.needs`.
Need = Literal["data", "new", "dense", "start", "shared", "tried", "chosen", "masks", "pruned", "tested"]

_DAY = 1440  # minutes


@dataclass(frozen=True)
class JobKind:
    """A kind of job.

    :param step: the name, in manifests and of records, of what it adds to a cell, a model or a dataset
    :param per: of which there is one job each
    :param place: of its receipt and its log below the kind, in fields of `headprune.pipeline.cells.Job`
    :param after: what it waits for
    :param told: the parts of its specification
    :param stage: the module of `headprune.pipeline.stages` whose `run` computes it; empty: that of its name
    :param trains: it runs trainings, with the workers of its model
    :param shared: it computes cells of several entries and is known by what it has done of each
    :param alone: nothing runs beside it
    :param final: its error ends the run, as nothing can go on without it
    :param own_file: it runs again when the file of its one method changes
    :param priority: of jobs that are ready at the same time, the highest goes first
    :param minutes: of a first attempt, unless the profile says otherwise
    :param memory: likewise, in MB
    """

    name: str
    step: str
    _: KW_ONLY
    per: Per
    place: str
    after: tuple[Need, ...] = ()
    told: tuple[Told, ...] = ()
    stage: str = ""
    trains: bool = False
    shared: bool = False
    alone: bool = False
    final: bool = False
    own_file: bool = False
    priority: int = 0
    minutes: int = _DAY // 2
    memory: int = 4000

    @property
    def pace(self) -> str:
        """The group of kinds whose times tell of each other."""
        return "training" if self.trains else "data" if self.per == "dataset" else "cells"

    @property
    def finds_masks(self) -> bool:
        """True if it leaves pruned models of cells."""
        return self.step == "pruned"

    @property
    def of_cells(self) -> bool:
        """True if it computes cells."""
        return "cells" in self.told

    @property
    def tunes(self) -> bool:
        """True if it has to do with the tuning of one entry."""
        return self.per in ("trial", "tuned entry")


_ENTRY, _BUDGET, _SEED = "{model}/{label}/s{seed}", "{model}/{label}/k{budget}/s{seed}", "{model}/s{seed}"
_TRIAL = "{model}/{label}/t{trial}/s{seed}"
_MASKS: tuple[Told, ...] = ("model", "evaluation", "cells", "methods", "calibration")
_TRIED: tuple[Told, ...] = ("model", "evaluation", "methods", "calibration", "trial")
_CELLS: tuple[Told, ...] = ("model", "evaluation", "cells")

JOBS = {
    kind.name: kind
    for kind in (
        JobKind(
            "data", "prepared", per="dataset", place="{dataset}", told=("recipe",), final=True, minutes=60, memory=2000
        ),
        JobKind(
            "pretrain",
            "pretrained",
            per="begun model",
            place=_SEED,
            after=("data",),
            told=("model",),
            trains=True,
            minutes=2 * _DAY,
            priority=25,
        ),  # all trainings of a model wait for it
        JobKind(
            "dense",
            "trained",
            per="unpruned model",
            place=_SEED,
            after=("new",),
            told=("model",),
            trains=True,
            minutes=2 * _DAY,
            priority=20,
        ),  # most jobs wait for it
        JobKind(
            "tune_score",
            "tried",
            per="trial",
            place=_TRIAL,
            after=("dense",),
            told=_TRIED,
            stage="tune",
            own_file=True,
            priority=16,
        ),
        JobKind(
            "tune_gates",
            "tried",
            per="trial",
            place=_TRIAL,
            after=("start", "shared"),
            told=_TRIED,
            stage="tune",
            trains=True,
            own_file=True,
            minutes=4 * _DAY,
            priority=17,
        ),  # the trainings of a trial, one after the other
        JobKind(
            "choose",
            "chosen",
            per="tuned entry",
            place="{model}/{label}",
            after=("tried",),
            told=("choice",),
            minutes=60,
            memory=2000,
            priority=18,
        ),  # all cells of its entry wait for it
        JobKind(
            "score",
            "pruned",
            per="entry",
            place=_ENTRY,
            after=("dense", "chosen"),
            told=(*_MASKS, "planned"),
            shared=True,
            priority=15,
        ),  # what others treat waits for it
        JobKind(
            "gates",
            "pruned",
            per="entry",
            place=_BUDGET,
            after=("start", "chosen"),
            told=_MASKS,
            trains=True,
            own_file=True,
            minutes=2 * _DAY,
            priority=10,
        ),  # the long ones first, so that the short ones fill the gaps
        JobKind(
            "search",
            "pruned",
            per="entry",
            place=_ENTRY,
            after=("start", "shared", "chosen"),
            told=_MASKS,
            trains=True,
            own_file=True,
            minutes=4 * _DAY,
            priority=12,
        ),  # several trainings, one after the other
        JobKind("treat", "pruned", per="entry", place=_ENTRY, after=("start", "masks"), told=(*_MASKS, "treatment")),
        JobKind(
            "retrain",
            "pruned",
            per="entry",
            place=_BUDGET,
            after=("start", "masks"),
            told=(*_MASKS, "treatment"),
            stage="treat",
            trains=True,
            minutes=2 * _DAY,
        ),
        JobKind(
            "ablate",
            "ablated",
            per="ablation",
            place=_ENTRY,
            after=("dense",),
            told=("model", "evaluation", "ablation"),
        ),
        JobKind("test", "test", per="batch", place=_ENTRY, after=("pruned",), told=(*_CELLS, "planned"), shared=True),
        JobKind(
            "speed",
            "speed",
            per="timed seed",
            place=_SEED,
            after=("tested",),
            told=(*_CELLS, "speed", "planned"),
            shared=True,
            alone=True,
        ),
    )
}
