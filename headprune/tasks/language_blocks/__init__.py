"""Language modeling with models of fairseq's that somebody has, which read text block by block."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from headprune.data.lengths import Bound
from headprune.settings import Calibration, Evaluation, Speed
from headprune.tasks.base import Task
from headprune.tasks.language_blocks import planning
from headprune.tasks.language_blocks.sections import BinarisedText, GivenLanguageModel

if TYPE_CHECKING:
    from headprune.tasks.language_blocks.outputs import BlockLikelihoods
    from headprune.tasks.language_blocks.work import BlockWork


class BlockLanguageModeling(Task):
    """Examples are blocks of running text, as `fairseq-eval-lm` reads it; no block sees another."""

    name = "lm_blocks"
    a_corpus = "running text in blocks"
    a_model = "a language model of blocks"
    dataset = given_dataset = BinarisedText
    model = given_model = GivenLanguageModel
    metric = "perplexity"
    metrics = {}  # noqa: RUF012
    latency = "block"
    examples = "blocks of text"

    def bounds(
        self, models: Mapping[str, GivenLanguageModel], evaluation: Evaluation, calibration: Calibration, speed: Speed
    ) -> dict[str, Bound]:
        return planning.bounds(models, evaluation, calibration)

    def unreadable(self, dataset: BinarisedText, other: BinarisedText) -> str:
        """Binarised text is numbered by a dictionary of its own."""
        return "its text is cut and numbered already"

    def update(self, model: GivenLanguageModel, dataset: BinarisedText) -> tuple[int, int]:
        return planning.update(model)

    @cached_property
    def outputs(self) -> BlockLikelihoods:
        from headprune.tasks.language_blocks.outputs import BlockLikelihoods

        return BlockLikelihoods()

    @cached_property
    def work(self) -> BlockWork:
        from headprune.tasks.language_blocks.work import BlockWork

        return BlockWork()


LANGUAGE_BLOCKS = BlockLanguageModeling()
