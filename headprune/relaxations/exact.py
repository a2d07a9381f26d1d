"""The distribution p(z) ∝ exp(w·z) over the masks z of exactly K ones, exactly and without enumeration
(docs/theory/subset-sampling.md#exact-distribution), and the estimators that rest on it.

On a machine with a C compiler the recursions are one call each (`compiled_walk`), for logits of a GPU, too; elsewhere
they go head by head (`walk`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headprune.relaxations.compiled_walk import available, compiled_covariance, compiled_walk
from headprune.relaxations.operators import check_budget, check_temperature, straight_through
from headprune.relaxations.walk import Walk, plain_covariance, plain_walk


def subset_marginals(logits: Tensor, budget: int) -> Tensor:
    """The probabilities μ of heads to be kept: in [0, 1], of sum K; their derivative is the covariance of the mask.

    O(N K). Computed in float64, returned in the dtype of `logits`; they can be differentiated once.

    :param logits: w (N,), or of several distributions (…, N), finite
    :param budget: K, heads to keep
    :returns: μ (N,) or (…, N)
    :raises ValueError: K outside 0…N.
    """
    check_budget(budget, logits.shape[-1])
    marginals: Tensor = _Marginals.apply(_near(logits.double()), budget)  # type: ignore[no-untyped-call]
    return marginals.to(logits)


def subset_draw(logits: Tensor, budget: int, generator: torch.Generator | None = None) -> Tensor:
    """An exact sample: a mask of K ones with the probability p(z) ∝ exp(w·z).

    From the last head to the first, each is taken with the probability that it is among those left to take.

    :param logits: w (N,), or (…, N) for a draw from each of several distributions
    :returns: zeros and ones (N,) or (…, N), in the dtype of `logits`
    :raises ValueError: K outside 0…N.
    """
    check_budget(budget, total := logits.shape[-1])
    mask = torch.zeros(logits.shape, dtype=torch.float64)
    rows = mask.view(-1, total).numpy()  # the memory of the mask
    uniform = torch.rand(rows.shape, generator=generator, dtype=torch.float64).numpy()
    take = _walk(_near(logits.double()), budget).take.cpu().view(len(rows), total, budget).numpy()
    each, left = np.arange(len(rows)), np.full(len(rows), budget)
    for head in range(total - 1, -1, -1) if budget else ():
        rows[:, head] = (uniform[:, head] < take[each, head, left - 1]) & (left > 0)
        left -= rows[:, head].astype(int)
    return mask.to(logits)


def simple_sample(logits: Tensor, budget: int, generator: torch.Generator | None = None) -> Tensor:
    """SIMPLE (Ahmed et al. 2023): forward an exact sample, backward dL/dw := Cov(z) dL/dz, that of the marginals.

    :returns: zeros and ones (N,) or (…, N)
    :raises ValueError: K outside 0…N.
    """
    return straight_through(subset_draw(logits, budget, generator), subset_marginals(logits, budget))


def marginal_sample(logits: Tensor, budget: int, temperature: float, noise: Tensor) -> Tensor:
    """Stochastic softmax trick of K-subsets (Paulus et al. 2020, exponential-family entropy): the marginals of the
    distribution with logits (w + noise) / t.

    In [0, 1], of sum K at every temperature; the K largest perturbed logits as it falls.

    :param noise: as of `gumbel` (N,) or (…, N)
    :raises ValueError: K outside 0…N, or t ≤ 0.
    """
    check_temperature(temperature)
    return subset_marginals((logits.double() + noise) / temperature, budget).to(logits.dtype)


def _near(logits: Tensor) -> Tensor:
    """Logits where `_walk` is quickest: N numbers cost less on the way from a GPU than thousands of its kernels do."""
    return logits.cpu() if available() else logits


def _walk(logits: Tensor, budget: int) -> Walk:
    return (compiled_walk if available() else plain_walk)(logits.detach(), budget)


class _Marginals(torch.autograd.Function):
    """Logits to marginals, by a walk that the derivative goes once more."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, budget: int) -> Tensor:
        walk = _walk(logits, budget)
        ctx.save_for_backward(*walk)
        return (walk.take * walk.reach).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, None]:
        walk = Walk(*ctx.saved_tensors)
        return (compiled_covariance if available() else plain_covariance)(walk, pull), None
