"""The Euclidean projection onto the capped simplex, of which the masks of K ones are the corners
(docs/theory/subset-sampling.md#other-estimators)."""

from __future__ import annotations

import torch
from torch import Tensor

from headprune.relaxations.operators import check_budget, check_temperature


def capped_projection(scores: Tensor, budget: int) -> Tensor:
    """The point of {m ∈ [0, 1]^N, Σ m = K} nearest to the scores: m = clip(y − ν, 0, 1), with ν such that Σ m = K.

    Σ clip(y − ν, 0, 1) falls in ν, linearly between its 2N kinks y and y − 1, where it is evaluated at all of them at
    once. The derivative is the identity less the mean, over the scores that are clipped at neither end; at a kink, that
    of one side.

    :param scores: y (N,), or (…, N) to project several
    :returns: m, in the dtype of `scores`
    :raises ValueError: K outside 0…N.
    """
    check_budget(budget, scores.shape[-1])
    fixed = scores.detach()
    kinks = torch.cat([fixed, fixed - 1], -1).sort(-1).values  # (…, 2N)
    sums = (fixed.unsqueeze(-2) - kinks.unsqueeze(-1)).clamp(0, 1).sum(-1)
    after = (sums >= budget).sum(-1, keepdim=True).clamp(1, kinks.shape[-1] - 1)  # ν lies before this kink
    shift = (
        kinks.gather(-1, after - 1) + kinks.gather(-1, after)
    ) / 2  # between the kinks about ν all are clipped alike
    whole, none = fixed - 1 >= shift, fixed <= shift
    if budget in (0, scores.shape[-1]):  # rounding must not leave one out
        whole = torch.full_like(whole, budget > 0)
        none = ~whole
    free = ~(whole | none)
    excess = (torch.where(free, scores, 0 * scores) + whole).sum(-1, keepdim=True) - budget
    inside = (scores - excess / free.sum(-1, keepdim=True).clamp_min(1)).clamp(0, 1)
    return torch.where(free, inside, whole.to(scores.dtype))


def projected_sample(logits: Tensor, budget: int, temperature: float) -> Tensor:
    """The projection of w / t onto the capped simplex: gates without noise, with exact zeros and ones.

    Computed in float64 from the distances to the K-th largest logit, whose differences are exact where it counts.

    :param logits: w (N,), or (…, N)
    :param temperature: t > 0
    :returns: gates, in the dtype of `logits`
    :raises ValueError: K outside 0…N, or t ≤ 0.
    """
    check_temperature(temperature)
    check_budget(budget, logits.shape[-1])
    order = logits.detach().double().sort(-1, descending=True).values
    middle = order[..., max(budget, 1) - 1].unsqueeze(-1)
    return capped_projection((logits.double() - middle) / temperature, budget).to(logits.dtype)
