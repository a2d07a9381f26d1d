"""The subset sampler, forward and backward, against the formula written down in eager torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from headprune.relaxations import gumbel, subset_sample
from rows.base import Line, Settings, lines, repeated, take_turns

SIZES = ((144, 12), (144, 72), (144, 132), (24, 12))
TEMPERATURE, CALLS, DRAWS = 0.1, 5, 16


def formula(logits: Tensor, budget: int, temperature: float, noise: Tensor) -> Tensor:
    """docs/theory/subset-sampling.md#sampler without guards, over the last dimension."""
    scores = logits.double() + noise
    gates = torch.zeros_like(scores)
    for _ in range(budget):
        p = torch.softmax(scores / temperature, -1)
        gates = gates + p
        scores = scores + torch.log((1 - p).clamp_min(math.ulp(0.0)))
    return gates


def both_ways(sampler: Callable[..., Tensor], logits: Tensor, budget: int, noise: Tensor) -> Callable[[], None]:
    """A forward and a backward pass."""
    pull = torch.linspace(-1, 1, logits.shape[-1], dtype=torch.float64)

    def run() -> None:
        torch.autograd.grad((sampler(logits, budget, TEMPERATURE, noise) * pull).sum(), logits)

    return run


def measure(settings: Settings) -> list[Line]:
    found = []
    generator = torch.Generator().manual_seed(settings.seed)
    for total, budget in SIZES:
        for draws in (1, DRAWS):
            shape = (total,) if draws == 1 else (draws, total)
            logits = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
            noise = gumbel(shape, generator)
            name = f"N {total}, K {budget}" + (f", {draws} draws" if draws > 1 else "")
            samplers = {f"{name}: formula": formula, f"{name}: sampler": subset_sample}
            calls = {
                what: repeated(both_ways(sampler, logits, budget, noise), CALLS) for what, sampler in samplers.items()
            }
            found += lines("sampler", take_turns(calls, settings.rounds), f"{name}: formula", scale=1 / CALLS)
    return found
