"""Natural language inference with fairseq's RoBERTa, measured by accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from headprune.data.lengths import Bound
from headprune.settings import Calibration, Evaluation, Speed
from headprune.tasks.base import Task
from headprune.tasks.nli import planning
from headprune.tasks.nli.corpora import JUDGED
from headprune.tasks.nli.sections import JudgedDataset, JudgingModel

if TYPE_CHECKING:
    from headprune.tasks.nli.outputs import Judgements
    from headprune.tasks.nli.work import JudgingWork


class LanguageInference(Task):
    """Examples are pairs of sentences; whether the second follows from the first is a label."""

    name = "nli"
    a_corpus = "a corpus of judged pairs"
    a_model = "a model that judges"
    dataset = JudgedDataset
    model = JudgingModel
    metric = "accuracy"
    metrics = {"accuracy": "share of examples"}  # noqa: RUF012
    corpora = JUDGED
    latency = "pair of sentences"
    examples = "pairs of sentences"
    distils = False

    def bounds(
        self, models: Mapping[str, JudgingModel], evaluation: Evaluation, calibration: Calibration, speed: Speed
    ) -> dict[str, Bound]:
        return planning.bounds(models, evaluation, calibration)

    def update(self, model: JudgingModel, dataset: JudgedDataset) -> tuple[int, int]:
        return planning.update(model, dataset)

    @cached_property
    def outputs(self) -> Judgements:
        from headprune.tasks.nli.outputs import Judgements

        return Judgements()

    @cached_property
    def work(self) -> JudgingWork:
        from headprune.tasks.nli.work import JudgingWork

        return JudgingWork()


LANGUAGE_INFERENCE = LanguageInference()
