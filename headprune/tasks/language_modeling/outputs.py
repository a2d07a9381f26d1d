"""The reader of log-likelihoods: for paired tests, for the report, and to compute perplexities anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from headprune.evaluation.scores import Score
from headprune.statistics.quality import HIGHEST, Quality
from headprune.tasks.outputs import MeansOfSegments, OutputSource

PERPLEXITY = Quality("perplexity", "test perplexity", higher_is_better=False, span=(1.0, HIGHEST))


class Likelihoods(MeansOfSegments):
    """A row for every run of consecutive tokens; and a text that the model wrote."""

    kind = "likelihoods"
    qualities = (PERPLEXITY,)
    recomputed: ClassVar[tuple[str, ...]] = ("perplexity", "bits_per_byte")
    later: ClassVar[tuple[str, ...]] = ("bits_per_byte",)
    layout = "likelihoods"

    def read(self, source: OutputSource, cell: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        table = source.reader.values(cell, self.kind, source.split)
        return table["log_likelihood"].to_numpy(dtype=float), table["tokens"].to_numpy(dtype=float)

    def shown(self, source: OutputSource, cell: str) -> list[float]:
        return self._column(source, cell, "log_likelihood")

    def about(self, source: OutputSource, cell: str) -> Mapping[str, Sequence[float]]:
        return {"tokens": self._column(source, cell, "tokens")}

    def sample(self, source: OutputSource, cell: str) -> tuple[str, str] | None:
        try:
            texts = source.reader.sample(cell, source.split)
        except (OSError, ValueError):
            return None
        return texts["prompt"], texts["continuation"]

    def scores(self, source: OutputSource, cell: str, statistics: Mapping[str, Any]) -> dict[str, Score]:
        """Perplexity, and bits per byte of the whole split."""
        table = source.reader.values(cell, self.kind, source.split)
        nats = -math.fsum(table["log_likelihood"]) / int(table["tokens"].sum())
        found = {"perplexity": Score(math.exp(nats))}
        counts = statistics.get("splits", {}).get(source.split, {})
        if {"tokens", "bytes"} <= set(counts):
            found["bits_per_byte"] = Score(nats * counts["tokens"] / math.log(2) / counts["bytes"])
        return found

    def _column(self, source: OutputSource, cell: str, name: str) -> list[float]:
        found: list[float] = source.reader.values(cell, self.kind, source.split)[name].tolist()
        return found
