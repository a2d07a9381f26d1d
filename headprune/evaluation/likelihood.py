"""Likelihood of a split under a model, and what is said of a pruned model beside the masked one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headprune.evaluation.scores import require_number
from headprune.gates import masked
from headprune.heads import HeadMask
from headprune.importance import example_losses, padding_index

Batches = Sequence[Mapping[str, Any]]


def perplexity(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> float:
    """exp of the mean cross-entropy per target token, end of sentence included, no label smoothing.

    :raises ValueError: it is NaN.
    """
    model.eval()
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            nats += example_losses(model, batch).double().sum().item()
            tokens += int(batch["ntokens"])
    require_number(nats, "the perplexity")
    return math.exp(nats / tokens)


def require_numbers(values: Tensor, what: str) -> None:
    """:raises ValueError: one of these outputs of a model is NaN.

    :param what: they are
    """
    if unknown := int(values.isnan().sum()):
        raise ValueError(f"{unknown} of {values.numel()} {what} are NaN: the model's outputs are not finite")


@dataclass(frozen=True)
class Agreement:
    """The distance between a masked and a pruned model, and the likelihood under the pruned one.

    :raises ValueError: one of them is NaN.
    """

    max_abs: float  # largest difference of a logit, over unpadded target positions
    perplexity: float  # of the pruned model
    hypotheses_compared: int = 0
    hypotheses_different: int = 0

    def __post_init__(self) -> None:
        require_number(self.max_abs, "the largest difference of the masked and the pruned model")
        require_number(self.perplexity, "the perplexity")


def agreement(
    model: nn.Module,
    mask: HeadMask,
    pruned: nn.Module,
    checked: Iterable[Mapping[str, Any]],
    batches: Iterable[Mapping[str, Any]],
) -> Agreement:
    """Compares the logits of `model` under `mask` with those of `pruned`.

    :param checked: batches that they are compared on
    :param batches: those of which `pruned` has the perplexity
    :raises ValueError: a difference, or the perplexity, is NaN.
    """
    model.eval()
    pruned.eval()
    with masked(model, mask):
        worst = max(largest_difference(model, pruned, batch) for batch in checked)
    return Agreement(worst, perplexity(pruned, batches))


@torch.no_grad()
def largest_difference(model: Any, pruned: Any, batch: Mapping[str, Any]) -> float:
    """Largest difference of a logit, over target positions of a batch that are not padding.

    :raises ValueError: it is NaN.
    """
    logits = [each(**batch["net_input"])[0] for each in (model, pruned)]  # (batch, tgt, vocabulary)
    return largest_between(logits[0], logits[1], batch["target"].eq(padding_index(model)))


def largest_between(one: Tensor, other: Tensor, padding: Tensor) -> float:
    """Largest difference of two outputs, over positions that are not padding.

    :param one: (batch, tgt, …)
    :param padding: (batch, tgt)
    :raises ValueError: it is NaN.
    """
    found = float((one - other).abs().amax(-1).masked_fill(padding, 0).max())
    require_number(found, "the largest difference of the masked and the pruned model")  # a `max` of Python's hides NaN
    return found
