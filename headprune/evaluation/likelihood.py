"""Likelihood of a split under a model, and the proof that a pruned model equals the masked one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


def perplexity(model: nn.Module, batches: Batches) -> float:
    """exp of the mean cross-entropy per target token, end of sentence included, no label smoothing."""
    model.eval()
    with torch.no_grad():
        nats = sum(example_losses(model, batch).double().sum().item() for batch in batches)
    return math.exp(nats / sum(int(batch["ntokens"]) for batch in batches))


@dataclass(frozen=True)
class Agreement:
    """How far a masked and a pruned model are apart."""

    max_abs: float  # largest difference of a logit, over unpadded target positions
    hypotheses_compared: int
    hypotheses_different: int


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
            largest = max((_logit_difference(model, pruned, batch) for batch in batches), default=0.0)
        compared = corpus.batches("valid", settings.max_tokens, range(settings.checked_sentences))
        masked_text = generate(model, corpus, compared, settings)
    finally:
        clear_mask(model)
    pruned_text = generate(pruned, corpus, compared, settings)
    different = sum(masked_text[number] != pruned_text[number] for number in masked_text)
    return Agreement(largest, len(masked_text), different)


def _logit_difference(model: nn.Module, pruned: nn.Module, batch: Mapping[str, Any]) -> float:
    difference = (model(**batch["net_input"])[0] - pruned(**batch["net_input"])[0]).abs().amax(-1)  # (batch, tgt)
    padding = batch["target"].eq(padding_index(model))
    return float(difference.masked_fill(padding, 0).max())
