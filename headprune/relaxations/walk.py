"""The recursions over heads behind the distribution of K-subsets, in torch, on any device.

Instead of the sums e_j of products that add up to the normaliser, they hold the differences of their logarithms,
log e_j − log e_(j−1), which are of the size of the logits however many heads there are: nothing overflows, and nothing
cancels. `compiled_walk` computes the same in C.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Walk(NamedTuple):
    """Probabilities of a walk from the last head to the first, where j = 1 … K heads are left to take (…, N, K)."""

    take: Tensor  # that the head at hand is among them
    leave: Tensor  # that it is not
    reach: Tensor  # that the walk comes to this head with so many left


def plain_walk(logits: Tensor, budget: int) -> Walk:
    """The probabilities of the walk, head by head.

    :param logits: float64 (…, N)
    """
    ratios = logits.new_full((*logits.shape[:-1], budget), -math.inf)  # log e_j − log e_(j−1) of the heads before
    odds = logits.new_empty((*logits.shape, budget))
    for head, weight in enumerate(logits.unsqueeze(-1).unbind(-2)):
        odds[..., head, :] = weight - ratios
        grown = torch.logaddexp(ratios, weight)
        risen = grown - ratios  # of log e_j
        ratios = grown
        ratios[..., 1:] -= risen[..., :-1]
    take, leave = torch.sigmoid(odds), torch.sigmoid(-odds)
    reach = torch.zeros_like(take)
    reach[..., -1:, -1:] = 1
    for head in range(logits.shape[-1] - 1, 0, -1):
        reach[..., head - 1, :] = reach[..., head, :] * leave[..., head, :]
        reach[..., head - 1, :-1] += (reach[..., head, :] * take[..., head, :])[..., 1:]
    return Walk(take, leave, reach)


def plain_covariance(walk: Walk, vector: Tensor) -> Tensor:
    """Cov(z) v, as the derivative of the marginals along v.

    :param vector: v (…, N)
    :returns: (…, N)
    """
    take, leave, reach = walk
    expected = torch.zeros_like(reach[..., 0, :])  # E[v·z] over the heads before, j of which are taken
    slopes = torch.zeros_like(take)  # of `take`, along v
    for head in range(vector.shape[-1]):
        gain = vector[..., head : head + 1] - expected
        gain[..., 1:] += expected[..., :-1]
        slopes[..., head, :] = take[..., head, :] * leave[..., head, :] * gain
        expected = expected + take[..., head, :] * gain
    flow = reach * slopes
    rising, found = torch.zeros_like(expected), torch.zeros_like(vector)  # the slope of `reach`
    for head in range(vector.shape[-1] - 1, -1, -1):
        taken = rising * take[..., head, :] + flow[..., head, :]
        found[..., head] = taken.sum(-1)
        rising = rising * leave[..., head, :] - flow[..., head, :]
        rising[..., :-1] += taken[..., 1:]
    return found
