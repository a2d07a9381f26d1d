#!/usr/bin/env python3
"""Bias and variance of the gradients that methods of exactly K heads learn from, against enumeration.

    python benchmarks/gradients.py [--draws 20000] [--problems 10] [--output docs/figures/estimators] [--redraw]

A mask of K = 4 of N = 12 heads has a loss f(z), a random polynomial of degree three, and logits w, normal with a small
or a large deviation. The gradient of the expected loss over the 495 masks is known exactly, under both distributions
that masks are drawn from; every estimator gives it for one draw at a time. Writes `--output` as .csv, one line for each
estimator, temperature, spread and problem, as .png and as .pdf; with --redraw, the pictures of the .csv that is there.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from headprune.relaxations import (
    gumbel,
    imle_sample,
    marginal_sample,
    projected_sample,
    simple_sample,
    straight_through,
    subset_draw,
    subset_marginals,
    subset_sample,
    top_k,
)

HEADS, BUDGET = 12, 4
SPREADS = {"start": 0.5, "later": 2.0}  # standard deviation of the logits
TEMPERATURES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4)
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)

Sampler = Callable[[Tensor, torch.Generator, float], Tensor]


@dataclass(frozen=True)
class Loss:
    """f(z) = b·z + zᵀ A z + Σ_r c_r (u_r·z)³, each part of variance 1 over uniform masks of K ones."""

    linear: Tensor  # (N,)
    quadratic: Tensor  # (N, N)
    factors: Tensor  # u (R, N)
    cubic: Tensor  # c (R,)

    def parts(self, gates: Tensor) -> list[Tensor]:
        square = (gates @ self.quadratic * gates).sum(-1)
        return [gates @ self.linear, square, (gates @ self.factors.T) ** 3 @ self.cubic]

    def __call__(self, gates: Tensor) -> Tensor:
        """The loss of gates, also of those that are neither 0 nor 1 (…, N) → (…)."""
        return torch.stack(self.parts(gates)).sum(0)

    @classmethod
    def random(cls, generator: torch.Generator) -> Loss:
        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        raw = cls(normal(HEADS), normal(HEADS, HEADS), normal(HEADS, HEADS), normal(HEADS))
        sizes = [part.std().item() for part in raw.parts(masks_of(HEADS, BUDGET))]
        return cls(raw.linear / sizes[0], raw.quadratic / sizes[1], raw.factors, raw.cubic / sizes[2])


def masks_of(total: int, budget: int) -> Tensor:
    """All masks of K ones (masks, N)."""
    subsets = torch.tensor(list(itertools.combinations(range(total), budget)))
    return torch.zeros(len(subsets), total, dtype=torch.float64).scatter(1, subsets, 1)


def subset_chances(logits: Tensor, masks: Tensor) -> Tensor:
    """p(z) ∝ exp(w·z) of every mask (masks,)."""
    return torch.softmax(masks @ logits, 0)


def top_chances(logits: Tensor, masks: Tensor) -> Tensor:
    """The probability of every mask to be the top K of w + Gumbel noise: the sum over the orders in which its heads can
    come, each Plackett–Luce (masks,)."""
    kept = masks.nonzero()[:, 1].view(len(masks), -1)
    total, weights = 0.0, (logits - logits.max()).exp()
    for order in itertools.permutations(range(kept.shape[1])):
        taken = weights[kept[:, list(order)]]  # (masks, K)
        left = weights.sum() - taken.cumsum(1) + taken
        total = total + (taken / left).prod(1)
    return total  # type: ignore[return-value]


def exact_gradient(chances: Callable[[Tensor, Tensor], Tensor], logits: Tensor, loss: Loss) -> Tensor:
    """The gradient of the expected loss in the logits, by enumeration (N,)."""
    masks, logits = masks_of(HEADS, BUDGET), logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(chances(logits, masks) @ loss(masks), logits)
    return gradient


def relaxed(logits: Tensor, generator: torch.Generator, temperature: float) -> Tensor:
    return subset_sample(logits, BUDGET, temperature, gumbel(logits.shape, generator))


def hard_and_relaxed(logits: Tensor, generator: torch.Generator, temperature: float) -> Tensor:
    noise = gumbel(logits.shape, generator)
    return straight_through(top_k(logits + noise, BUDGET), subset_sample(logits, BUDGET, temperature, noise))


def perturbed(logits: Tensor, generator: torch.Generator, temperature: float) -> Tensor:
    return straight_through(top_k(logits + gumbel(logits.shape, generator), BUDGET), logits)


# By name: gates of draws, what the second parameter goes through, and the distribution of masks it is judged by.
SAMPLERS: dict[str, tuple[Sampler, tuple[float, ...], str]] = {
    "dsp": (relaxed, TEMPERATURES, "top"),
    "sst": (lambda w, g, t: marginal_sample(w, BUDGET, t, gumbel(w.shape, g)), TEMPERATURES, "top"),
    "ste, st_relaxed": (hard_and_relaxed, TEMPERATURES, "top"),
    "capped_simplex": (lambda w, g, t: projected_sample(w, BUDGET, t), TEMPERATURES, "top"),
    "ste, st_gumbel": (perturbed, (0.0,), "top"),
    "ste, plain": (lambda w, g, t: straight_through(top_k(w, BUDGET), w), (0.0,), "top"),
    "imle": (lambda w, g, s: imle_sample(w, BUDGET, gumbel(w.shape, g), s), STRENGTHS, "top"),
    "simple": (lambda w, g, t: simple_sample(w, BUDGET, g), (0.0,), "subset"),
}
SCORE = "score function"  # unbiased: what tells that enumeration and estimators mean the same


def score_gradients(logits: Tensor, loss: Loss, generator: torch.Generator) -> Tensor:
    """(f(z) − E f) ∂ log p(z) / ∂w for exact samples (draws, N)."""
    masks, base = masks_of(HEADS, BUDGET), logits[0]
    sample = subset_draw(logits, BUDGET, generator)
    values = loss(sample) - subset_chances(base, masks) @ loss(masks)
    return values.unsqueeze(1) * (sample - subset_marginals(base, BUDGET))


def gradients(name: str, setting: float, logits: Tensor, loss: Loss, generator: torch.Generator) -> Tensor:
    """One gradient for every draw (draws, N)."""
    if name == SCORE:
        return score_gradients(logits, loss, generator)
    logits = logits.clone().requires_grad_()
    gates = SAMPLERS[name][0](logits, generator, setting)
    return torch.autograd.grad(loss(gates).sum(), logits)[0]


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """The cosine along the last dimension, 0 where a vector is, however small or large the others."""
    first, second = (each / each.abs().amax(-1, keepdim=True).clamp_min(1e-300) for each in (one, other))
    sizes = first.norm(dim=-1) * second.norm(dim=-1)
    return (first * second).sum(-1) / torch.where(sizes > 0, sizes, torch.ones_like(sizes))


def judged(found: Tensor, exact: Tensor) -> dict[str, float]:
    """Figures of merit of gradients (draws, N) of a gradient that is known (N,), relative to its norm."""
    mean, size, draws = found.mean(0), exact.norm(), len(found)
    variance = found.var(0).sum() if (found != found[0]).any() else found.new_zeros(())
    bias = ((mean - exact).square().sum() - variance / draws).clamp_min(0).sqrt()  # less what chance adds to it
    clipped = found * (size / found.norm(dim=1, keepdim=True)).clamp_max(1)
    return {
        "bias": (bias / size).item(),
        "deviation": (variance.sqrt() / size).item(),
        "cosine_of_mean": cosine(mean, exact).item(),
        "cosine_of_clipped": cosine(clipped.mean(0), exact).item(),
        "cosine_of_draw": cosine(found, exact).mean().item(),
        "without_gradient": (found == 0).all(1).double().mean().item(),
    }


def rows(draws: int, problems: int) -> Iterator[dict[str, Any]]:
    """Every estimator on every problem, judged by both distributions."""
    settings = [(name, value) for name, (_, values, _) in SAMPLERS.items() for value in values] + [(SCORE, 0.0)]
    for (spread, deviation), problem in itertools.product(SPREADS.items(), range(problems)):
        generator = torch.Generator().manual_seed(problem)
        loss, logits = Loss.random(generator), torch.randn(HEADS, generator=generator, dtype=torch.float64) * deviation
        exact = {"top": exact_gradient(top_chances, logits, loss)}
        exact["subset"] = exact_gradient(subset_chances, logits, loss)
        for name, value in settings:
            found = gradients(name, value, logits.expand(draws, HEADS), loss, torch.Generator().manual_seed(problem))
            own = SAMPLERS[name][2] if name in SAMPLERS else "subset"
            for target, gradient in exact.items():
                line = {"spread": spread, "problem": problem, "estimator": name, "setting": value, "target": target}
                yield line | {"own": target == own} | judged(found, gradient)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--problems", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("docs/figures/estimators"), help="without suffix")
    parser.add_argument("--redraw", action="store_true", help="draw the .csv that is there")
    arguments = parser.parse_args()
    from gradients_figure import draw, table

    path = arguments.output.with_suffix(".csv")
    if not arguments.redraw:
        torch.set_num_threads(1)
        found = pd.DataFrame(rows(arguments.draws, arguments.problems))
        path.parent.mkdir(parents=True, exist_ok=True)
        found.to_csv(path, index=False, float_format="%.5g")
    print(table(pd.read_csv(path)))
    draw(pd.read_csv(path), arguments.output)


if __name__ == "__main__":
    main()
