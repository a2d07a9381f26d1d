"""The reader of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headprune.evaluation.scores import Score
from headprune.statistics.quality import Quality
from headprune.tasks.outputs import MeansOfSegments, OutputSource

RIGHT = Quality("right_symbols", "symbols that are right", digits=3, span=(0.0, 1.0))


class Answers(MeansOfSegments):
    """A row for every string."""

    kind = "answers"
    qualities = (RIGHT,)
    recomputed = ("right_symbols",)
    layout = "labels"

    def read(self, source: OutputSource, cell: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        table = source.reader.values(cell, self.kind, source.split)
        return table["right"].to_numpy(dtype=float), table["symbols"].to_numpy(dtype=float)

    def shown(self, source: OutputSource, cell: str) -> Sequence[str]:
        return source.reader.values(cell, self.kind, source.split)["answered"].tolist()

    def about(self, source: OutputSource, cell: str) -> Mapping[str, Sequence[str]]:
        return {"labels": source.reader.values(cell, self.kind, source.split)["expected"].tolist()}

    def scores(self, source: OutputSource, cell: str, statistics: Mapping[str, Any]) -> dict[str, Score]:
        right, symbols = self.read(source, cell, "right_symbols")
        return {"right_symbols": Score(float(right.sum() / symbols.sum()))}
