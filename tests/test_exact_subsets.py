"""The distribution of K-subsets against enumeration, and the estimators that rest on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headprune.relaxations import (
    compiled_walk,
    gumbel,
    marginal_sample,
    simple_sample,
    subset_draw,
    subset_marginals,
    top_k,
)
from headprune.relaxations.walk import plain_covariance, plain_walk

LOGITS = torch.tensor([0.9, 0.1, -0.4, 1.3, 0.0, -1.2], dtype=torch.float64)
TIGHT = {"rtol": 0, "atol": 1e-10}


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def masks_of(total: int, budget: int) -> Tensor:
    """All masks of K ones (masks, N)."""
    subsets = itertools.combinations(range(total), budget)
    return torch.stack([torch.zeros(total).double().index_fill(0, torch.tensor(s).long(), 1) for s in subsets])


def enumerated(logits: Tensor, budget: int) -> tuple[Tensor, Tensor, Tensor]:
    """The probabilities of all masks, the marginals and the covariance."""
    masks = masks_of(len(logits), budget)
    chances = torch.softmax(masks @ logits, 0)
    marginals = chances @ masks
    centred = masks - marginals
    return chances, marginals, centred.T @ (centred * chances.unsqueeze(1))


@pytest.fixture(params=["compiled", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """With the functions in C, and on a machine on which nothing can be compiled."""
    if request.param == "plain":
        monkeypatch.setattr(compiled_walk, "library", lambda source: None)
        compiled_walk._functions.cache_clear()
    elif not compiled_walk.available():
        pytest.skip("no C compiler on this machine")
    yield request.param
    compiled_walk._functions.cache_clear()


# docs/theory/subset-sampling.md#exact-distribution: budget, temperature, marginals to six digits
PRINTED = [
    (1, 1, ".267186 .120054 .072817 .398595 .108630 .032719"),
    (2, 1, ".531230 .286622 .183177 .650391 .262713 .085866"),
    (3, 1, ".722972 .494363 .343326 .804383 .462310 .172645"),
    (2, 0.5, ".712323 .186612 .071168 .860900 .154392 .014605"),
    (2, 0.1, ".999539 .000341 .000002 .999992 .000126 0"),
]


def numbers(text: str) -> Tensor:
    return torch.tensor([float(number) for number in text.split()], dtype=torch.float64)


@pytest.mark.parametrize(("budget", "temperature", "marginals"), PRINTED)
def test_marginals_are_the_printed_values(way: str, budget: int, temperature: float, marginals: str) -> None:
    found = subset_marginals(LOGITS / temperature, budget)
    torch.testing.assert_close(found, numbers(marginals), rtol=0, atol=5.1e-7)


def test_the_gradient_is_the_printed_covariance(way: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    pull = numbers("1 -2 .5 0 3 -1")
    (found,) = torch.autograd.grad((subset_marginals(logits, 2) * pull).sum(), logits)
    expected = numbers(".196684 -.594358 .017136 -.103289 .599687 -.115860")
    torch.testing.assert_close(found, expected, rtol=0, atol=5.1e-7)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1000.0], ids=["equal", "usual", "far", "extreme"])
@pytest.mark.parametrize("total", [1, 2, 5, 12])
def test_marginals_and_their_gradient_equal_enumeration(way: str, total: int, scale: float) -> None:
    """Within 1e-10, at every budget from none to all, several distributions at a time."""
    logits = (scale * normal(total, 3, total)).requires_grad_()
    pull = normal(total + 1, 3, total)
    for budget in range(total + 1):
        marginals = subset_marginals(logits, budget)
        (gradient,) = torch.autograd.grad((marginals * pull).sum(), logits)
        for row in range(3):
            _, expected, covariance = enumerated(logits[row].detach(), budget)
            torch.testing.assert_close(marginals[row], expected, **TIGHT)
            torch.testing.assert_close(gradient[row], covariance @ pull[row], **TIGHT)


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=9), st.data())
def test_no_logits_are_too_uneven(values: list[float], data: st.DataObject) -> None:
    """Against enumeration, 1e-10, whatever the logits."""
    logits = torch.tensor(values, dtype=torch.float64)
    budget = data.draw(st.integers(0, len(values)))
    _, expected, covariance = enumerated(logits, budget)
    walk = plain_walk(logits, budget)
    torch.testing.assert_close(subset_marginals(logits, budget), expected, **TIGHT)
    pull = torch.linspace(-1, 1, len(values), dtype=torch.float64)
    torch.testing.assert_close(plain_covariance(walk, pull), covariance @ pull, **TIGHT)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60), st.data())
def test_marginals_are_probabilities_that_sum_to_the_budget(values: list[float], data: st.DataObject) -> None:
    budget = data.draw(st.integers(0, len(values)))
    marginals = subset_marginals(torch.tensor(values, dtype=torch.float64), budget)
    assert marginals.min() >= 0
    assert marginals.max() <= 1 + 1e-12
    assert abs(marginals.sum().item() - budget) < 1e-9


@pytest.mark.skipif(not compiled_walk.available(), reason="no C compiler on this machine")
@pytest.mark.parametrize(("total", "budget"), [(144, 72), (144, 12), (144, 132), (24, 12), (6, 0), (6, 6), (1, 1)])
def test_compiled_and_plain_walks_agree(total: int, budget: int) -> None:
    """Every probability, and the covariance, within 1e-12."""
    logits, pull = 5 * normal(1, 2, 3, total), normal(2, 2, 3, total)
    plain, compiled = plain_walk(logits, budget), compiled_walk.compiled_walk(logits, budget)
    for one, other in zip(plain, compiled, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    found = compiled_walk.compiled_covariance(compiled, pull)
    torch.testing.assert_close(plain_covariance(plain, pull), found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("budget", [-1, 7])
def test_budgets_outside_the_heads_are_refused(budget: int) -> None:
    for call in (subset_marginals, subset_draw, simple_sample):
        with pytest.raises(ValueError, match=f"budget {budget} is outside 0…6"):
            call(LOGITS, budget)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_types_of_the_logits_are_kept(dtype: torch.dtype) -> None:
    for call in (subset_marginals, subset_draw, simple_sample):
        assert call(LOGITS.to(dtype), 2).dtype == dtype


# samples


@pytest.mark.parametrize("budget", [1, 2, 5])
def test_samples_have_the_probabilities_of_enumeration(way: str, budget: int) -> None:
    """Chi-square over 20,000 draws of all masks of K of 6."""
    draws = 20_000
    found = subset_draw(LOGITS.expand(draws, 6), budget, rng(budget))
    masks, (chances, _, _) = masks_of(6, budget), enumerated(LOGITS, budget)
    counts = [(found == mask).all(1).sum().item() for mask in masks]
    assert sum(counts) == draws
    assert 0.001 < scipy.stats.chisquare(counts, (draws * chances).numpy()).pvalue < 0.999


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e9])
@pytest.mark.parametrize("budget", [0, 1, 71, 144])
def test_samples_have_exactly_k_ones(way: str, budget: int, scale: float) -> None:
    drawn = subset_draw(scale * normal(3, 4, 144), budget, rng(5))
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    assert drawn.sum(-1).tolist() == [budget] * 4


def test_samples_come_from_their_generator() -> None:
    first, second, other = (subset_draw(normal(3, 40), 20, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


# SIMPLE


def test_the_gradient_of_simple_is_the_covariance_of_enumeration(way: str) -> None:
    """Hard forward; backward Cov(z) dL/dz, within 1e-10, of a loss that is not linear in the mask."""
    logits, weights = LOGITS.clone().requires_grad_(), normal(7, 6, 6)
    sample = simple_sample(logits, 3, rng(1))
    assert torch.equal(sample, subset_draw(LOGITS, 3, rng(1)))
    leaf = sample.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(sample @ weights @ sample, logits)
    (pull,) = torch.autograd.grad(leaf @ weights @ leaf, leaf)
    _, _, covariance = enumerated(LOGITS, 3)
    torch.testing.assert_close(gradient, covariance @ pull, **TIGHT)


def test_simple_is_unbiased_for_linear_losses() -> None:
    """Its gradient is the derivative of the expected loss itself, central differences of enumeration, 1e-7."""
    pull, step = normal(8, 6), 1e-5
    logits = LOGITS.clone().requires_grad_()
    (found,) = torch.autograd.grad((simple_sample(logits, 2, rng(1)) * pull).sum(), logits)
    for head in range(6):
        move = torch.zeros(6, dtype=torch.float64).index_fill(0, torch.tensor(head), step)
        high, low = (enumerated(LOGITS + sign * move, 2)[1] @ pull for sign in (1, -1))
        assert found[head].item() == pytest.approx((high - low).item() / (2 * step), abs=1e-7)


# SST


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30, unique=True), st.data())
def test_cold_marginals_are_the_top_k_of_perturbed_logits(values: list[int], data: st.DataObject) -> None:
    logits = torch.tensor(values, dtype=torch.float64)
    budget = data.draw(st.integers(0, len(values)))
    noise = gumbel(logits.shape, rng(1)).round()  # the sums are whole: ties have a gap of one, or none
    scores = logits + noise
    if len(scores.unique()) == len(scores):
        assert torch.equal(marginal_sample(logits, budget, 1e-8, noise), top_k(scores, budget))


@pytest.mark.parametrize("temperature", [1000.0, 1.0, 0.1, 1e-3, 1e-8])
def test_marginal_gates_are_probabilities_of_sum_k(temperature: float) -> None:
    """Unlike those of the sampler of DSP they never exceed 1; their gradient is finite at every temperature."""
    logits = normal(3, 50, 24).requires_grad_()
    gates = marginal_sample(logits, 5, temperature, gumbel((50, 24), rng(4)))
    torch.testing.assert_close(gates.sum(-1), torch.full((50,), 5.0).double(), rtol=0, atol=1e-9)
    assert gates.min() >= 0
    assert gates.max() <= 1 + 1e-12
    (gradient,) = torch.autograd.grad((gates * normal(5, 50, 24)).sum(), logits)
    assert torch.isfinite(gradient).all()


def test_marginal_gates_follow_finite_differences() -> None:
    noise, weights = gumbel((6,), rng(2)), normal(3, 6)
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: (marginal_sample(w, 2, 0.7, noise) * weights).sum(), logits)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperatures_are_positive(temperature: float) -> None:
    with pytest.raises(ValueError, match="not positive"):
        marginal_sample(LOGITS, 2, temperature, torch.zeros(6))
