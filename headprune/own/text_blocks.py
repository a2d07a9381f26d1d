"""A language model of fairseq with the folder of its text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.data.indexed_dataset import infer_dataset_impl

from headprune import cost
from headprune.checkpoints import OpenedModel
from headprune.evaluation.likelihood import Batches, largest_difference
from headprune.evaluation.scores import Score
from headprune.gates import masked
from headprune.heads import HeadMask
from headprune.importance import example_losses, padding_index
from headprune.models.devices import device
from headprune.own.request import PruningRequest
from headprune.own.workpiece import SPLIT, Workpiece, division
from headprune.settings import Speed
from headprune.statistics import PairedComparison
from headprune.statistics.paired import paired_means
from headprune.tasks.language_blocks.corpus import BlockCorpus, TextFolder
from headprune.tasks.prepared import require_dictionary
from headprune.timing import Timing

SETTINGS = ("tokens_per_sample", "sample_break_mode", "add_bos_token", "max_target_positions")


class TextBlocks(Workpiece):
    """Examples are the blocks of tokens that fairseq cuts a text into; quality is perplexity per token."""

    examples, outputs, single = "blocks", "likelihoods.txt", "block"
    corpus: BlockCorpus

    @classmethod
    def of(cls, request: PruningRequest, opened: OpenedModel) -> TextBlocks:
        """A model on its device, with its data.

        :raises ValueError: data without a split, or with blocks of valid that the model cannot read.
        """
        told = {**opened.description.task, **opened.description.arguments}
        settings = {key: told[key] for key in SETTINGS if told.get(key) is not None}
        corpus = TextFolder(request.data, settings, device())
        require_dictionary(opened.model.decoder.dictionary, corpus.task.dictionary)
        total = len(corpus.dataset(SPLIT))
        work = cls(request, opened, corpus, *division(request, total, "train" in corpus.splits))
        if (longest := int(corpus.lengths(SPLIT).max())) > work.readable:
            raise ValueError(f"{request.data}: a block of valid has {longest} tokens, the model reads {work.readable}")
        return work

    @property
    def readable(self) -> int:
        """The most tokens of a block that the model reads, without the symbol before it."""
        return int(self.model.max_positions()) - bool(self.corpus.task.args.add_bos_token)

    @property
    def reading(self) -> Sequence[str]:
        return [f"{key} {getattr(self.corpus.task.args, key)}" for key in SETTINGS]

    def calibration(self) -> Batches:
        number, seed = self.request.calibration.sentences, self.request.seed
        if self.judged is not None:
            return self.corpus.batches(SPLIT, self.most(SPLIT), self.judged)
        return self.corpus.sample_train(number, seed, self.most("train"), self.readable)

    def batches(self) -> Batches:
        return self.corpus.batches(SPLIT, self.most(SPLIT), self.measured)

    def most(self, split: str) -> int:
        """Tokens of a batch: as many as elsewhere, or as the longest block has."""
        return max(self.request.evaluation.max_tokens, int(self.corpus.lengths(split).max()))

    @torch.no_grad()
    def put_out(self, model: Any) -> list[str]:
        found: dict[int, tuple[float, int]] = {}
        padding = padding_index(model)
        for batch in self.batches():
            losses, sizes = example_losses(model, batch).double().tolist(), batch["target"].ne(padding).sum(1).tolist()
            found |= dict(zip(batch["id"].tolist(), zip(losses, sizes, strict=True), strict=True))
        return ["{!r}\t{}".format(*found[number]) for number in self.measured]

    def scores(self, lines: Sequence[str]) -> Mapping[str, Score]:
        losses, sizes = parsed(lines)
        return {"perplexity": Score(math.exp(losses.sum() / sizes.sum()))}

    def compare(self, baseline: Sequence[str], system: Sequence[str]) -> PairedComparison:
        """The difference of log-likelihoods per token, in nats."""
        (first, sizes), (second, _) = parsed(baseline), parsed(system)
        return paired_means(-first, -second, sizes)

    def macs_per_token(self, model: Any) -> float:
        length = int(self.corpus.task.args.tokens_per_sample)
        return cost.macs(model, 0, length) / length

    def agreed(self, mask: HeadMask, model: Any, smaller: Any) -> dict[str, Any]:
        with masked(model, mask):
            return {"masked_vs_removed_max_abs": largest_difference(model, smaller, self.batches()[0])}

    def timed(self, models: Mapping[str, Any]) -> dict[str, tuple[Timing, Timing]]:
        """Forward passes over blocks of median length, one by one and together."""
        settings = Speed()
        return cost.measure_passes(models, *self.corpus.typical(settings), settings)

    @property
    def training_words(self) -> Sequence[str]:
        raw = infer_dataset_impl(str(self.request.data / "train")) == "raw"
        words = [str(self.request.data), "--task", "language_modeling"]
        return [*words, *(["--dataset-impl", "raw"] if raw else [])]

    @property
    def task_settings(self) -> Mapping[str, Any]:
        found = {key: getattr(self.corpus.task.args, key, None) for key in SETTINGS}
        return {key: value for key, value in found.items() if value is not None}

    def commands(self, model: Path) -> list[str]:
        args = self.corpus.task.args
        words = f"--tokens-per-sample {args.tokens_per_sample} --sample-break-mode {args.sample_break_mode or 'none'}"
        words += " --add-bos-token" if args.add_bos_token else ""
        return [
            f'fairseq-eval-lm {self.request.data} --user-dir "$(headprune user-dir)" --path {model} '
            f"--gen-subset {SPLIT} {words}"
        ]


def parsed(lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Losses in nats and numbers of tokens of every block, (blocks,) each."""
    values = np.array([line.split("\t") for line in lines], dtype=np.float64)
    return values[:, 0], values[:, 1]
