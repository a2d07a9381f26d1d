"""Implicit maximum-likelihood estimation (Niepert, Minervini and Franceschi 2021): masks of perturbed logits, whose
gradient is a difference of masks (docs/theory/subset-sampling.md#other-estimators)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headprune.relaxations.operators import check_budget, top_k


def sum_of_gamma(
    shape: torch.Size | tuple[int, ...], budget: int, generator: torch.Generator | None = None, terms: int = 10
) -> Tensor:
    """Noise whose sum over the K heads of a mask is nearly standard Gumbel: Σ_{i ≤ s} Gamma(1/K, 1/i) − log(s) / K.

    The perturbation that the paper derives for K-subsets, at temperature 1. Without heads to keep it is 0.

    :param terms: s
    :returns: float64, of `shape`
    """
    if not budget:
        return torch.zeros(shape, dtype=torch.float64)
    scales = 1 / torch.arange(1, terms + 1, dtype=torch.float64)
    draws = torch._standard_gamma(torch.full((*shape, terms), 1 / budget, dtype=torch.float64), generator=generator)
    return (draws * scales).sum(-1) - scales.new_tensor(terms).log() / budget


def imle_target(scores: Tensor, pull: Tensor, budget: int, strength: float) -> tuple[Tensor, Tensor]:
    """The mask z′ that the gradient asks for: the top K of the scores less λ dL/dz, λ = strength / rms(dL/dz).

    In units of the gradient's root mean square the step is the same whether a loss is a sum over tokens or a mean.

    :param scores: perturbed logits (…, N)
    :param pull: dL/dz (…, N)
    :returns: z′ (…, N), and 1 / λ (…, 1), which is 0 where the gradient is
    """
    size = pull.square().mean(-1, keepdim=True).sqrt()
    moved = scores - strength * torch.where(size > 0, pull / size, torch.zeros_like(pull))
    return top_k(moved, budget), size / strength


def imle_sample(
    logits: Tensor,
    budget: int,
    noise: Tensor,
    strength: float = 1.0,
    observe: Callable[[float], None] | None = None,
) -> Tensor:
    """Forward z, the top K of w + noise; backward dL/dw := (z − z′) / λ, z′ as of `imle_target` with the same noise.

    :param logits: w (N,), or (…, N)
    :param noise: of the shape of the logits, or one that they are broadcast to
    :param strength: λ in units of 1 / rms(dL/dz), positive
    :param observe: told, in the backward pass, the share of the K heads that z′ exchanges
    :returns: zeros and ones (…, N), in the dtype of `logits`
    :raises ValueError: K outside 0…N, or a strength that is not positive.
    """
    check_budget(budget, logits.shape[-1])
    if not strength > 0:
        raise ValueError(f"strength {strength} is not positive")
    mask: Tensor = _Implicit.apply(logits.double() + noise, budget, strength, observe)  # type: ignore[no-untyped-call]
    return mask.to(logits.dtype)


class _Implicit(torch.autograd.Function):
    """Perturbed logits to their mask, whose gradient is a finite difference of masks; differentiable once."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, budget: int, strength: float, observe: Any) -> Tensor:
        mask = top_k(scores, budget)
        ctx.save_for_backward(scores, mask)
        ctx.budget, ctx.strength, ctx.observe = budget, strength, observe
        return mask

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *pulls: Tensor) -> tuple[Tensor, None, None, None]:
        scores, mask = ctx.saved_tensors
        target, inverse = imle_target(scores, pulls[0], ctx.budget, ctx.strength)
        if ctx.observe is not None:
            kept = max(1.0, mask.sum().item())
            ctx.observe((mask - target).clamp_min(0).sum().item() / kept)
        return (mask - target) * inverse, None, None, None
