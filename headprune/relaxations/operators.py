"""Relaxations of discrete head selection: pure functions of tensors.

The subset sampler of Li, Cotterell and Sachan 2021, after Xie and Ermon 2019 (docs/theory/subset-sampling.md); the
straight-through gradient (docs/theory/subset-training.md#straight-through); the hard concrete of Louizos et al. 2018 as
used by Voita et al. 2019 (docs/theory/hard-concrete.md); and the schedules and multipliers of
docs/theory/further-methods.md#gates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from headprune.relaxations import subsets

SELECTED = 1e-12  # a head whose probability is within this of 1 counts as drawn
HARD = 1e-3  # below this temperature the chain of softmaxes passes no gradient from pass to pass
STRETCH = (-0.1, 1.1)  # limits of the stretched hard-concrete distribution
BETA = 0.33  # temperature of the hard-concrete distribution
EPSILON = 1e-6


def gumbel(shape: torch.Size | tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Standard Gumbel noise in float64, `-log(-log u)`; u is kept off 0 and 1."""
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp(torch.finfo(torch.float64).tiny, 1 - 1e-16)))


def subset_sample(
    logits: Tensor,
    budget: int,
    temperature: float,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A relaxed K-subset: gates that sum to exactly K and become K ones as the temperature falls.

    K successive softmaxes over the perturbed logits, each lowering the score of what the last one took:
    `p = softmax(s / τ)`, `s ← s + log(1 − p)`, gates = Σ p. Entries may exceed 1 at moderate temperatures. Two guards,
    absent in the released code, keep it right where the formula alone fails: a head taken with certainty is taken out
    (else a gap of more than 708 takes it twice), and below τ = 1e-3 no gradient flows from pass to pass (else up to K
    factors of 1/τ multiply and overflow). Computed in float64, returned in the dtype of `logits`.

    On a machine with a C compiler all passes are one call (`headprune.relaxations.subsets`), with a first derivative
    only; elsewhere it is `plain_subset_sample`.

    :param logits: importance logits w (N,), or of several draws (…, N)
    :param budget: K, heads to keep
    :param temperature: τ > 0
    :param noise: the Gumbel noise to add (N,) or (…, N); zeros for none; drawn from `generator` when None
    :returns: gates (N,) or (…, N)
    :raises ValueError: K outside 0…N, or τ ≤ 0.
    """
    scores = _perturbed(logits, budget, temperature, noise, generator)
    if not subsets.available():
        return _plain_gates(scores, budget, temperature).to(logits.dtype)
    rule = subsets.Rule(budget, float(temperature), SELECTED, bool(temperature < HARD))
    return subsets.subset_gates(scores, rule).to(logits.dtype)


def plain_subset_sample(
    logits: Tensor,
    budget: int,
    temperature: float,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`subset_sample` pass by pass in torch, on any device: what it is tested against."""
    scores = _perturbed(logits, budget, temperature, noise, generator)
    return _plain_gates(scores, budget, temperature).to(logits.dtype)


def _perturbed(
    logits: Tensor, budget: int, temperature: float, noise: Tensor | None, generator: torch.Generator | None
) -> Tensor:
    check_budget(budget, logits.shape[-1])
    check_temperature(temperature)
    if noise is None:
        noise = gumbel(logits.shape, generator).to(logits.device)
    return logits.double() + noise.double()


def _plain_gates(scores: Tensor, budget: int, temperature: float) -> Tensor:
    gates = 0 * scores.nan_to_num()  # at K = 0, too, the gates depend on the logits
    for _ in range(budget):
        probabilities = torch.softmax(scores / temperature, dim=-1)
        gates = gates + probabilities
        taken = probabilities.detach() if temperature < HARD else probabilities
        certain = 1 - taken < SELECTED
        left = torch.where(certain, torch.ones_like(taken), 1 - taken)  # keeps log and its gradient finite
        scores = (scores + torch.log(left)).masked_fill(certain, -math.inf)
    return gates


def top_k(logits: Tensor, budget: int) -> Tensor:
    """Exactly K ones at the K largest logits; of equal logits the first wins.

    :param logits: (N,), or (…, N) for several masks
    :returns: zeros and ones of the shape and dtype of `logits`
    :raises ValueError: K outside 0…N, or a logit that is not a number.
    """
    check_budget(budget, logits.shape[-1])
    if torch.isnan(logits).any():
        raise ValueError("the logits hold NaN: no order is defined")
    order = torch.sort(logits.detach(), dim=-1, descending=True, stable=True).indices
    return torch.zeros_like(logits.detach()).scatter(-1, order[..., :budget], 1)


def temperature(update: int, start: float, end: float, cooldown: int) -> float:
    """The geometric schedule `start^(1−n/T) · end^(n/T)` for n ≤ T, `end` afterwards.

    :param update: n, updates done so far, counted from 0
    :param cooldown: T, updates over which the temperature falls; 0 means `end` from the first
    """
    if update >= cooldown:
        return end
    fraction = update / cooldown
    return math.exp((1 - fraction) * math.log(start) + fraction * math.log(end))


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """Forward `hard` to the last bit, backward the gradient of `soft`
    (docs/theory/subset-training.md#straight-through).

    :param hard: (…, N)
    :param soft: (…, N)
    :returns: (…, N)
    """
    return hard.detach() + (soft - soft.detach())


def reverse_gradient(value: Tensor) -> Tensor:
    """Forward `value`, of any shape, backward −1: the optimiser that descends everything else ascends in it, as in the
    multipliers of docs/theory/further-methods.md#lagrangian-l0."""
    return 2 * value.detach() - value


def cubic_budget(update: int, start: int, end: int, total: int, budget: int) -> int:
    """The budget while it is annealed: K + (N − K)(1 − (n − n₀) / (n₁ − n₀))³, rounded, between N and K.

    Falls fast at first, slowly at last (Zhu and Gupta 2018; Sanh et al. 2020).

    :param update: n, updates done so far, counted from 0
    :param start: n₀, up to which all heads are kept
    :param end: n₁, from which on exactly `budget` are kept
    :param total: N
    """
    if update >= end:
        return budget
    left = 1 - max(0, update - start) / (end - start) if end > start else 1.0
    return budget + round((total - budget) * left**3)


def hard_concrete(log_alpha: Tensor, noise: Tensor | None = None, beta: float = BETA) -> Tensor:
    """A gate that is 0 or 1 with positive probability and differentiable in between
    (docs/theory/hard-concrete.md#distribution).

    :param log_alpha: log-odds (N,)
    :param noise: uniform u in (0, 1) (N,); None gives the deterministic gate, without noise and temperature
    :param beta: temperature of the distribution
    :returns: gates in [0, 1] (N,)
    """
    low, high = STRETCH
    if noise is None:
        opened = torch.sigmoid(log_alpha)
    else:
        uniform = noise.clamp(EPSILON, 1 - EPSILON)
        opened = torch.sigmoid((torch.logit(uniform) + log_alpha) / beta)
    return (opened * (high - low) + low).clamp(0, 1)


def open_probability(log_alpha: Tensor, beta: float = BETA) -> Tensor:
    """P(gate ≠ 0) = σ(log α − β log(−γ/ζ)), clipped to [1e-6, 1 − 1e-6] for the penalty
    (docs/theory/hard-concrete.md#distribution).

    :param log_alpha: log-odds (N,)
    :param beta: temperature of the distribution
    :returns: (N,)
    """
    low, high = STRETCH
    return torch.sigmoid(log_alpha - beta * math.log(-low / high)).clamp(EPSILON, 1 - EPSILON)


def effective_penalty(coefficient: float, modules: int = 1, tokens: float = 1) -> float:
    """λ_eff: what weighs the plain sum over heads of P(open) when the task loss is a mean
    (docs/theory/hard-concrete.md#objective).

    Code bases scale their coefficient in three ways:

    - the sum over heads, added to the mean loss of a batch: λ itself (DSP, classification)
    - the mean over gated modules of their sums, added to the mean loss: λ / modules (Voita)
    - the sum over heads, added to the loss summed over target tokens in every micro-batch of every worker, the total
      then divided by the tokens of the update: λ / (tokens of a micro-batch), different every time (DSP, translation)

    :param modules: gated attention modules, where the penalty is a mean over them
    :param tokens: target tokens of a micro-batch, where the loss is a sum over them
    """
    return coefficient / (modules * tokens)


def check_budget(budget: int, total: int) -> None:
    """:raises ValueError: K outside 0…N."""
    if not 0 <= budget <= total:
        raise ValueError(f"budget {budget} is outside 0…{total}, the number of heads")


def check_temperature(temperature: float) -> None:
    """:raises ValueError: a temperature that is not positive."""
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} is not positive")
