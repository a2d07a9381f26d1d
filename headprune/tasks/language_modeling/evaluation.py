"""Likelihood of a split under a language model with a memory (docs/theory/language-model-training.md#evaluation).

The protocol of the paper: rows and segments stated (T = M), the memory of every row empty at its beginning, the mean
over all tokens, ends of lines included. The more rows, the more beginnings without context, so perplexities compare
at equal rows only; one row is what no choice of rows can flatter. Here no token is left out unless asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from headprune.evaluation.likelihood import Agreement, largest_between, require_numbers
from headprune.gates import masked
from headprune.heads import HeadMask
from headprune.importance import padding_index, token_losses
from headprune.models.all_attention import standing_still
from headprune.models.devices import placed
from headprune.tasks.language_modeling.corpus import LanguageCorpus

if TYPE_CHECKING:
    import pandas as pd

SEGMENT = 64  # tokens of a segment for paired tests


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Cross-entropy of every token of a split, and what it is the mean of."""

    split: str
    rows: int
    length: int  # tokens of a segment of the model, T
    nats: np.ndarray  # (tokens,) float64, in the order of the corpus
    dropped: int  # tokens at the end of the corpus that were not scored
    bytes: int  # of the text of the whole split in UTF-8, newlines included
    unknown_tokens: int  # of the whole split; they cost less than what they stand for

    @property
    def tokens(self) -> int:
        """Tokens that were scored, ends of lines included."""
        return len(self.nats)

    @property
    def nats_per_token(self) -> float:
        return math.fsum(self.nats) / self.tokens

    @property
    def perplexity(self) -> float:
        """exp of the mean cross-entropy per token; compares between models with equal tokens."""
        return math.exp(self.nats_per_token)

    @property
    def bits_per_byte(self) -> float:
        """Compares between tokenisations, as long as they leave no token unknown. Dropped tokens count as the mean."""
        return self.nats_per_token * (self.tokens + self.dropped) / math.log(2) / self.bytes

    @property
    def signature(self) -> str:
        """The way in which it was computed, in the manner of sacrebleu."""
        parts = {"rows": self.rows, "T": self.length, "tokens": self.tokens, "dropped": self.dropped}
        parts |= {"unk": self.unknown_tokens, "bytes": self.bytes}
        return "|".join(f"{name}:{value}" for name, value in parts.items())

    def segments(self, tokens: int = SEGMENT) -> pd.DataFrame:
        """The units of paired tests: runs of so many consecutive tokens of the corpus, the last one perhaps shorter.

        They are places of the corpus, the same for all models with these tokens, whatever their rows and segments.

        :returns: `segment` (number), `tokens`, `nats` (sum); exp(Σ nats / Σ tokens) is the perplexity
        """
        import pandas as pd  # of no use to jobs that train or translate

        starts = np.arange(0, self.tokens, tokens)
        counts = np.diff(np.append(starts, self.tokens))
        return pd.DataFrame({"segment": starts // tokens, "tokens": counts, "nats": np.add.reduceat(self.nats, starts)})


def length_of(model: Any) -> int:
    """Tokens of a segment in evaluation: as many as the memory holds."""
    return int(model.cfg.memory_length) or 64


def likelihood(
    model: nn.Module, corpus: LanguageCorpus, split: str, rows: int, length: int, drop_remainder: bool = False
) -> Likelihood:
    """Scores a split, every token of it once.

    :param rows: read side by side, each from an empty memory; 1: one pass over the whole corpus
    :param length: tokens of a segment; the paper has them as many as the memory's
    :param drop_remainder: leave out the last tokens, fewer than `rows`, that do not fill all rows, as the paper does
    :raises ValueError: a loss is NaN, or the tokens scored are not those of the corpus less the dropped ones.
    """
    segments = corpus.segments(split, rows, length, drop_remainder)
    nats = np.full(len(segments.stream) - segments.dropped, np.nan)
    model.eval()
    with torch.no_grad(), standing_still(model):
        for index in range(len(segments)):
            batch, positions = placed(segments[index], corpus.device), segments.positions(index)
            losses = token_losses(model, model(**batch["net_input"]), batch["target"]).double().cpu()
            require_numbers(losses, "losses of tokens")
            inside = positions >= 0
            nats[positions[inside].numpy()] = losses[inside].numpy()
    counts = corpus.statistics["splits"][split]
    if np.isnan(nats).any() or len(nats) + segments.dropped != counts["tokens"]:
        scored = int((~np.isnan(nats)).sum())
        raise ValueError(
            f"split {split}: {scored} of {counts['tokens']} tokens were scored, {segments.dropped} dropped"
        )
    return Likelihood(split, rows, length, nats, segments.dropped, counts["bytes"], counts["unknown_tokens"])


def agreement(
    model: nn.Module, mask: HeadMask, pruned: nn.Module, batches: Iterable[Mapping[str, Any]], checked: int
) -> Agreement:
    """Compares `model` under `mask` with `pruned`: outputs (logits; hidden states before an adaptive softmax) at all
    places that are not padding, in the order in which the batches carry the models' memories.

    :param batches: of which `pruned` has the perplexity
    :param checked: the first so many are compared
    :raises ValueError: a difference, or the perplexity, is NaN.
    """
    model.eval()
    pruned.eval()
    worst, nats, tokens = 0.0, 0.0, 0
    with torch.no_grad(), masked(model, mask):
        for number, batch in enumerate(batches):
            output = pruned(**batch["net_input"])  # of (rows, tgt, …)
            if number < checked:
                padding = batch["target"].eq(padding_index(model))
                worst = max(worst, largest_between(model(**batch["net_input"])[0], output[0], padding))
            nats += float(token_losses(pruned, output, batch["target"]).double().sum())
            tokens += int(batch["ntokens"])
    return Agreement(worst, math.exp(nats / tokens))
