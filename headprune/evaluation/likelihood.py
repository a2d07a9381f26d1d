"""Likelihood of a split under a model, and what is said of a pruned model beside the masked one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

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
    """The distance between a masked and a pruned model, and the likelihood under the pruned one."""

    max_abs: float  # largest difference of a logit, over unpadded target positions
    hypotheses_compared: int
    hypotheses_different: int
    perplexity: float  # of the pruned model


@torch.no_grad()
def largest_difference(model: Any, pruned: Any, batch: Mapping[str, Any]) -> float:
    """Largest difference of a logit, over target positions of a batch that are not padding."""
    logits = [each(**batch["net_input"])[0] for each in (model, pruned)]  # (batch, tgt, vocabulary)
    padding = batch["target"].eq(padding_index(model))
    return float((logits[0] - logits[1]).abs().amax(-1).masked_fill(padding, 0).max())
