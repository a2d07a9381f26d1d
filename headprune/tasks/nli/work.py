"""The work of jobs for natural language inference."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headprune import cost
from headprune.evaluation.likelihood import Agreement, agreement
from headprune.evaluation.scores import Paired, Score, against_first
from headprune.heads import HeadMask
from headprune.method import Batches
from headprune.results.outputs import file_name
from headprune.settings import Calibration, Evaluation, Speed
from headprune.tasks.batching import UNBOUNDED, typical
from headprune.tasks.nli import evaluation as judging
from headprune.tasks.nli.arguments import arguments, pretraining_arguments
from headprune.tasks.nli.corpus import ExampleCorpus
from headprune.tasks.nli.sections import ExampleTraining, RobertaArchitecture
from headprune.tasks.nli.trainings import Pretraining
from headprune.tasks.work import Outcome, Work
from headprune.timing import Timing, in_turn


class JudgingWork(Work):
    """Examples are pairs of sentences with a label; a model reads a pair at once."""

    def corpus(self, folder: Path, device: torch.device, sealed: bool = False) -> ExampleCorpus:
        return ExampleCorpus(folder, device, sealed)

    def arguments(
        self, corpus: ExampleCorpus, architecture: RobertaArchitecture, training: ExampleTraining
    ) -> list[str]:
        return arguments(corpus.binarised, len(corpus.labels), architecture, training)

    def pretraining_arguments(
        self, corpus: ExampleCorpus, architecture: RobertaArchitecture, pretraining: Pretraining
    ) -> list[str]:
        return pretraining_arguments(corpus.binarised, architecture, pretraining)

    def begun(self, corpus: ExampleCorpus, architecture: RobertaArchitecture, place: Path) -> Any:
        from headprune.tasks.nli.released import begun  # of no use to most jobs

        return begun(corpus.binarised, architecture, place)

    def calibration(
        self, corpus: ExampleCorpus, architecture: RobertaArchitecture, settings: Calibration, seed: int
    ) -> Batches:
        return corpus.sample_train(settings.sentences, seed, architecture.positions, settings.max_tokens)

    def validation(self, corpus: ExampleCorpus, architecture: RobertaArchitecture, settings: Evaluation) -> Batches:
        return corpus.batches("valid", architecture.positions, settings.max_tokens)

    def agreement(
        self, model: Any, mask: HeadMask, pruned: Any, corpus: ExampleCorpus, settings: Evaluation
    ) -> Agreement:
        batches = corpus.batches("valid", judging.positions_of(pruned), settings.max_tokens)
        return agreement(model, mask, pruned, batches, batches)

    def macs_per_token(self, model: Any, corpus: ExampleCorpus) -> float:
        """Multiply-accumulates per token that is read, of a validation example of mean length."""
        length = min(round(corpus.statistics["splits"]["valid"]["mean_tokens"]), judging.positions_of(model))
        return cost.macs(model, length, 1) / length

    def evaluate(self, model: Any, corpus: ExampleCorpus, split: str, settings: Evaluation) -> Outcome:
        """Accuracy, and the label of every example in the order of the corpus."""
        table = judging.judgements(model, corpus, split, settings.max_tokens)
        content = io.BytesIO()
        table.to_parquet(content, index=False)
        shortened = corpus.shortened(split, judging.positions_of(model))
        read = f"|shortened:{shortened}" if shortened else ""
        score = Score(judging.accuracy(table), f"examples:{len(table)}|labels:{len(corpus.labels)}{read}")
        return Outcome({"accuracy": score}, {file_name("labels", split): content.getvalue()})

    def scores_validation(self, settings: Evaluation) -> bool:
        """Accuracy costs no more than the perplexity of labels does."""
        return True

    def time(
        self, models: Mapping[str, nn.Module], corpus: ExampleCorpus, settings: Speed, evaluation: Evaluation
    ) -> dict[str, tuple[Timing, Timing]]:
        """Milliseconds per pair at batch size 1 and tokens read per second, on validation pairs of median length."""
        if not models:
            return {}
        positions = min(judging.positions_of(model) for model in models.values())
        lengths = corpus.lengths("valid", positions)
        singles, batch = typical(partial(corpus.batches, "valid", positions, UNBOUNDED), lengths, settings)
        tokens = int(lengths[batch["id"].cpu().numpy()].sum())

        def run(model: Any) -> tuple[float, float]:
            single = sum(cost.reading_seconds(model, [one["net_input"]]) for one in singles) / len(singles)
            return 1000 * single, tokens / cost.reading_seconds(model, [batch["net_input"]])

        return in_turn(models, run, settings)

    def compare(
        self, models: Iterable[tuple[str, Any]], corpus: ExampleCorpus, settings: Evaluation, samples: int
    ) -> dict[str, Paired]:
        """Accuracy on validation examples, with McNemar's exact test."""
        from headprune.statistics.mcnemar import mcnemar  # half a second of scipy, which most jobs never use

        tables = {name: judging.judgements(model, corpus, "valid", settings.max_tokens) for name, model in models}
        return against_first(tables, judging.accuracy, lambda *both: mcnemar(*map(judging.right, both)))
