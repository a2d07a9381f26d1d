"""Language modeling along contiguous rows, measured by perplexity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from headprune.data.kinds import TEXT
from headprune.data.lengths import Bound
from headprune.settings import Calibration, Evaluation, ModelKeys, Speed
from headprune.tasks.base import Task
from headprune.tasks.language_modeling import planning
from headprune.tasks.language_modeling.given import GivenStreamModel
from headprune.tasks.language_modeling.sections import LanguageModel, TextDataset

if TYPE_CHECKING:
    from headprune.tasks.language_modeling.outputs import Likelihoods
    from headprune.tasks.language_modeling.work import LanguageModelingWork


class LanguageModeling(Task):
    """Examples are windows of text; models read whole splits, with a memory of what came before."""

    name = "lm"
    a_corpus = "a text corpus"
    a_model = "a language model"
    dataset = TextDataset
    model: ClassVar[type[ModelKeys]] = LanguageModel
    given_model = GivenStreamModel
    metric = "perplexity"
    metrics = {"perplexity_one_row": "per token", "bits_per_byte": "bits"}  # noqa: RUF012
    corpora = TEXT
    latency = "token"
    examples = "windows of text"

    def bounds(
        self,
        models: Mapping[str, planning.AnyStreamModel],
        evaluation: Evaluation,
        calibration: Calibration,
        speed: Speed,
    ) -> dict[str, Bound]:
        return planning.bounds(models, evaluation, speed)

    def unreadable(self, dataset: TextDataset, other: TextDataset) -> str:
        """Any text can be read; words that the dictionary lacks are unknown."""
        return ""

    def update(self, model: planning.AnyStreamModel, dataset: TextDataset) -> tuple[int, int]:
        return planning.update(model, dataset)

    @cached_property
    def outputs(self) -> Likelihoods:
        from headprune.tasks.language_modeling.outputs import Likelihoods

        return Likelihoods()

    @cached_property
    def work(self) -> LanguageModelingWork:
        from headprune.tasks.language_modeling.work import LanguageModelingWork

        return LanguageModelingWork()


LANGUAGE_MODELING = LanguageModeling()
