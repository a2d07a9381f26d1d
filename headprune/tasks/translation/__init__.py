"""Translation with fairseq's Transformer, measured by BLEU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from headprune.data.kinds import PAIRS
from headprune.data.lengths import Bound
from headprune.settings import Calibration, Evaluation, Speed
from headprune.tasks.base import Task
from headprune.tasks.translation import planning
from headprune.tasks.translation.sections import Dataset, Model

if TYPE_CHECKING:
    from headprune.tasks.translation.outputs import Hypotheses
    from headprune.tasks.translation.work import TranslationWork


class Translation(Task):
    """Examples are sentence pairs; hypotheses come from beam search."""

    name = "mt"
    a_corpus = "a parallel corpus"
    a_model = "a translation model"
    dataset = Dataset
    model = Model
    metric = "bleu"
    metrics = {  # noqa: RUF012
        "bleu": "BLEU",
        "bleu_tokenized_lower": "BLEU",
        "chrf": "chrF2",
        "length_ratio": "ratio",
        "repetition_rate": "share",
    }
    corpora = PAIRS
    latency = "sentence"
    examples = "sentences"

    def bounds(
        self, models: Mapping[str, Model], evaluation: Evaluation, calibration: Calibration, speed: Speed
    ) -> dict[str, Bound]:
        return planning.bounds(models, evaluation, calibration)

    def unreadable(self, dataset: Dataset, other: Dataset) -> str:
        """Other languages are other sentences."""
        own, theirs = ((each.source().source, each.source().target) for each in (dataset, other))
        return "" if own == theirs else f"its sentences are {'-'.join(theirs)}, those of the model {'-'.join(own)}"

    def update(self, model: Model, dataset: Dataset) -> tuple[int, int]:
        return planning.update(model, dataset)

    @cached_property
    def outputs(self) -> Hypotheses:
        from headprune.tasks.translation.outputs import Hypotheses

        return Hypotheses()

    @cached_property
    def work(self) -> TranslationWork:
        from headprune.tasks.translation.work import TranslationWork

        return TranslationWork()


TRANSLATION = Translation()
