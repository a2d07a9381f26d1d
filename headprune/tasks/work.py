"""The work of jobs for a task: its corpora, what its models are trained with, and how they are measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headprune.evaluation.likelihood import Agreement
from headprune.evaluation.scores import Paired, Score
from headprune.heads import HeadMask
from headprune.method import Batches
from headprune.settings import Calibration, Evaluation, Speed
from headprune.timing import Timing


@dataclass(frozen=True)
class Outcome:
    """The quality of a model on a split."""

    scores: Mapping[str, Score]  # by metric, the task's own first
    segments: Mapping[str, bytes] = field(default_factory=dict)  # files for the paired tests, by name


class Work(ABC):
    """Stateless; a corpus is what `corpus` returns. It has `statistics`, the content of statistics.json."""

    @abstractmethod
    def corpus(self, folder: Path, device: torch.device, sealed: bool = False) -> Any:
        """The prepared dataset in a folder, as it is now, whose batches are on a device.

        :param sealed: it refuses its test set
        """

    @abstractmethod
    def arguments(self, corpus: Any, architecture: Any, training: Any) -> list[str]:
        """The arguments of `fairseq-train` for an unpruned model, without seed and folder."""

    def pretraining_arguments(self, corpus: Any, architecture: Any, pretraining: Any) -> list[str]:
        """The arguments of `fairseq-train` for the training whose weights others begin with, likewise. Tasks without
        such trainings need none.

        :param pretraining: its section
        """
        raise NotImplementedError(f"{type(self).__name__} pre-trains no models")

    def begun(self, corpus: Any, architecture: Any, place: Path) -> Any:
        """A model of an architecture with the weights of a checkpoint, which trainings begin with. Tasks without such
        models need none.

        :raises ValueError: it is of other sizes, or of another dictionary than the data.
        """
        raise NotImplementedError(f"{type(self).__name__} begins with no weights of others")

    def require_words(self, model: Any, corpus: Any) -> None:
        """Asks whether a model from a checkpoint numbers words as its data do. Tasks without such models need not.

        :raises ValueError: its dictionaries are others.
        """
        raise NotImplementedError(f"{type(self).__name__} opens no models of others")

    @abstractmethod
    def calibration(self, corpus: Any, architecture: Any, settings: Calibration, seed: int) -> Batches:
        """The train examples that methods see: the same for all methods of a seed."""

    def rereading(self, corpus: Any, folder: Path) -> Any:
        """A corpus, for `calibration`, whose train split is that of another prepared dataset as models of `corpus` read
        it: cut and numbered by their own subwords and dictionary. Tasks without it say so, `Task.unreadable`.

        :param folder: of the other dataset
        """
        raise NotImplementedError(f"{type(self).__name__} reads no other text")

    @abstractmethod
    def validation(self, corpus: Any, architecture: Any, settings: Evaluation) -> Iterable[Mapping[str, Any]]:
        """The whole validation set, in an order in which a model can read it."""

    @abstractmethod
    def agreement(self, model: Any, mask: HeadMask, pruned: Any, corpus: Any, settings: Evaluation) -> Agreement:
        """Compares `model` under `mask` with `pruned` on the validation set."""

    @abstractmethod
    def macs_per_token(self, model: Any, corpus: Any) -> float:
        """Multiply-accumulates per target token of a typical validation example."""

    @abstractmethod
    def evaluate(self, model: Any, corpus: Any, split: str, settings: Evaluation) -> Outcome:
        """Metrics of a split, and the files that paired tests read, with a value for every segment."""

    def scores_validation(self, settings: Evaluation) -> bool:
        """True if every cell is evaluated on the validation set, too."""
        return False

    @abstractmethod
    def time(
        self, models: Mapping[str, nn.Module], corpus: Any, settings: Speed, evaluation: Evaluation
    ) -> dict[str, tuple[Timing, Timing]]:
        """Latency in milliseconds and throughput in tokens per second, by model, each in pairs with the first."""

    @abstractmethod
    def compare(
        self, models: Iterable[tuple[str, Any]], corpus: Any, settings: Evaluation, samples: int
    ) -> dict[str, Paired]:
        """Quality of models on the validation set, each with a paired test against the first.

        :param models: names and models, made when asked for
        :param samples: resamples or permutations of the test
        :returns: by name
        """
