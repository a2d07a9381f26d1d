"""The relaxations against printed values, brute force, finite differences and the distributions they sample."""

from __future__ import annotations

import itertools
import math

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headprune.relaxations import (
    cubic_budget,
    gumbel,
    reverse_gradient,
    straight_through,
    subset_sample,
    temperature,
    top_k,
)

SCORES = torch.tensor([0.9, 0.1, -0.4, 1.3, 0.0, -1.2], dtype=torch.float64)
NONE = torch.zeros(6, dtype=torch.float64)  # no noise

# docs/theory/subset-sampling.md#fixtures: budget, temperature, gates to six digits
SAMPLER = [
    (1, 1, ".267186 .120054 .072817 .398595 .108630 .032719"),
    (2, 1, ".532801 .263365 .164405 .723790 .239986 .075652"),
    (3, 1, ".784278 .421645 .271667 1.006697 .387087 .128625"),
    (2, 0.1, "1.017433 .000408 .000003 .982006 .000150 .000000"),
    (3, 0.1, "1.017433 .727365 .004921 .982006 .268273 .000002"),
    (2, 1000, ".333594 .333328 .333161 .333728 .333294 .332895"),
    (3, 1e-8, "1 1 0 1 0 0"),
]


@pytest.mark.parametrize(("budget", "tau", "gates"), SAMPLER)
def test_sampler_gives_the_printed_values(budget: int, tau: float, gates: str) -> None:
    expected = torch.tensor([float(value) for value in gates.split()], dtype=torch.float64)
    torch.testing.assert_close(subset_sample(SCORES, budget, tau, NONE), expected, rtol=0, atol=5.1e-7)
    # noise and logits add up
    torch.testing.assert_close(subset_sample(NONE, budget, tau, SCORES), expected, rtol=0, atol=5.1e-7)


def test_no_head_is_taken_twice_however_large_the_gap() -> None:
    scores = torch.tensor([2000, 0, 0.1, -1], dtype=torch.float64)
    assert subset_sample(scores, 2, 1e-8, torch.zeros(4)).tolist() == [1, 0, 1, 0]


def by_formula(scores: Tensor, budget: int, tau: float) -> Tensor:
    """docs/theory/subset-sampling.md#sampler, number by number, without guards."""
    values, gates = scores.tolist(), [0.0] * len(scores)
    for _ in range(budget):
        largest = max(values)
        weights = [math.exp((value - largest) / tau) for value in values]
        for i, weight in enumerate(weights):
            p = weight / sum(weights)
            gates[i] += p
            values[i] += math.log(max(1 - p, 2.2e-308))
    return torch.tensor(gates, dtype=torch.float64)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=8), st.data(), st.floats(0.5, 1000))
def test_guards_change_nothing_at_moderate_temperatures(scores: list[float], data: st.DataObject, tau: float) -> None:
    logits = torch.tensor(scores, dtype=torch.float64)
    budget = data.draw(st.integers(0, len(scores) - 1))
    gates = subset_sample(logits, budget, tau, torch.zeros_like(logits))
    torch.testing.assert_close(gates, by_formula(logits, budget, tau), rtol=0, atol=1e-9)


LOGITS = st.one_of(st.floats(-3, 3), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1e-9, 800.0, -800.0]))


@given(st.lists(LOGITS, min_size=1, max_size=40), st.data(), st.floats(-8, 3))
def test_gates_sum_to_the_budget(values: list[float], data: st.DataObject, log_tau: float) -> None:
    logits = torch.tensor(values, dtype=torch.float64)
    budget = data.draw(st.integers(0, len(values)))
    noise = gumbel((len(values),), torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    gates = subset_sample(logits, budget, 10**log_tau, noise)
    assert abs(gates.sum().item() - budget) < 1e-9
    assert gates.min() >= 0


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30, unique=True), st.data())
def test_cold_gates_are_the_hard_top_k(values: list[int], data: st.DataObject) -> None:
    logits = torch.tensor(values, dtype=torch.float64)
    budget = data.draw(st.integers(0, len(values)))
    assert torch.equal(subset_sample(logits, budget, 1e-8, torch.zeros_like(logits)), top_k(logits, budget))


def test_hot_gates_are_equal() -> None:
    torch.testing.assert_close(subset_sample(SCORES, 4, 1e9, NONE), torch.full_like(SCORES, 4 / 6), rtol=0, atol=1e-8)


def test_sampler_draws_its_noise_from_the_generator() -> None:
    drawn = subset_sample(SCORES, 2, 1.0, generator=torch.Generator().manual_seed(3))
    given_noise = subset_sample(SCORES, 2, 1.0, noise=gumbel((6,), torch.Generator().manual_seed(3)))
    assert torch.equal(drawn, given_noise)
    assert not torch.equal(drawn, subset_sample(SCORES, 2, 1.0, generator=torch.Generator().manual_seed(4)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_sampler_keeps_the_type_of_the_logits(dtype: torch.dtype) -> None:
    assert subset_sample(SCORES.to(dtype), 2, 0.1, NONE).dtype == dtype


@pytest.mark.parametrize("budget", [-1, 7])
def test_budgets_outside_the_heads_are_refused(budget: int) -> None:
    for call in (lambda: subset_sample(SCORES, budget, 1.0), lambda: top_k(SCORES, budget)):
        with pytest.raises(ValueError, match=f"budget {budget} is outside 0…6"):
            call()


@pytest.mark.parametrize("tau", [0.0, -1.0, float("nan")])
def test_temperatures_are_positive(tau: float) -> None:
    with pytest.raises(ValueError, match="not positive"):
        subset_sample(SCORES, 2, tau)


@pytest.mark.parametrize("budget", [1, 2, 3, 5])
def test_gradient_of_the_sampler_equals_finite_differences(budget: int) -> None:
    weights = torch.tensor([0.3, -1.0, 2.0, 0.7, -0.2, 1.1], dtype=torch.float64)
    noise = gumbel((6,), torch.Generator().manual_seed(budget))

    def loss(logits: Tensor) -> Tensor:
        return (weights * subset_sample(logits, budget, 1.0, noise)).sum()

    logits = SCORES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits), logits)
    steps = 1e-5 * torch.eye(6, dtype=torch.float64)
    numeric = torch.stack([(loss(SCORES + step) - loss(SCORES - step)) / 2e-5 for step in steps])
    torch.testing.assert_close(gradient, numeric, rtol=0, atol=1e-6)


# first temperature, and temperatures on the way to 1e-8; the gradient is cut off below 1e-3, so most are near it
SCHEDULES = {
    "translation": (0.1, [0.1, 0.03, 0.01, 2e-3, 1.01e-3, 9e-4, 1e-5, 1e-8]),
    "classification": (1000.0, [1000.0, 1.0, 0.1, 0.01, 1.01e-3, 9e-4, 1e-5, 1e-8]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("budget", [4, 36, 68])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_thousand_draws_along_the_schedule_have_finite_gradients(
    schedule: str, budget: int, dtype: torch.dtype
) -> None:
    """1,000 seeds at each of eight places of the schedule; half with logits as they start, half with spread ones."""
    start, temperatures = SCHEDULES[schedule]
    cooldown, seeds, generator = 10_000, 1000, torch.Generator().manual_seed(budget)
    spread = torch.where(torch.arange(seeds) % 2 == 0, 0.3, 30.0)[:, None]
    pull = torch.randn(seeds, 72, generator=generator)  # the derivative of a loss in the gates
    for near in temperatures:
        update = int(cooldown * math.log(near / start) / math.log(1e-8 / start))
        tau = temperature(update, start, 1e-8, cooldown)
        logits = (torch.randn(seeds, 72, generator=generator) * spread).to(dtype).requires_grad_()
        noise = gumbel((seeds, 72), generator)
        gates = torch.func.vmap(lambda w, g, tau=tau: subset_sample(w, budget, tau, g))(logits, noise)
        (gradient,) = torch.autograd.grad((gates * pull).sum(), logits)
        assert torch.isfinite(gradient).all(), f"temperature {tau}"
        error = (gates.double().sum(1) - budget).abs().max()
        assert error < (1e-9 if dtype == torch.float64 else 1e-5), f"temperature {tau}"


@pytest.mark.parametrize("tau", [9e-4, 1e-5, 1e-8])
def test_exact_ties_do_not_blow_the_gradient_up(tau: float) -> None:
    """docs/theory/subset-sampling.md#hazards, the second: every pass could multiply it by 1/τ; one such factor, in all,
    is the bound."""
    logits = torch.zeros(72, dtype=torch.float64, requires_grad=True)
    pull = torch.randn(72, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gates = subset_sample(logits, 68, tau, torch.zeros(72))
    (gradient,) = torch.autograd.grad((gates * pull).sum(), logits)
    assert gradient.abs().max() < 68 * pull.abs().max() / tau
    assert abs(gates.sum().item() - 68) < 1e-9


def test_cold_draws_follow_plackett_luce() -> None:
    """Frequencies of all six pairs of four heads within 4 standard errors of the exact probabilities."""
    logits, draws = torch.tensor([1.0, 0.3, -0.5, -1.2], dtype=torch.float64), 20_000
    noise = gumbel((draws, 4), torch.Generator().manual_seed(0))
    gates = torch.func.vmap(lambda g: subset_sample(logits, 2, 1e-8, g))(noise)
    p = torch.softmax(logits, 0).tolist()
    for pair in itertools.combinations(range(4), 2):
        exact = sum(p[i] * p[j] / (1 - p[i]) for i, j in itertools.permutations(pair))
        found = (gates[:, pair] > 0.5).all(1).double().mean().item()
        assert abs(found - exact) < 4 * math.sqrt(exact * (1 - exact) / draws)
    inclusion = [
        sum(p[i] * p[j] / (1 - p[i]) for i, j in itertools.permutations(range(4), 2) if h in (i, j)) for h in range(4)
    ]
    error = 4 * torch.tensor([math.sqrt(q * (1 - q) / draws) for q in inclusion])
    assert ((gates.mean(0) - torch.tensor(inclusion)).abs() < error).all()


def test_gumbel_noise_has_its_distribution() -> None:
    noise = gumbel((20_000,), torch.Generator().manual_seed(1))
    assert noise.dtype == torch.float64
    assert scipy.stats.kstest(noise.numpy(), "gumbel_r").pvalue > 0.01


def test_gumbel_noise_is_finite_at_the_ends_of_the_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([0.0, 1 - 2.0**-53, 1.0], dtype=torch.float64))
    assert torch.isfinite(gumbel((3,))).all()


@pytest.mark.parametrize("budget", [0, 1, 5, 6])
@pytest.mark.parametrize("values", [[0.9, 0.1, -0.4, 1.3, 0.0, -1.2], [0.0] * 6, [1, 1, 0, 0, 1, 1], [-math.inf] * 6])
def test_top_k_has_exactly_k_ones_and_breaks_ties_by_index(values: list[float], budget: int) -> None:
    kept = sorted(range(6), key=lambda i: (-values[i], i))[:budget]
    mask = top_k(torch.tensor(values), budget)
    assert mask.tolist() == [float(i in kept) for i in range(6)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=100), st.data())
def test_top_k_under_many_ties(values: list[int], data: st.DataObject) -> None:
    budget = data.draw(st.integers(0, len(values)))
    kept = sorted(range(len(values)), key=lambda i: (-values[i], i))[:budget]
    assert top_k(torch.tensor(values, dtype=torch.float32), budget).nonzero().flatten().tolist() == sorted(kept)


def test_top_k_refuses_nan_and_needs_no_gradient() -> None:
    with pytest.raises(ValueError, match="NaN"):
        top_k(torch.tensor([0.0, math.nan]), 1)
    logits = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    assert not top_k(logits, 1).requires_grad
    assert top_k(logits, 1).dtype == torch.float64


def test_straight_through_is_hard_forward_and_soft_backward() -> None:
    soft = torch.tensor([0.2, 0.9], dtype=torch.float64, requires_grad=True)
    hard = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    result = straight_through(hard, soft**2)
    torch.testing.assert_close(result, torch.tensor([1.0, 0.0], dtype=torch.float64), rtol=0, atol=1e-15)
    (result * torch.tensor([3.0, 5.0])).sum().backward()
    torch.testing.assert_close(soft.grad, torch.tensor([2 * 0.2 * 3, 2 * 0.9 * 5], dtype=torch.float64))
    assert hard.grad is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_straight_through_is_hard_to_the_last_bit(values: list[float]) -> None:
    soft = torch.tensor(values, dtype=torch.float64)
    hard = (torch.arange(len(values)) % 2).double()
    assert torch.equal(straight_through(hard, soft), hard)


def test_descent_on_a_reversed_gradient_ascends() -> None:
    """min over x, max over λ of x² + λ (x − 3): from (0, 0) to the saddle x = 3, λ = −6, within 1e-3."""
    x, multiplier = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert reverse_gradient(torch.tensor(0.1)).item() == torch.tensor(0.1).item()
    optimiser = torch.optim.SGD([x, multiplier], lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        (x**2 + reverse_gradient(multiplier) * (x - 3)).backward()
        optimiser.step()
    assert (x.item(), multiplier.item()) == pytest.approx((3, -6), abs=1e-3)


@given(st.integers(0, 200), st.data())
def test_the_budget_falls_on_a_cubic(total: int, data: st.DataObject) -> None:
    """Sparsity s(n) = s_K (1 − (1 − (n − n₀) / (n₁ − n₀))³), as the papers write it, give or take half a head; all
    heads until the ramp starts, K from its end on, never more than before."""
    budget, start, length = (data.draw(st.integers(0, most)) for most in (total, 50, 50))
    budgets = [cubic_budget(n, start, start + length, total, budget) for n in range(start + length + 5)]
    assert budgets[start + length :] == [budget] * 5
    assert budgets[:start] == [total] * start
    assert budgets == sorted(budgets, reverse=True)
    for n in range(start, start + length):
        removed = (total - budget) * (1 - (1 - (n - start) / length) ** 3)
        assert abs(total - budgets[n] - removed) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("update", "expected"), [(1000, "363.08"), (5000, "6.3096"), (10_000, "0.039811"), (20_000, "1.585e-06")]
)
def test_temperatures_of_the_paper(update: int, expected: str) -> None:
    digits = len(expected.split("e")[0].replace(".", "").lstrip("0"))
    assert f"{temperature(update, 1000, 1e-8, 25_000):.{digits}g}" == expected


@given(st.floats(-9, 3), st.floats(-9, 3), st.integers(1, 50_000), st.data())
def test_temperature_is_geometric(log_start: float, log_end: float, cooldown: int, data: st.DataObject) -> None:
    start, end = 10**log_start, 10**log_end
    update = data.draw(st.integers(0, cooldown))
    expected = start ** (1 - update / cooldown) * end ** (update / cooldown)
    assert temperature(update, start, end, cooldown) == pytest.approx(expected, rel=1e-9)
    assert temperature(cooldown, start, end, cooldown) == end
    assert temperature(cooldown + 1 + update, start, end, cooldown) == end
    assert temperature(update, start, end, 0) == end
