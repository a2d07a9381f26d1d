"""Language modeling along contiguous rows, measured by perplexity."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headprune import cost
from headprune.config import Calibration, Evaluation, LanguageArchitecture, Speed, StreamTraining
from headprune.cost import Timing
from headprune.evaluation import language_modeling
from headprune.evaluation.generation import generate
from headprune.evaluation.language_modeling import Likelihood, likelihood
from headprune.evaluation.likelihood import Agreement
from headprune.evaluation.text import LanguageCorpus
from headprune.evaluation.translation import Paired, Score
from headprune.heads import HeadMask
from headprune.method import Batches
from headprune.results.outputs import file_name
from headprune.tasks.base import Outcome, Track
from headprune.training.trainer import optimisation_arguments

SPEED_SEGMENTS = 4  # segments of a measurement of throughput, so that the memory is full in most
PROMPT = 30  # tokens that a sample of text continues
TOP_K = 40  # the tail of a small model's distribution is noise, and hides what the pruned ones have lost


class LanguageModeling(Track):
    """Examples are windows of text; models read whole splits, with a memory of what came before.

    A token sees as many earlier ones as the memory is long, whatever the segments: their length in evaluation is the
    memory's, as in the paper, and changes no result.
    """

    name = "lm"

    def corpus(self, folder: Path, device: torch.device, sealed: bool = False) -> LanguageCorpus:
        return _corpus(folder, device, sealed)

    def arguments(
        self, corpus: LanguageCorpus, architecture: LanguageArchitecture, training: StreamTraining
    ) -> list[str]:
        a, t = architecture, training
        argv: list[Any] = [corpus.binarised, "--task", "streaming_lm", "--tokens-per-sample", a.segment]
        argv += ["--arch", "all_attention_lm", "--layers", a.layers, "--width", a.width, "--heads", a.heads]
        argv += ["--persistent", a.persistent, "--ffn-dim", a.feed_forward, "--initialisation", a.initialisation]
        argv += ["--memory-length", a.memory, "--max-relative", a.memory + 1]
        argv += ["--dropout", a.dropout, "--attention-dropout", a.attention_dropout]
        argv += ["--input-dropout", a.input_dropout, "--output-dropout", a.output_dropout]
        argv += ["--word-dropout", a.word_dropout]
        if a.cutoffs:
            argv += ["--adaptive-cutoff", ",".join(map(str, a.cutoffs)), "--adaptive-factor", a.factor]
        elif a.share_embeddings:
            argv += ["--share-embeddings"]
        argv += ["--final-norm"] if a.final_norm else []
        argv += ["--criterion", "gated_cross_entropy", "--batch-size", t.rows]
        argv += [] if t.roll else ["--no-roll-rows"]
        return [str(argument) for argument in [*argv, *optimisation_arguments(t)]]

    def calibration(
        self, corpus: LanguageCorpus, architecture: LanguageArchitecture, settings: Calibration, seed: int
    ) -> Batches:
        """Windows of two segments, each from an empty memory, so that batches may come in any order."""
        return corpus.sample_train(settings.windows, seed, 2 * architecture.segment)

    def validation(
        self, corpus: LanguageCorpus, architecture: LanguageArchitecture, settings: Evaluation
    ) -> Iterator[dict[str, Any]]:
        return corpus.batches("valid", settings.rows, architecture.segment)

    def agreement(
        self, model: Any, mask: HeadMask, pruned: Any, corpus: LanguageCorpus, settings: Evaluation
    ) -> Agreement:
        batches = corpus.batches("valid", settings.rows, length_of(pruned))
        return language_modeling.agreement(model, mask, pruned, batches, settings.checked_segments)

    def macs_per_token(self, model: Any, corpus: LanguageCorpus) -> float:
        """In segments as long as the memory, keys and values of the memory computed anew, as in training."""
        length = length_of(model)
        return cost.segment_macs(model, length) / length

    def evaluate(self, model: Any, corpus: LanguageCorpus, split: str, settings: Evaluation) -> Outcome:
        """Perplexity and bits per byte of rows side by side, as the paper reads them, and of one row; for the paired
        tests the log-likelihood of runs of consecutive tokens; and for the reader a sample of text."""
        read = likelihood(model, corpus, split, settings.rows, length_of(model))
        scores = {"perplexity": Score(read.perplexity, signature(read))}
        scores["bits_per_byte"] = Score(read.bits_per_byte, signature(read))
        if settings.one_row:
            alone = likelihood(model, corpus, split, 1, length_of(model))
            scores["perplexity_one_row"] = Score(alone.perplexity, signature(alone))
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
        return cost.measure_streams(models, row, batch, settings.repeats)

    def compare(
        self, models: Iterable[tuple[str, Any]], corpus: LanguageCorpus, settings: Evaluation, samples: int
    ) -> dict[str, Paired]:
        """Perplexity of validation text, with permutation tests of the log-likelihoods of its runs of tokens."""
        from headprune.statistics.paired import paired_means  # as in `evaluation.translation.bleu_against_first`

        reads = {name: likelihood(m, corpus, "valid", settings.rows, length_of(m)) for name, m in models}
        first = next(iter(reads))
        found = {first: Paired(reads[first].perplexity, None)}
        base = reads.pop(first).segments()
        for name, read in reads.items():
            nats = read.segments()["nats"]
            test = paired_means(-base["nats"], -nats, base["tokens"], samples)
            found[name] = Paired(read.perplexity, test.p_value, test.differing)
        return found


def length_of(model: Any) -> int:
    """Tokens of a segment in evaluation: as many as the memory holds."""
    return int(model.cfg.memory_length) or 64


def sample(model: Any, corpus: LanguageCorpus, split: str, length: int) -> bytes:
    """How a model goes on from the beginning of a split; all models draw with the same random numbers."""
    prompt = corpus.stream(split).tokens[: PROMPT + 1]  # with the end of the line before the first
    drawn = generate(model, prompt.tolist(), length, top_k=TOP_K, generator=torch.Generator().manual_seed(1))
    texts = {"prompt": corpus.text(prompt[1:]), "continuation": corpus.text(torch.tensor(drawn))}
    return json.dumps(texts, ensure_ascii=False, indent=1).encode()


def signature(read: Likelihood) -> str:
    """How a likelihood was computed, in the manner of sacrebleu."""
    parts = {"rows": read.rows, "T": read.length, "tokens": read.tokens, "dropped": read.dropped}
    parts |= {"unk": read.unknown_tokens, "bytes": read.bytes}
    return "|".join(f"{name}:{value}" for name, value in parts.items())


@cache
def _corpus(folder: Path, device: torch.device, sealed: bool) -> LanguageCorpus:
    return LanguageCorpus(folder, device, sealed)
