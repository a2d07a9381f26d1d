"""Translation with fairseq's Transformer, measured by BLEU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from headprune.data.kinds import PAIRS
from headprune.data.lengths import Bound
from headprune.settings import Calibration, Evaluation, ModelKeys, PreparedData, Speed
from headprune.tasks.base import Task
from headprune.tasks.translation import planning
from headprune.tasks.translation.given import BinarisedPairs, GivenTranslation
from headprune.tasks.translation.sections import Dataset, Model

if TYPE_CHECKING:
    from headprune.tasks.translation.outputs import Hypotheses, TokenHypotheses
    from headprune.tasks.translation.work import TokenWork, TranslationWork


class Translation(Task):
    """Examples are sentence pairs; hypotheses come from beam search."""

    name = "mt"
    a_corpus = "a parallel corpus"
    a_model = "a translation model"
    dataset: ClassVar[type[PreparedData]] = Dataset
    model: ClassVar[type[ModelKeys]] = Model
    given_dataset = BinarisedPairs
    given_model = GivenTranslation
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
        self,
        models: Mapping[str, Model | GivenTranslation],
        evaluation: Evaluation,
        calibration: Calibration,
        speed: Speed,
    ) -> dict[str, Bound]:
        return planning.bounds(models, evaluation, calibration)

    def unreadable(self, dataset: Dataset | BinarisedPairs, other: Dataset | BinarisedPairs) -> str:
        """Other languages are other sentences, and binarised ones are numbered by another dictionary."""
        if isinstance(dataset, BinarisedPairs) or isinstance(other, BinarisedPairs):
            return "one of them is a `data_bin`, whose sentences are cut and numbered already"
        own, theirs = ((each.source().source, each.source().target) for each in (dataset, other))
        return "" if own == theirs else f"its sentences are {'-'.join(theirs)}, those of the model {'-'.join(own)}"

    def update(self, model: Any, dataset: Any) -> tuple[int, int]:
        tokens, parameters = model.update(dataset)
        return int(tokens), int(parameters)

    @cached_property
    def outputs(self) -> Hypotheses:
        from headprune.tasks.translation.outputs import Hypotheses

        return Hypotheses()

    @cached_property
    def work(self) -> TranslationWork:
        from headprune.tasks.translation.work import TranslationWork

        return TranslationWork()


class TokenTranslation(Translation):
    """Translation of which nobody has the text: hypotheses are compared with tokens."""

    name = "mt_tokens"
    a_corpus = "binarised sentence pairs without text"
    a_model = "a translation model that is judged by tokens"
    dataset = BinarisedPairs
    model = GivenTranslation
    metric = "bleu_tokenized"
    metrics = {"bleu_tokenized": "BLEU", "exact_match": "share", "repetition_rate": "share"}  # noqa: RUF012

    def takes(self, section: Mapping[str, Any]) -> bool:
        return "data_bin" in section and not section.get("references")

    @cached_property
    def outputs(self) -> TokenHypotheses:
        from headprune.tasks.translation.outputs import TokenHypotheses

        return TokenHypotheses()

    @cached_property
    def work(self) -> TokenWork:
        from headprune.tasks.translation.work import TokenWork

        return TokenWork()


TRANSLATION = Translation()
TOKEN_TRANSLATION = TokenTranslation()
