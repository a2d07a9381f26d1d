"""The outputs of the models of cells for every segment of the test set, and paired tests of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from headprune.analysis.tables import ResultsError
from headprune.naming import cell_id
from headprune.results import outputs
from headprune.statistics.paired import PairedComparison
from headprune.tasks import TASKS
from headprune.tasks.outputs import Outputs, OutputSource

Run = tuple[str, int, int]  # arm with its draw, budget, seed


@dataclass
class SegmentOutputs:
    """The outputs of one (track, dataset, model) of a results folder, read when asked for and kept."""

    folder: Path
    track: str
    dataset: str
    model: str
    split: str = "test"
    metric: str = "bleu"  # of those whose outputs can be tested in several
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def reader(self) -> outputs.Reader:
        return outputs.reader(self.folder, self.model)

    @cached_property
    def source(self) -> OutputSource:
        return OutputSource(self.folder, self.dataset, self.split, self.reader)

    @property
    def known(self) -> bool:
        """True if the task is one whose outputs can be read."""
        return self.track in TASKS

    @property
    def outputs(self) -> Outputs:
        return TASKS[self.track].outputs

    def cell(self, method: str, run: Run) -> str:
        """Id of a cell of the model."""
        arm, budget, seed = run
        return cell_id(self.model, method, arm, budget, seed)

    def where(self, cell: str) -> str:
        """The place of the outputs of a cell, for messages."""
        return self.reader.where(cell, self.outputs.kind, self.split)

    @property
    def exist(self) -> bool:
        """True if the folder has outputs of this model at all; published tables may come without."""
        return self.known and self.reader.exist and self.outputs.complete(self.source)

    def has(self, method: str, run: Run) -> bool:
        """True if a cell has outputs.

        :raises ResultsError: the outputs of the model are damaged.
        """
        try:
            return self.reader.has(self.cell(method, run), self.outputs.kind, self.split)
        except ValueError as error:
            raise ResultsError(str(error)) from error

    def compare(
        self, system: str, runs: Sequence[Run], baseline: str, others: Sequence[Run], draws: int
    ) -> PairedComparison:
        """The outputs of runs of a method against those of the baseline, pair by pair; difference: more is better.

        :param runs: of the system; the i-th is paired with the i-th of `others`, made with the same seed
        :param draws: swaps of the test where not all are made
        :raises ResultsError: a file is missing, unreadable, or of other segments than its pair.
        """
        ours, theirs = ([self._read(m, run) for run in rs] for m, rs in ((system, runs), (baseline, others)))
        try:
            return self.outputs.compare(theirs, ours, self.metric, draws)
        except ValueError as error:
            name = self.where(self.cell(system, runs[0]))
            raise ResultsError(f"{name} cannot be paired with {baseline}: {error}") from error

    def _read(self, method: str, run: Run) -> Any:
        cell = self.cell(method, run)
        if cell not in self._kept:
            try:
                self._kept[cell] = self.outputs.read(self.source, cell, self.metric)
            except (OSError, ValueError) as error:
                raise ResultsError(f"{self.where(cell)} cannot be used: {error}") from error
        return self._kept[cell]
