"""The outputs of the models of a task, as paired tests, reports and verification read them. No torch is imported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from headprune.evaluation.scores import Score
from headprune.results import outputs
from headprune.statistics.paired import PairedComparison, paired_means
from headprune.statistics.quality import Quality


@dataclass(frozen=True)
class OutputSource:
    """The place where the outputs of a model on a split are read, and the texts of its dataset."""

    folder: Path  # of results
    dataset: str
    split: str
    reader: outputs.Reader

    def text(self, side: str) -> Path:
        """The file of a text that outputs are made from or compared with, `src` or `tgt`."""
        return outputs.raw_text(self.folder, self.dataset, self.split, side)

    def lines(self, side: str) -> list[str]:
        """The lines of such a text.

        :raises OSError: it is not there.
        :raises ValueError: it is no UTF-8.
        """
        return outputs.lines(self.text(side).read_bytes())


class Outputs(ABC):
    """The reader of a task's outputs. Stateless; a cell is named by its id.

    What it reads raises FileNotFoundError where there is none, ValueError where it is damaged.

    :cvar kind: of the outputs that paired tests read, a key of `headprune.results.vocabulary.KINDS`
    :cvar qualities: what can be tested in pairs; the first one stands for the task
    :cvar recomputed: the metrics that `scores` gives
    :cvar later: those of them that older results lack
    :cvar layout: how the report shows them: `texts`, `likelihoods` or `labels`
    """

    kind: ClassVar[str]
    qualities: ClassVar[tuple[Quality, ...]]
    recomputed: ClassVar[tuple[str, ...]]
    later: ClassVar[tuple[str, ...]] = ()
    layout: ClassVar[Literal["texts", "likelihoods", "labels"]]

    def complete(self, source: OutputSource) -> bool:
        """True if what the outputs are compared with is there; published tables may come without."""
        return True

    @abstractmethod
    def read(self, source: OutputSource, cell: str, metric: str) -> Any:
        """The part of a cell's outputs that `compare` needs."""

    @abstractmethod
    def compare(self, baseline: Sequence[Any], system: Sequence[Any], metric: str, draws: int) -> PairedComparison:
        """Approximate randomisation of two systems by what was read of them, once for every seed.

        :param draws: swaps to draw where not all are made
        :returns: system against baseline; a positive difference is better
        :raises ValueError: they are not of the same segments.
        """

    @abstractmethod
    def shown(self, source: OutputSource, cell: str) -> Sequence[str | float]:
        """The values that the report shows, one for every segment of a cell."""

    @abstractmethod
    def about(self, source: OutputSource, cell: str) -> Mapping[str, Sequence[str | float]]:
        """Further values for every segment that the report shows, the same for all cells, by the names of the layout:
        `sources` and `references` of texts, `tokens` of likelihoods, `labels`. May be less where files are absent.

        :param cell: any one
        """

    def guessed(self, splits: Mapping[str, Any]) -> float | None:
        """The test quality that says nothing of a model, below which none is told good; None where the data have none.

        :param splits: what was counted of the dataset, by split; empty where that is not known
        """
        return None

    def sample(self, source: OutputSource, cell: str) -> tuple[str, str] | None:
        """A prompt, and how the model goes on from it; None where the task has no such thing."""
        return None

    def segments(self, source: OutputSource) -> int | None:
        """The number of segments that there must be, where it is known from something other than the outputs."""
        return None

    @abstractmethod
    def scores(self, source: OutputSource, cell: str, statistics: Mapping[str, Any]) -> dict[str, Score]:
        """Metrics computed anew from the outputs; with a signature where it may depend on versions of libraries.

        :param statistics: of the dataset; empty where they are not known
        :returns: scores by metric
        """


class MeansOfSegments(Outputs):
    """Outputs whose metric is, or is the exponential of, a mean: a sum of values over a sum of sizes."""

    @abstractmethod
    def read(self, source: OutputSource, cell: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Values, of which more is better, and sizes of the segments in their order: (segments,) each."""

    def compare(self, baseline: Sequence[Any], system: Sequence[Any], metric: str, draws: int) -> PairedComparison:
        sizes = [read[1] for read in (*system, *baseline)]
        if any(not np.array_equal(size, sizes[0]) for size in sizes[1:]):
            raise ValueError("the segments differ in their numbers of tokens")
        first, second = ([read[0] for read in side] for side in (baseline, system))
        return paired_means(first, second, sizes[0], samples=draws)
