"""Hard concrete gates against printed values, Monte Carlo and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from headprune.relaxations import effective_penalty, hard_concrete, open_probability

# docs/theory/hard-concrete.md#fixtures: log alpha, P(open), P(0), P(1) to four digits, the deterministic gate
HARD_CONCRETE = [
    (-3, 0.0990, 0.9010, 0.0221, 0.0),
    (-1, 0.4480, 0.5520, 0.1429, 0.2227),
    (0, 0.6881, 0.3119, 0.3119, 0.5),
    (1, 0.8571, 0.1429, 0.5520, 0.7773),
    (3, 0.9779, 0.0221, 0.9010, 1.0),
]


@pytest.mark.parametrize(("log_alpha", "opened", "zero", "one", "deterministic"), HARD_CONCRETE)
def test_hard_concrete_gives_the_printed_values(
    log_alpha: float, opened: float, zero: float, one: float, deterministic: float
) -> None:
    """The table to 4 digits; 200,000 draws within 3 standard errors of its probabilities."""
    alpha = torch.tensor([log_alpha], dtype=torch.float64)
    assert open_probability(alpha).item() == pytest.approx(opened, abs=5.1e-5)
    assert hard_concrete(alpha).item() == pytest.approx(deterministic, abs=5.1e-5)
    draws = 200_000
    uniform = torch.rand(draws, generator=torch.Generator().manual_seed(log_alpha + 3), dtype=torch.float64)
    gates = hard_concrete(alpha.expand(draws), uniform)
    for found, probability in ((gates > 0, opened), (gates == 0, zero), (gates == 1, one)):
        error = 3 * math.sqrt(probability * (1 - probability) / draws) + 5.1e-5
        assert abs(found.double().mean().item() - probability) < error


@pytest.mark.parametrize("beta", [0.33, 2 / 3, 2.0])
def test_the_temperature_of_hard_concrete(beta: float) -> None:
    """P(open) is where the gate leaves 0: the share of an even grid of uniform numbers, within two steps of it."""
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    for alpha in (-1.0, 0.3, 2.0):
        opened = (hard_concrete(torch.full_like(uniform, alpha), uniform, beta) > 0).double().mean().item()
        assert open_probability(torch.tensor(alpha, dtype=torch.float64), beta).item() == pytest.approx(
            opened, abs=2e-5
        )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({}, 0.0015), ({"modules": 18}, 0.0015 / 18), ({"tokens": 3600}, 0.0015 / 3600)],
)
def test_effective_penalty_divides_by_what_the_code_averages(arguments: dict[str, int], expected: float) -> None:
    assert effective_penalty(0.0015, **arguments) == pytest.approx(expected)


def test_hard_concrete_at_the_ends_of_the_uniform_is_finite() -> None:
    alpha = torch.zeros(2, requires_grad=True)
    gates = hard_concrete(alpha, torch.tensor([0.0, 1.0]))
    gates.sum().backward()
    assert gates.tolist() == [0, 1]
    assert torch.isfinite(alpha.grad).all()


def test_deterministic_gate_passes_one_half_at_zero() -> None:
    alpha = torch.cat([torch.arange(-50, 0), torch.arange(1, 51)]).double() / 10  # 0.5 to the last bit at 0
    assert torch.equal(hard_concrete(alpha) > 0.5, alpha > 0)
    assert (hard_concrete(alpha)[alpha <= -2.4] == 0).all()
    assert (hard_concrete(alpha)[alpha >= 2.4] == 1).all()


def test_open_probability_is_clipped() -> None:
    assert open_probability(torch.tensor([-50.0, 50.0], dtype=torch.float64)).tolist() == [1e-6, 1 - 1e-6]


def test_gradient_reaches_log_alpha_of_gates_in_between() -> None:
    alpha = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    noise = torch.tensor([0.5], dtype=torch.float64)
    slope: Callable[[float], float] = lambda a: hard_concrete(torch.tensor([a], dtype=torch.float64), noise).item()  # noqa: E731
    hard_concrete(alpha, noise).sum().backward()
    assert alpha.grad.item() == pytest.approx((slope(1e-5) - slope(-1e-5)) / 2e-5, rel=1e-6)
