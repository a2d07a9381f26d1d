"""Made-up sentence pairs and untrained models of the size of the profile `quick`; no corpus is needed.

Lengths are those of its corpus: 20 ± 10 subwords of a source, 0.89 target subwords for each of them, so that batches
of at most 1,000 tokens a side have 46 sentences and 8 % of padding on the target side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.data import Dictionary, LanguagePairDataset, data_utils
from fairseq.tasks.translation import TranslationTask
from fairseq.trainer import Trainer

from headprune.training.arguments import fast_arguments
from headprune.training.trainer import configuration


@dataclass(frozen=True)
class Size:
    """A Transformer with as many layers on either side."""

    width: int
    feed_forward: int
    layers: int
    heads: int

    @property
    def n_heads(self) -> int:
        return 3 * self.layers * self.heads


QUICK, BASE = Size(128, 256, 2, 4), Size(512, 2048, 6, 8)
VOCABULARY, MAX_TOKENS = 2000, 1000
N_HEADS = QUICK.n_heads
Batch = dict[str, Any]

STOCK = ("--arch", "transformer", "--criterion", "label_smoothed_cross_entropy", "--optimizer", "adam")
PLAIN = (
    *("--arch", "headprune_transformer", "--criterion", "gated_label_smoothed_cross_entropy"),
    *("--optimizer", "gated_adam"),
)
OURS = (*PLAIN, *fast_arguments("adam"))


def dictionary(size: int = VOCABULARY) -> Dictionary:
    words = Dictionary()
    for number in range(size - words.nspecial):
        words.add_symbol(f"w{number}")
    return words


def pairs(words: Dictionary, sentences: int, seed: int) -> LanguagePairDataset:
    """Random sentences; the frequency of words falls as Zipf's law says."""
    generator = np.random.default_rng(seed)
    sources = np.clip(np.exp(generator.normal(2.876, 0.489, sentences)), 3, 60).round().astype(int)
    targets = np.clip(sources * np.exp(generator.normal(math.log(0.889), 0.19, sentences)), 3, 60).round().astype(int)
    frequencies = 1 / np.arange(1, len(words) - words.nspecial + 1)

    def side(lengths: np.ndarray) -> list[torch.Tensor]:
        drawn = generator.choice(len(frequencies), lengths.sum(), p=frequencies / frequencies.sum()) + words.nspecial
        parts = np.split(drawn, np.cumsum(lengths)[:-1])
        return [torch.from_numpy(np.append(part[:-1], words.eos())) for part in parts]

    return LanguagePairDataset(side(sources), sources, words, side(targets), targets, words, shuffle=True)


def batches(
    words: Dictionary, number: int | None, seed: int, max_tokens: int = MAX_TOKENS, sentences: int = 4000
) -> list[Batch]:
    """Batches as fairseq makes them, of neighbouring lengths, in random order; the first `number`, or all."""
    dataset = pairs(words, sentences, seed)
    with data_utils.numpy_seed(seed):
        order = dataset.ordered_indices()
        chosen = data_utils.batch_by_size(
            order, dataset.num_tokens, max_tokens=max_tokens, required_batch_size_multiple=1
        )
        picked = np.random.permutation(len(chosen))[:number]
    return [dataset.collater([dataset[i] for i in chosen[p]]) for p in picked]


def arguments(*kind: str, dropout: float = 0.0, size: Size = QUICK) -> list[str]:
    """Arguments of `fairseq-train`: the recipe of `quick`, of stock fairseq (`STOCK`) or of this library,
    fast (`OURS`) or not (`PLAIN`)."""
    argv: list[Any] = ["none", "--task", "translation", "--source-lang", "de", "--target-lang", "en", *kind]
    for side in ("encoder", "decoder"):
        argv += [f"--{side}-embed-dim", size.width, f"--{side}-ffn-embed-dim", size.feed_forward]
        argv += [f"--{side}-layers", size.layers, f"--{side}-attention-heads", size.heads, f"--{side}-normalize-before"]
    argv += ["--share-all-embeddings", "--dropout", dropout, "--label-smoothing", 0.1, "--max-tokens", MAX_TOKENS]
    argv += ["--adam-betas", "(0.9, 0.98)", "--lr", 0.004, "--clip-norm", 1.0, "--lr-scheduler", "polynomial_decay"]
    argv += ["--warmup-updates", 150, "--total-num-update", 1200, "--end-learning-rate", 0, "--max-update", 1200]
    return [str(argument) for argument in argv]


def trainer(argv: list[str], words: Dictionary, seed: int) -> Trainer:
    """fairseq's trainer of an untrained model, without data."""
    cfg = configuration([*argv, "--seed", str(seed)])
    task = TranslationTask(cfg.task, words, words)
    torch.manual_seed(seed)
    model, criterion = task.build_model(cfg.model), task.build_criterion(cfg.criterion)
    return Trainer(cfg, task, model, criterion)


def updates(cfg: Any, task: Any, batches: list[Batch], seed: int) -> Callable[[], Any]:
    """A function that does the next update of an untrained model, on these batches in turn."""
    torch.manual_seed(seed)
    trainer = Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))
    following = cycle(batches)
    return lambda: trainer.train_step([next(following)])


def model(words: Dictionary, seed: int, *kind: str, size: Size = QUICK) -> Any:
    """An untrained model in evaluation mode."""
    return trainer(arguments(*(kind or OURS), size=size), words, seed).model.eval()
