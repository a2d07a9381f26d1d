"""The work of jobs for language modeling."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from headprune import cost
from headprune.evaluation.likelihood import Agreement
from headprune.evaluation.scores import Paired, Score, against_first
from headprune.heads import HeadMask
from headprune.method import Batches
from headprune.results.outputs import file_name
from headprune.settings import Calibration, Evaluation, Speed
from headprune.tasks.language_modeling import evaluation as reading
from headprune.tasks.language_modeling.arguments import arguments
from headprune.tasks.language_modeling.corpus import LanguageCorpus, RereadText
from headprune.tasks.language_modeling.evaluation import Likelihood, length_of, likelihood
from headprune.tasks.language_modeling.generation import sample
from headprune.tasks.language_modeling.sections import LanguageArchitecture, StreamTraining
from headprune.tasks.prepared import require_dictionary
from headprune.tasks.work import Outcome, Work
from headprune.timing import Timing

if TYPE_CHECKING:
    from headprune.statistics.paired import PairedComparison

SPEED_SEGMENTS = 4  # segments of a measurement of throughput, so that the memory is full in most


class LanguageModelingWork(Work):
    """Examples are windows of text; models read whole splits, with a memory of what came before.

    A token sees as many earlier ones as the memory is long, whatever the segments: their length in evaluation is the
    memory's, as in the paper, and changes no result.
    """

    def corpus(self, folder: Path, device: torch.device, sealed: bool = False) -> LanguageCorpus:
        return LanguageCorpus(folder, device, sealed)

    def arguments(
        self, corpus: LanguageCorpus, architecture: LanguageArchitecture, training: StreamTraining
    ) -> list[str]:
        return arguments(corpus.binarised, architecture, training)

    def require_words(self, model: Any, corpus: LanguageCorpus) -> None:
        remedy = "the corpus that the model was trained on, prepared in the same way"
        require_dictionary(model.decoder.dictionary, corpus.task.dictionary, remedy=remedy)

    def calibration(
        self, corpus: LanguageCorpus, architecture: LanguageArchitecture, settings: Calibration, seed: int
    ) -> Batches:
        """Windows of two segments, each from an empty memory, so that batches may come in any order."""
        return corpus.sample_train(settings.windows, seed, 2 * architecture.segment)

    def rereading(self, corpus: LanguageCorpus, folder: Path) -> LanguageCorpus:
        return RereadText(corpus, folder)

    def validation(
        self, corpus: LanguageCorpus, architecture: LanguageArchitecture, settings: Evaluation
    ) -> Iterator[dict[str, Any]]:
        return corpus.batches("valid", settings.rows, architecture.segment)

    def agreement(
        self, model: Any, mask: HeadMask, pruned: Any, corpus: LanguageCorpus, settings: Evaluation
    ) -> Agreement:
        batches = corpus.batches("valid", settings.rows, length_of(pruned))
        return reading.agreement(model, mask, pruned, batches, settings.checked_segments)

    def macs_per_token(self, model: Any, corpus: LanguageCorpus) -> float:
        """Multiply-accumulates per token of segments as long as the memory, its keys and values computed anew, as in
        training."""
        length = length_of(model)
        return cost.segment_macs(model, length) / length

    def evaluate(self, model: Any, corpus: LanguageCorpus, split: str, settings: Evaluation) -> Outcome:
        """Perplexity and bits per byte of rows side by side, as the paper reads them, and of one row; for the paired
        tests the log-likelihood of runs of consecutive tokens; and for the reader a sample of text."""
        read = likelihood(model, corpus, split, settings.rows, length_of(model))
        scores = {"perplexity": Score(read.perplexity, read.signature)}
        scores["bits_per_byte"] = Score(read.bits_per_byte, read.signature)
        if settings.one_row:
            alone = likelihood(model, corpus, split, 1, length_of(model))
            scores["perplexity_one_row"] = Score(alone.perplexity, alone.signature)
        table = read.segments()
        table["log_likelihood"] = -table.pop("nats")
        content = io.BytesIO()
        table.to_parquet(content, index=False)
        files = {file_name("likelihoods", split): content.getvalue()}
        if settings.sample:
            files[file_name("sample", split)] = sample(model, corpus, split, settings.sample)
        return Outcome(scores, files)

    def time(
        self, models: Mapping[str, nn.Module], corpus: LanguageCorpus, settings: Speed, evaluation: Evaluation
    ) -> dict[str, tuple[Timing, Timing]]:
        """Milliseconds per token of one row read token by token, and tokens per second of rows read by segments."""
        if not models:
            return {}
        length = max(length_of(model) for model in models.values())
        row = next(corpus.batches("valid", 1, 8 * settings.sentences))["net_input"]["src_tokens"]
        batch = list(islice(corpus.batches("valid", settings.batch_size, length), SPEED_SEGMENTS))
        return cost.measure_streams(models, row, batch, settings)

    def compare(
        self, models: Iterable[tuple[str, Any]], corpus: LanguageCorpus, settings: Evaluation, samples: int
    ) -> dict[str, Paired]:
        """Perplexity of validation text, with permutation tests of the log-likelihoods of its runs of tokens."""
        from headprune.statistics.paired import (
            paired_means,  # half a second of scipy, which most jobs never use
        )

        reads = {name: likelihood(m, corpus, "valid", settings.rows, length_of(m)) for name, m in models}

        def test(base: Likelihood, read: Likelihood) -> PairedComparison:
            first, second = base.segments(), read.segments()
            return paired_means(-first["nats"], -second["nats"], first["tokens"], samples)

        return against_first(reads, lambda read: read.perplexity, test)
