"""Likelihood of a split under a model, and the proof that a pruned model equals the masked one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from headprune.config import Evaluation
from headprune.evaluation.corpus import TranslationCorpus
from headprune.evaluation.translation import generate
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadMask
from headprune.importance import example_losses, padding_index

Batches = Sequence[Mapping[str, Any]]


def perplexity(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> float:
    """exp of the mean cross-entropy per target token, end of sentence included, no label smoothing."""
    model.eval()
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            nats += example_losses(model, batch).double().sum().item()
            tokens += int(batch["ntokens"])
    return math.exp(nats / tokens)


@dataclass(frozen=True)
class Agreement:
    """How far a masked and a pruned model are apart, and the likelihood under the pruned one."""

    max_abs: float  # largest difference of a logit, over unpadded target positions
    hypotheses_compared: int
    hypotheses_different: int
    perplexity: float  # of the pruned model


def agreement(
    model: nn.Module,
    mask: HeadMask,
    pruned: nn.Module,
    corpus: TranslationCorpus,
    batches: Batches,
    settings: Evaluation,
) -> Agreement:
    """Compares `model` under `mask` with `pruned`: logits on `batches`, beam hypotheses on the first sentences."""
    model.eval()
    pruned.eval()
    set_mask(model, mask)
    try:
        with torch.no_grad():
            compared = [_compare(model, pruned, batch) for batch in batches]
        first = corpus.batches("valid", settings.max_tokens, range(settings.checked_sentences))
        masked_text = generate(model, corpus, first, settings)
    finally:
        clear_mask(model)
    pruned_text = generate(pruned, corpus, first, settings)
    return Agreement(
        max_abs=max(difference for difference, _ in compared),
        hypotheses_compared=len(masked_text),
        hypotheses_different=sum(masked_text[number] != pruned_text[number] for number in masked_text),
        perplexity=math.exp(sum(nats for _, nats in compared) / sum(int(batch["ntokens"]) for batch in batches)),
    )


def _compare(model: Any, pruned: Any, batch: Mapping[str, Any]) -> tuple[float, float]:
    """Largest difference of a logit, and the cross-entropy of the batch under `pruned` in nats."""
    logits = [each(**batch["net_input"])[0] for each in (model, pruned)]  # (batch, tgt, vocabulary)
    padding = batch["target"].eq(padding_index(model))
    difference = (logits[0] - logits[1]).abs().amax(-1).masked_fill(padding, 0).max()
    losses = F.cross_entropy(logits[1].flatten(0, 1).float(), batch["target"].flatten(), reduction="none")
    return float(difference), float(losses.masked_fill(padding.flatten(), 0).double().sum())
