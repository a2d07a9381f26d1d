"""A model with its data: the examples that heads are judged on, and those that quality is measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from headprune.checkpoints import OpenedModel
from headprune.evaluation.likelihood import Batches
from headprune.evaluation.scores import Score
from headprune.heads import HeadMask, HeadSpace
from headprune.own.request import PruningRequest
from headprune.statistics import PairedComparison
from headprune.timing import Timing

SPLIT = "valid"


@dataclass(frozen=True)
class Workpiece(ABC):
    """A model with its data.

    :param judged: numbers of the valid examples that heads are judged on; None: there is a train split for that
    :param measured: numbers of those that quality is measured on, in corpus order
    :cvar examples: what those are called
    :cvar outputs: the file of what a model put out
    :cvar single: what latency is the time of
    """

    request: PruningRequest
    opened: OpenedModel
    corpus: Any
    judged: tuple[int, ...] | None
    measured: tuple[int, ...]
    examples: ClassVar[str]
    outputs: ClassVar[str]
    single: ClassVar[str]

    @property
    def model(self) -> Any:
        """The unpruned model."""
        return self.opened.model

    @cached_property
    def space(self) -> HeadSpace:
        """Its heads."""
        return HeadSpace.prunable(self.model)

    @property
    @abstractmethod
    def reading(self) -> Sequence[str]:
        """The settings that data are read with, which results depend on."""

    @abstractmethod
    def calibration(self) -> Batches:
        """The examples that methods see."""

    @abstractmethod
    def batches(self) -> Batches:
        """The examples that quality is measured on."""

    @abstractmethod
    def put_out(self, model: Any) -> list[str]:
        """A line for every measured example, which `scores` and `compare` need."""

    @abstractmethod
    def scores(self, lines: Sequence[str]) -> Mapping[str, Score]:
        """Quality by metric, the one that stands for it first."""

    @abstractmethod
    def compare(self, baseline: Sequence[str], system: Sequence[str]) -> PairedComparison:
        """The paired test of two models; a positive difference is better."""

    @abstractmethod
    def macs_per_token(self, model: Any) -> float:
        """Multiply-accumulates per target token of a typical example."""

    @abstractmethod
    def agreed(self, mask: HeadMask, model: Any, smaller: Any) -> dict[str, Any]:
        """The entries of a record that tell how far `model` under a mask is from the one without those heads."""

    @abstractmethod
    def timed(self, models: Mapping[str, Any]) -> dict[str, tuple[Timing, Timing]]:
        """Latency in milliseconds and throughput in tokens per second, by model, each in pairs with the first."""

    def times(self, smaller: Any) -> dict[str, Any]:
        """The entries of a record that tell how fast a pruned model is, measured in pairs with the unpruned one."""
        found = self.timed({"unpruned": self.model, "pruned": smaller})
        names = ("latency_ms", "throughput")
        times = {model: dict(zip(names, timings, strict=True)) for model, timings in found.items()}
        whole, cut = times["unpruned"], times["pruned"]
        return {
            "times": {model: {name: vars(timing) for name, timing in each.items()} for model, each in times.items()},
            "speed_up": whole["latency_ms"].median / cut["latency_ms"].median,
            "speed_up_in_batches": cut["throughput"].median / whole["throughput"].median,
        }

    @property
    @abstractmethod
    def training_words(self) -> Sequence[str]:
        """The words of `fairseq-train` for the data and the task."""

    @property
    @abstractmethod
    def task_settings(self) -> Mapping[str, Any]:
        """Settings of fairseq's task, which examples are read with."""

    @abstractmethod
    def commands(self, model: Path) -> list[str]:
        """The lines that use a pruned model with fairseq's commands."""


def division(request: PruningRequest, total: int, train: bool) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """The valid examples that heads are judged on, where there is no train split, and those that are left to measure.

    No example is in both: at most half of them is judged on.

    :param total: examples of the valid split
    :param train: whether there is a train split
    :raises ValueError: there are too few.
    """
    order: Sequence[int] = torch.randperm(total, generator=torch.Generator().manual_seed(request.seed)).tolist()
    judged = None
    if not train:
        number = min(request.calibration.sentences, total // 2)
        judged, order = tuple(sorted(order[:number])), order[number:]
    measured = tuple(sorted(order[: request.sentences]))
    if not measured or judged == ():
        raise ValueError(f"{request.data}: split {SPLIT!r} has {total} examples; that is too few to prune by")
    return judged, measured
