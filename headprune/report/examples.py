"""What the models of cells put out for a few segments of the test set, the same ones for every cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headprune.analysis.segments import KINDS, Segments
from headprune.report.pool import Pool, short
from headprune.results import outputs

COUNT = 10  # segments shown
SPLIT = "test"
VALUES = {"lm": "log_likelihood", "nli": "predicted"}


def spread(total: int, count: int = COUNT) -> list[int]:
    """Places of up to `count` of `total` segments, evenly over all of them, the first and the last included."""
    return sorted({round(place) for place in np.linspace(0, total - 1, min(count, total))}) if total else []


class Outputs:
    """The outputs of one (profile, track, dataset, model).

    :param pool: takes the texts, of which weak models repeat many
    :ivar shared: what all cells have in common: `numbers` of the segments, and by track `sources` and `references`,
        `tokens`, or `labels`
    """

    def __init__(self, folder: Path, group: tuple[str, ...], pool: Pool) -> None:
        self.track, self.pool = group[1], pool
        self.segments = Segments(folder, track=group[1], dataset=group[2], model=group[3], split=SPLIT)
        self.shared: dict[str, Any] = {}
        self.total = 0

    def of(self, method: str, arm: str, budget: int, seed: int) -> dict[str, Any]:
        """`values` of the chosen segments, or `absent`, why there are none; of language models `sample`, a text."""
        if self.track not in KINDS:
            return {"absent": f"outputs of track {self.track} are not kept"}
        cell = self.segments.cell(method, (arm, budget, seed))
        name = self.segments.reader.where(cell, KINDS[self.track], SPLIT)
        try:
            whole = self._read(cell)
        except FileNotFoundError:
            return {"absent": f"{name} is not there"}
        except (OSError, ValueError) as error:
            return {"absent": f"{name} cannot be read: {error}"}
        if not self.shared:
            self._share(cell, whole)
        if len(whole) != self.total:
            return {"absent": f"{name} holds {len(whole)} segments, those of other cells {self.total}"}
        chosen = [whole[number] for number in self.shared["numbers"]]
        values = [self.pool.add(one) if isinstance(one, str) else short(one) for one in chosen]
        return {"values": values, "sample": self._sample(cell)}

    def _read(self, cell: str) -> list[Any]:
        if self.track == "mt":
            return self.segments.reader.texts(cell, SPLIT)
        values = self._column(cell, VALUES[self.track])
        return values if self.track == "lm" else [str(value) for value in values]

    def _column(self, cell: str, name: str) -> list[Any]:
        return self.segments.reader.values(cell, KINDS[self.track], SPLIT)[name].tolist()

    def _sample(self, cell: str) -> list[int] | None:
        """The places of a prompt and of how the model goes on from it."""
        try:
            texts = self.segments.reader.sample(cell, SPLIT)
        except (OSError, ValueError):
            return None
        return [self.pool.add(texts[name]) for name in ("prompt", "continuation")]

    def _share(self, cell: str, whole: list[Any]) -> None:
        self.total = len(whole)
        self.shared = {"numbers": spread(self.total), "total": self.total}
        if self.track == "mt":
            for name, side in (("sources", "src"), ("references", "tgt")):
                self._raw_lines(name, outputs.raw_text(self.segments.folder, self.segments.dataset, SPLIT, side))
        else:
            name = "tokens" if self.track == "lm" else "label"
            column = self._column(cell, name)
            self.shared["tokens" if self.track == "lm" else "labels"] = [
                column[number] if self.track == "lm" else self.pool.add(str(column[number]))
                for number in self.shared["numbers"]
            ]

    def _raw_lines(self, name: str, path: Path) -> None:
        """Texts beside the outputs, where the folder has them, as many as there are outputs."""
        try:
            lines = outputs.lines(path.read_bytes())
        except (OSError, ValueError):
            return
        if len(lines) == self.total:
            self.shared[name] = [self.pool.add(lines[number]) for number in self.shared["numbers"]]
