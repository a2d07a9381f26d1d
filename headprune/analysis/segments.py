"""What the models of cells put out for every segment of the test set, and paired tests of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from headprune.analysis.tables import ResultsError
from headprune.naming import cell_id
from headprune.results import outputs
from headprune.statistics.paired import PairedComparison, compare_statistics, paired_means, segment_statistics

MEAN_SAMPLES = 1999  # permutations of per-segment values
KINDS = {"mt": "hypotheses", "lm": "likelihoods", "nli": "labels"}  # of outputs, by track
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
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def reader(self) -> outputs.Reader:
        return outputs.reader(self.folder, self.model)

    def cell(self, method: str, run: Run) -> str:
        """Id of a cell of the model."""
        arm, budget, seed = run
        return cell_id(self.model, method, arm, budget, seed)

    @property
    def exist(self) -> bool:
        """Whether the folder has outputs of this model at all; published tables may come without."""
        known = self.track in KINDS and self.reader.exist
        return known and (self.track != "mt" or self._references.is_file())

    def has(self, method: str, run: Run) -> bool:
        """Whether a cell has outputs.

        :raises ResultsError: the outputs of the model are damaged.
        """
        try:
            return self.reader.has(self.cell(method, run), KINDS[self.track], self.split)
        except ValueError as error:
            raise ResultsError(str(error)) from error

    def compare(self, system: str, runs: Sequence[Run], baseline: str, others: Sequence[Run]) -> PairedComparison:
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
            name = self.reader.where(self.cell(system, runs[0]), KINDS[self.track], self.split)
            raise ResultsError(f"{name} cannot be paired with {baseline}: {error}") from error

    @property
    def _references(self) -> Path:
        return outputs.raw_text(self.folder, self.dataset, self.split, "tgt")

    def _read(self, method: str, run: Run) -> Any:
        cell = self.cell(method, run)
        if cell not in self._kept:
            try:
                self._kept[cell] = self._parse(cell)
            except (OSError, ValueError) as error:
                name = self.reader.where(cell, KINDS[self.track], self.split)
                raise ResultsError(f"{name} cannot be used: {error}") from error
        return self._kept[cell]

    def _parse(self, cell: str) -> Any:
        """Sufficient statistics of hypotheses, or values and sizes of segments in their order."""
        if self.track == "mt":
            references = outputs.lines(self._references.read_bytes())
            return segment_statistics(self.reader.texts(cell, self.split), references, self.metric)
        table = self.reader.values(cell, KINDS[self.track], self.split)
        if self.track == "lm":
            return table["log_likelihood"].to_numpy(dtype=float), table["tokens"].to_numpy(dtype=float)
        return (table["label"] == table["predicted"]).to_numpy(dtype=float), np.ones(len(table))
