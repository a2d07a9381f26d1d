"""The work of jobs for translation."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from headprune import cost
from headprune.evaluation.likelihood import Agreement
from headprune.evaluation.scores import Paired
from headprune.heads import HeadMask
from headprune.method import Batches
from headprune.results.outputs import file_name
from headprune.settings import Calibration, Evaluation, GivenShape, Speed
from headprune.tasks.batching import UNBOUNDED, typical
from headprune.tasks.prepared import require_dictionary
from headprune.tasks.translation import evaluation, metrics
from headprune.tasks.translation.arguments import arguments
from headprune.tasks.translation.corpus import RereadCorpus, TranslationCorpus
from headprune.tasks.translation.data_bin import PreparedBin
from headprune.tasks.translation.sections import Architecture, Training
from headprune.tasks.work import Outcome, Work
from headprune.timing import Timing


class TranslationWork(Work):
    """Examples are sentence pairs; hypotheses come from beam search.

    :cvar of_tokens: whether hypotheses are compared with tokens, for want of text
    """

    of_tokens: ClassVar[bool] = False

    def corpus(self, folder: Path, device: torch.device, sealed: bool = False) -> TranslationCorpus:
        corpus = TranslationCorpus(folder, device, sealed)
        return PreparedBin(folder, device, sealed) if "bpe" in corpus.statistics["recipe"] else corpus

    def arguments(
        self, corpus: TranslationCorpus, architecture: Architecture | GivenShape, training: Training
    ) -> list[str]:
        return arguments(corpus.binarised, corpus.pair, architecture, training)

    def require_words(self, model: Any, corpus: TranslationCorpus) -> None:
        task = corpus.task
        for part, words in (("encoder", task.source_dictionary), ("decoder", task.target_dictionary)):
            require_dictionary(getattr(model, part).dictionary, words, part)

    def calibration(
        self, corpus: TranslationCorpus, architecture: Architecture | GivenShape, settings: Calibration, seed: int
    ) -> Batches:
        return corpus.sample_train(settings.sentences, seed, settings.max_tokens)

    def rereading(self, corpus: TranslationCorpus, folder: Path) -> TranslationCorpus:
        return RereadCorpus(corpus, folder)

    def validation(
        self, corpus: TranslationCorpus, architecture: Architecture | GivenShape, settings: Evaluation
    ) -> Batches:
        return corpus.batches("valid", settings.max_tokens)

    def agreement(
        self, model: Any, mask: HeadMask, pruned: Any, corpus: TranslationCorpus, settings: Evaluation
    ) -> Agreement:
        return evaluation.agreement(model, mask, pruned, corpus, corpus.batches("valid", settings.max_tokens), settings)

    def macs_per_token(self, model: Any, corpus: TranslationCorpus) -> float:
        """Multiply-accumulates per target token of a validation pair of mean length on both sides."""
        lengths = corpus.statistics["splits"]["valid"]["mean_tokens"]
        source, target = (round(lengths[language]) + 1 for language in corpus.pair)
        return cost.macs(model, source, target) / target

    def evaluate(self, model: Any, corpus: TranslationCorpus, split: str, settings: Evaluation) -> Outcome:
        """BLEU and chrF of beam-search hypotheses on raw references; one hypothesis a line in corpus order."""
        hypotheses = evaluation.translate(model, corpus, split, settings)
        scores = corpus.scores(hypotheses, split)
        lines = "".join(f"{line}\n" for line in hypotheses).encode()
        # without a time stamp: equal lines give equal bytes
        return Outcome(scores, {file_name("hypotheses", split): gzip.compress(lines, mtime=0)})

    def scores_validation(self, settings: Evaluation) -> bool:
        return settings.translate_valid

    def time(
        self, models: Mapping[str, nn.Module], corpus: TranslationCorpus, settings: Speed, evaluation: Evaluation
    ) -> dict[str, tuple[Timing, Timing]]:
        """Milliseconds per sentence at batch size 1 and target tokens per second, on validation sentences of median
        length."""
        singles, batch = typical(partial(corpus.batches, "valid", UNBOUNDED), corpus.lengths("valid"), settings)
        return cost.measure(models, corpus.task, singles, batch, evaluation.beam, settings, evaluation.search)

    def compare(
        self, models: Iterable[tuple[str, Any]], corpus: TranslationCorpus, settings: Evaluation, samples: int
    ) -> dict[str, Paired]:
        """BLEU of validation hypotheses."""
        hypotheses = {name: evaluation.translate(model, corpus, "valid", settings) for name, model in models}
        return metrics.bleu_against_first(hypotheses, corpus.references("valid"), samples, self.of_tokens)


class TokenWork(TranslationWork):
    """Translation of which nobody has the text."""

    of_tokens = True
