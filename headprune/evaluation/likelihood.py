"""Likelihood of a split under a model, and the proof that a pruned model equals the masked one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
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
    """Compares `model` under `mask` with `pruned`: logits and beam hypotheses of the first validation sentences.

    :param batches: of which `pruned` has the perplexity
    """
    model.eval()
    pruned.eval()
    first = corpus.batches("valid", settings.max_tokens, range(settings.checked_sentences))
    set_mask(model, mask)
    try:
        masked_text = generate(model, corpus, first, settings)
        difference = max(_difference(model, pruned, batch) for batch in first)
    finally:
        clear_mask(model)
    pruned_text = generate(pruned, corpus, first, settings)
    return Agreement(
        max_abs=difference,
        hypotheses_compared=len(masked_text),
        hypotheses_different=sum(masked_text[number] != pruned_text[number] for number in masked_text),
        perplexity=perplexity(pruned, batches),
    )


@torch.no_grad()
def _difference(model: Any, pruned: Any, batch: Mapping[str, Any]) -> float:
    """The largest of a logit."""
    logits = [each(**batch["net_input"])[0] for each in (model, pruned)]  # (batch, tgt, vocabulary)
    padding = batch["target"].eq(padding_index(model))
    return float((logits[0] - logits[1]).abs().amax(-1).masked_fill(padding, 0).max())
