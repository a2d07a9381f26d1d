"""What the models of cells put out for a few segments of the test set, the same ones for every cell."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headprune.analysis.segments import FILES, Segments
from headprune.report.pool import Pool, short

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
        self.raw = folder / "data" / group[2] / "raw"
        self.shared: dict[str, Any] = {}
        self.total = 0

    def of(self, method: str, arm: str, budget: int, seed: int) -> dict[str, Any]:
        """`values` of the chosen segments, or `absent`, why there are none; of language models `sample`, a text."""
        if self.track not in FILES:
            return {"absent": f"outputs of track {self.track} are not kept"}
        path = self.segments.path(method, (arm, budget, seed))
        try:
            whole = self._read(path)
        except FileNotFoundError:
            return {"absent": f"{path.relative_to(self.segments.folder).as_posix()} is not there"}
        except (OSError, EOFError, zlib.error, KeyError, ValueError) as error:
            return {"absent": f"{path.name} cannot be read: {error}"}
        if not self.shared:
            self._share(path, whole)
        if len(whole) != self.total:
            return {"absent": f"{path.name} holds {len(whole)} segments, those of other cells {self.total}"}
        chosen = [whole[number] for number in self.shared["numbers"]]
        values = [self.pool.add(one) if isinstance(one, str) else short(one) for one in chosen]
        return {"values": values, "sample": self._sample(path.with_name(f"sample.{SPLIT}.json"))}

    def _read(self, path: Path) -> list[Any]:
        if self.track == "mt":
            return _lines(gzip.decompress(path.read_bytes()))
        values = pd.read_parquet(path).sort_values("segment")[VALUES[self.track]].tolist()
        return values if self.track == "lm" else [str(value) for value in values]

    def _sample(self, path: Path) -> list[int] | None:
        """The places of a prompt and of how the model goes on from it."""
        try:
            texts = json.loads(path.read_text(encoding="utf-8"))
            return [self.pool.add(str(texts[name])) for name in ("prompt", "continuation")]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _share(self, path: Path, whole: list[Any]) -> None:
        self.total = len(whole)
        self.shared = {"numbers": spread(self.total), "total": self.total}
        if self.track == "mt":
            for name, suffix in (("sources", "src"), ("references", "tgt")):
                self._raw_lines(name, self.raw / f"{SPLIT}.{suffix}")
        else:
            name = "tokens" if self.track == "lm" else "label"
            column = pd.read_parquet(path).sort_values("segment")[name].tolist()
            self.shared["tokens" if self.track == "lm" else "labels"] = [
                column[number] if self.track == "lm" else self.pool.add(str(column[number]))
                for number in self.shared["numbers"]
            ]

    def _raw_lines(self, name: str, path: Path) -> None:
        """Texts beside the outputs, where the folder has them, as many as there are outputs."""
        try:
            lines = _lines(path.read_bytes())
        except (OSError, ValueError):
            return
        if len(lines) == self.total:
            self.shared[name] = [self.pool.add(lines[number]) for number in self.shared["numbers"]]


def _lines(content: bytes) -> list[str]:
    """Lines end with \\n and nothing else: some texts hold signs that `splitlines` takes for ends."""
    return content.decode("utf-8").removesuffix("\n").split("\n")
