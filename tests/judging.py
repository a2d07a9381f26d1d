"""A made-up task whose models choose labels. Nothing is trained for it; its outputs are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from headprune.evaluation.scores import Score
from headprune.results.vocabulary import UNITS
from headprune.settings import Material, Subject
from headprune.statistics.quality import Quality
from headprune.tasks import TASKS, Task, register
from headprune.tasks.outputs import MeansOfSegments, OutputSource


class Labels(MeansOfSegments):
    kind = "labels"
    qualities = (Quality("accuracy", "test accuracy", digits=3, span=(0.0, 1.0)),)
    recomputed = ("accuracy",)
    layout = "labels"

    def read(self, source: OutputSource, cell: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        table = source.reader.values(cell, self.kind, source.split)
        return (table["label"] == table["predicted"]).to_numpy(dtype=float), np.ones(len(table))

    def shown(self, source: OutputSource, cell: str) -> list[str]:
        return source.reader.values(cell, self.kind, source.split)["predicted"].astype(str).tolist()

    def about(self, source: OutputSource, cell: str) -> dict[str, list[str]]:
        return {"labels": source.reader.values(cell, self.kind, source.split)["label"].astype(str).tolist()}

    def scores(self, source: OutputSource, cell: str, statistics: Mapping[str, Any]) -> dict[str, Score]:
        return {"accuracy": Score(float(self.read(source, cell, "accuracy")[0].mean()))}


class Judging(Task):
    name = "nli"
    a_corpus, a_model = "a corpus of judgements", "a judge"
    dataset, model = Material, Subject
    metric = "accuracy"
    metrics = {"accuracy": "share of examples"}  # noqa: RUF012
    latency = "pair of sentences"
    examples = "pairs of sentences"
    outputs = Labels()
    work = None

    def bounds(self, *_: Any) -> dict[str, Any]:
        return {}

    def update(self, *_: Any) -> tuple[int, int]:
        return 1, 1


@contextmanager
def known() -> Iterator[None]:
    """The task is known within the context."""
    if "nli" in TASKS:
        yield
        return
    register(Judging())
    try:
        yield
    finally:
        del TASKS["nli"], UNITS["accuracy"]
