"""The reader of labels: for paired tests, for the report, and to compute accuracies anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headprune.evaluation.scores import Score
from headprune.statistics.mcnemar import mcnemar
from headprune.statistics.paired import PairedComparison
from headprune.statistics.quality import Quality
from headprune.tasks.outputs import Outputs, OutputSource

ACCURACY = Quality("accuracy", "test accuracy", digits=3, span=(0.0, 1.0))


class Judgements(Outputs):
    """A row for every example: its label, and the one that the model chose."""

    kind = "labels"
    qualities = (ACCURACY,)
    recomputed = ("accuracy",)
    layout = "labels"

    def read(self, source: OutputSource, cell: str, metric: str) -> np.ndarray:
        """Ones for the examples whose label is right, zeros for the others (examples,)."""
        table = source.reader.values(cell, self.kind, source.split)
        return (table["label"] == table["predicted"]).to_numpy(dtype=float)

    def compare(self, baseline: Sequence[Any], system: Sequence[Any], metric: str, draws: int) -> PairedComparison:
        """McNemar's exact test; of several seeds all swaps of examples, without a draw."""
        sizes = {len(right) for right in (*baseline, *system)}
        if len(sizes) != 1:
            raise ValueError(f"outputs of {', '.join(map(str, sorted(sizes)))} examples")
        return mcnemar(np.stack(baseline), np.stack(system))

    def guessed(self, splits: Mapping[str, Any]) -> float | None:
        """The accuracy that guesses with the share of the most frequent label exceed on one test set of twenty."""
        labels = splits.get("test", {}).get("labels")
        if not labels:
            return None
        from scipy.stats import binom  # of no use to most who read outputs

        examples = sum(labels.values())
        return float(binom.ppf(0.95, examples, max(labels.values()) / examples)) / examples

    def shown(self, source: OutputSource, cell: str) -> list[str]:
        return self._column(source, cell, "predicted")

    def about(self, source: OutputSource, cell: str) -> Mapping[str, Sequence[str]]:
        return {"labels": self._column(source, cell, "label")}

    def scores(self, source: OutputSource, cell: str, statistics: Mapping[str, Any]) -> dict[str, Score]:
        return {"accuracy": Score(float(self.read(source, cell, "accuracy").mean()))}

    def _column(self, source: OutputSource, cell: str, name: str) -> list[str]:
        found: list[str] = source.reader.values(cell, self.kind, source.split)[name].astype(str).tolist()
        return found
