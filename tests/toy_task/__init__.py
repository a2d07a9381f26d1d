"""A task of its own: strings of symbols are to be reversed. It is nowhere in the library; docs/adding-a-task.md."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from headprune.data.lengths import Bound
from headprune.results.vocabulary import OutputKind
from headprune.settings import Calibration, Evaluation, Speed
from headprune.tasks.base import Task
from toy_task.sections import Reverser, Strings

if TYPE_CHECKING:
    from toy_task.outputs import Answers
    from toy_task.work import ReversingWork


class Reversing(Task):
    """Examples are strings and the same strings backwards; what counts is the share of symbols that are right."""

    name = "reverse"
    a_corpus = "strings of symbols"
    a_model = "a reverser"
    dataset = Strings
    model = Reverser
    metric = "right_symbols"
    metrics = {"right_symbols": "share of symbols"}  # noqa: RUF012
    kinds = {"answers": OutputKind("answers.{}.parquet", ("expected", "answered", "symbols", "right"))}  # noqa: RUF012
    latency = "string"
    examples = "strings"

    def bounds(
        self, models: Mapping[str, Reverser], evaluation: Evaluation, calibration: Calibration, speed: Speed
    ) -> dict[str, Bound]:
        """Enough strings for the batches that speed is measured with."""
        return {"valid": Bound(speed.batch_size, "speed.batch_size")}

    def update(self, model: Reverser, dataset: Strings) -> tuple[int, int]:
        layer = 4 * model.architecture.width**2 + 2 * model.architecture.width**2
        tokens = model.training.batch_size * (dataset.length + 1)
        return tokens, model.architecture.layers * 3 * layer

    @cached_property
    def outputs(self) -> Answers:
        from toy_task.outputs import Answers

        return Answers()

    @cached_property
    def work(self) -> ReversingWork:
        from toy_task.work import ReversingWork

        return ReversingWork()


REVERSING = Reversing()
