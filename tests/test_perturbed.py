"""I-MLE: its target distribution, its gradient, and the noise for K-subsets."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from headprune.relaxations import gumbel, imle_sample, imle_target, sum_of_gamma, top_k


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


@pytest.mark.parametrize("strength", [0.1, 1.0, 10.0])
def test_gradient_is_the_difference_of_two_masks(strength: float) -> None:
    """Forward the top K, backward (z − z′) / λ with λ by hand, relative 1e-12; one draw or several."""
    logits, noise, pull = normal(1, 3, 10), gumbel((3, 10), rng(2)), normal(3, 3, 10)
    leaf = logits.clone().requires_grad_()
    gates = imle_sample(leaf, 4, noise, strength)
    (found,) = torch.autograd.grad((gates * pull).sum(), leaf)
    for row in range(3):
        scores = logits[row] + noise[row]
        step = strength / math.sqrt((pull[row] ** 2).mean().item())
        assert torch.equal(gates[row], top_k(scores, 4))
        expected = (top_k(scores, 4) - top_k(scores - step * pull[row], 4)) / step
        torch.testing.assert_close(found[row], expected, rtol=1e-12, atol=0)


def test_the_gradient_scales_with_the_loss() -> None:
    """A loss summed over tokens asks for the same mask as their mean; gradients differ by the factor, 1e-12."""
    logits, noise, pull = normal(1, 10), gumbel((10,), rng(2)), normal(3, 10)
    found = []
    for factor in (1.0, 4000.0):
        leaf = logits.clone().requires_grad_()
        found += torch.autograd.grad((imle_sample(leaf, 4, noise) * factor * pull).sum(), leaf)
    torch.testing.assert_close(found[1], 4000 * found[0], rtol=1e-12, atol=0)
    assert found[0].abs().sum() > 0


def test_a_strong_target_is_the_best_mask_of_the_linear_loss() -> None:
    """λ → ∞: the K heads of the least dL/dz, whatever logits and noise; λ → 0: the sample itself."""
    scores, pull = 3 * normal(1, 10), normal(2, 10)
    assert torch.equal(imle_target(scores, pull, 4, 1e9)[0], top_k(-pull, 4))
    assert torch.equal(imle_target(scores, pull, 4, 1e-9)[0], top_k(scores, 4))


def test_targets_are_samples_of_the_shifted_distribution() -> None:
    """The mask z′ has the law of the top K of w − λ dL/dz + noise: Plackett–Luce; χ² over 20,000 draws of 2 of 4."""
    logits, pull, draws = normal(1, 4), normal(2, 4), 20_000
    scores = logits + gumbel((draws, 4), rng(3))
    found, inverse = imle_target(scores, pull.expand(draws, 4), 2, 1.0)
    weights = (logits - pull / inverse[0]).exp().tolist()
    chances, counts = {}, {}
    for one in range(4):
        for other in set(range(4)) - {one}:
            chance = weights[one] / sum(weights) * weights[other] / (sum(weights) - weights[one])
            chances[frozenset((one, other))] = chances.get(frozenset((one, other)), 0) + chance
    for pair in chances:
        counts[pair] = (found[:, sorted(pair)].sum(1) == 2).sum().item()
    p = scipy.stats.chisquare(list(counts.values()), [draws * chance for chance in chances.values()]).pvalue
    assert 0.001 < p < 0.999


@pytest.mark.parametrize("budget", [0, 10])
def test_where_nothing_can_be_exchanged_the_gradient_is_zero(budget: int) -> None:
    leaf = normal(1, 10).requires_grad_()
    gates = imle_sample(leaf, budget, gumbel((10,), rng(2)))
    (found,) = torch.autograd.grad((gates * normal(3, 10)).sum(), leaf)
    assert (found == 0).all()


def test_a_loss_without_a_gradient_moves_nothing() -> None:
    leaf = normal(1, 10).requires_grad_()
    (found,) = torch.autograd.grad((0 * imle_sample(leaf, 4, gumbel((10,), rng(2)))).sum(), leaf)
    assert (found == 0).all()


def test_the_share_of_exchanged_heads_is_told() -> None:
    logits, noise, pull, seen = normal(1, 10), gumbel((10,), rng(2)), normal(3, 10), []
    leaf = logits.clone().requires_grad_()
    gates = imle_sample(leaf, 4, noise, 2.0, seen.append)
    assert seen == []
    torch.autograd.grad((gates * pull).sum(), leaf)
    target, _ = imle_target(logits + noise, pull, 4, 2.0)
    assert seen == [sum(kept and not wanted for kept, wanted in zip(gates.tolist(), target.tolist(), strict=True)) / 4]
    assert seen[0] > 0


@pytest.mark.parametrize("strength", [0.0, -1.0, float("nan")])
def test_strengths_are_positive(strength: float) -> None:
    with pytest.raises(ValueError, match="not positive"):
        imle_sample(torch.zeros(4), 2, torch.zeros(4), strength)


@pytest.mark.parametrize("budget", [1, 5])
def test_the_noise_of_a_whole_mask_is_gumbel(budget: int) -> None:
    """Kolmogorov-Smirnov of the sum over K heads, 2,000 draws, 2,000 terms: what is left out has a mean of 1/4,000."""
    sums = sum_of_gamma((2000, budget), budget, rng(budget), terms=2000).sum(1)
    assert scipy.stats.kstest(sums.numpy(), "gumbel_r").pvalue > 0.01


def test_the_mean_of_the_noise_is_that_of_its_terms() -> None:
    """(Σ 1/i − log s) / K over 10⁵ draws, within five standard errors."""
    drawn = sum_of_gamma((100_000,), 4, rng(1))
    expected = (sum(1 / i for i in range(1, 11)) - math.log(10)) / 4
    assert abs(drawn.mean().item() - expected) < 5 * drawn.std().item() / math.sqrt(100_000)


def test_without_heads_there_is_no_noise() -> None:
    assert sum_of_gamma((7,), 0).tolist() == [0] * 7


def test_a_second_derivative_is_refused() -> None:
    logits = torch.randn(6, dtype=torch.float64, requires_grad=True)
    mask = imle_sample(logits, 2, torch.zeros(6, dtype=torch.float64), 0.5)
    (first,) = torch.autograd.grad((mask * logits).square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
