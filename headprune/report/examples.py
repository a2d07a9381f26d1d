"""The outputs of the models of cells for a few segments of the test set, the same ones for every cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headprune.analysis.segments import SegmentOutputs
from headprune.report.pool import Pool, short

COUNT = 10  # segments shown
SPLIT = "test"


def spread(total: int, count: int = COUNT) -> list[int]:
    """Places of up to `count` of `total` segments, evenly over all of them, the first and the last included."""
    return sorted({round(place) for place in np.linspace(0, total - 1, min(count, total))}) if total else []


class ExampleOutputs:
    """The outputs of one (profile, track, dataset, model).

    :param pool: takes the texts, of which weak models repeat many
    :ivar shared: what all cells have in common: `numbers` of the segments, and what the task has them be about
    """

    def __init__(self, folder: Path, group: tuple[str, ...], pool: Pool) -> None:
        self.track, self.pool = group[1], pool
        self.segments = SegmentOutputs(folder, track=group[1], dataset=group[2], model=group[3], split=SPLIT)
        self.shared: dict[str, Any] = {}
        self.total = 0

    @property
    def layout(self) -> str:
        """The way in which the outputs are shown; empty for a task that nobody knows."""
        return self.segments.outputs.layout if self.segments.known else ""

    def of(self, method: str, arm: str, budget: int, seed: int) -> dict[str, Any]:
        """`values` of the chosen segments, or `absent`, why there are none; of language models `sample`, a text."""
        if not self.segments.known:
            return {"absent": f"outputs of track {self.track} are not kept"}
        outputs, source = self.segments.outputs, self.segments.source
        cell = self.segments.cell(method, (arm, budget, seed))
        name = self.segments.where(cell)
        try:
            whole = outputs.shown(source, cell)
        except FileNotFoundError:
            return {"absent": f"{name} is not there"}
        except (OSError, ValueError) as error:
            return {"absent": f"{name} cannot be read: {error}"}
        if not self.shared:
            self._share(cell, len(whole))
        if len(whole) != self.total:
            return {"absent": f"{name} holds {len(whole)} segments, those of other cells {self.total}"}
        values = [self._pooled(whole[number]) for number in self.shared["numbers"]]
        sample = outputs.sample(source, cell)
        return {"values": values, "sample": sample and [self.pool.add(text) for text in sample]}

    def _share(self, cell: str, total: int) -> None:
        """Takes what all cells have in common from one of them; texts beside the outputs, if as many are there."""
        self.total = total
        self.shared = {"numbers": spread(total), "total": total}
        for name, values in self.segments.outputs.about(self.segments.source, cell).items():
            if len(values) == total:
                chosen = (values[number] for number in self.shared["numbers"])
                self.shared[name] = [self.pool.add(value) if isinstance(value, str) else value for value in chosen]

    def _pooled(self, value: Any) -> Any:
        return self.pool.add(value) if isinstance(value, str) else short(value)
