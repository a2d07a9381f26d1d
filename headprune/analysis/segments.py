"""What the models of cells put out for every segment of the test set, and paired tests of it."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from headprune.analysis.tables import ResultsError
from headprune.naming import cell_id
from headprune.statistics.paired import Paired, compare_statistics, paired_means, segment_statistics

MEAN_SAMPLES = 1999  # permutations of per-segment values
FILES = {"mt": "hypotheses.{}.txt.gz", "lm": "likelihoods.{}.parquet", "nli": "labels.{}.parquet"}
Run = tuple[str, int, int]  # arm with its draw, budget, seed


@dataclass
class Segments:
    """The outputs of one (track, dataset, model) of a results folder, read when asked for and kept."""

    folder: Path
    track: str
    dataset: str
    model: str
    split: str = "test"
    metric: str = "bleu"  # of translations
    test: Literal["bs", "ar"] = "bs"  # of translations: paired bootstrap or approximate randomisation
    _kept: dict[Path, Any] = field(default_factory=dict, repr=False)

    def path(self, method: str, run: Run) -> Path:
        """Of the file with the outputs of a cell."""
        arm, budget, seed = run
        return (
            self.folder
            / "segments"
            / cell_id(self.model, method, arm, budget, seed)
            / FILES[self.track].format(self.split)
        )

    @property
    def exist(self) -> bool:
        """Whether the folder has outputs of this model at all; published tables may come without."""
        known = self.track in FILES and (self.folder / "segments" / self.model).is_dir()
        return known and (self.track != "mt" or self._references.is_file())

    def has(self, method: str, run: Run) -> bool:
        return self.path(method, run).is_file()

    def compare(self, system: str, runs: Sequence[Run], baseline: str, others: Sequence[Run]) -> Paired:
        """The outputs of runs of a method against those of the baseline, pair by pair; difference: more is better.

        Translation is tested by `test` of `metric`, log-likelihood per token and accuracy by permutation.

        :param runs: of the system; the i-th is paired with the i-th of `others`, made with the same seed
        :raises ResultsError: a file is missing, unreadable, or of other segments than its pair.
        """
        ours, theirs = ([self._read(m, run) for run in rs] for m, rs in ((system, runs), (baseline, others)))
        try:
            if self.track == "mt":
                return compare_statistics(self.test, theirs, ours, self.metric)
            sizes = [own[1] for own in (*ours, *theirs)]
            if any(not np.array_equal(size, sizes[0]) for size in sizes[1:]):
                raise ValueError("the segments differ in their numbers of tokens")
            first, second = ([own[0] for own in side] for side in (theirs, ours))
            return paired_means(first, second, sizes[0], samples=MEAN_SAMPLES)
        except ValueError as error:
            name = self.path(system, runs[0]).parent.relative_to(self.folder)
            raise ResultsError(f"{name} cannot be paired with {baseline}: {error}") from error

    @property
    def _references(self) -> Path:
        return self.folder / "data" / self.dataset / "raw" / f"{self.split}.tgt"

    def _read(self, method: str, run: Run) -> Any:
        path = self.path(method, run)
        if path not in self._kept:
            try:
                self._kept[path] = self._parse(path)
            except (OSError, KeyError, ValueError) as error:
                raise ResultsError(f"{path.relative_to(self.folder)} cannot be used: {error}") from error
        return self._kept[path]

    def _parse(self, path: Path) -> Any:
        """Sufficient statistics of hypotheses, or values and sizes of segments in their order."""
        if self.track == "mt":
            hypotheses, references = gzip.decompress(path.read_bytes()), self._references.read_bytes()
            return segment_statistics(_lines(hypotheses), _lines(references), self.metric)
        table = pd.read_parquet(path).sort_values("segment")
        if self.track == "lm":
            return table["log_likelihood"].to_numpy(dtype=float), table["tokens"].to_numpy(dtype=float)
        return (table["label"] == table["predicted"]).to_numpy(dtype=float), np.ones(len(table))


def _lines(content: bytes) -> list[str]:
    """Lines end with \\n and nothing else: some texts hold signs that `splitlines` takes for ends."""
    return content.decode("utf-8").removesuffix("\n").split("\n")
