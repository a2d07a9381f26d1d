"""The multipliers: closed forms of their gradients, and a count that reaches its target."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from headprune.heads import HeadSpace, Scope
from headprune.method import Progress, load_methods

LAGRANGIAN = load_methods()["lagrangian_l0"]
SPACE = HeadSpace.from_names(f"encoder.{layer}.{head}" for layer in range(6) for head in range(4))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(budget: int, scope: Scope | None = None, seed: int = 1, **options: Any) -> Any:
    return LAGRANGIAN.method(SPACE, budget, LAGRANGIAN.options(options), rng(seed), scope)


def kept(mask: Any) -> list[int]:
    return [i for i, keep in enumerate(mask.keep) if keep]


def expected_fraction(method: Any) -> Tensor:
    """s = mean σ(α + β log 11), written out."""
    return torch.sigmoid(method.log_alpha.detach() + method.options.beta * math.log(11)).mean()


def randomised(method: Any) -> Any:
    with torch.no_grad():
        method.log_alpha.copy_(torch.randn(24, generator=rng(2)))
        method.multipliers.copy_(torch.tensor([0.7, 3.0], dtype=torch.float64))
    return method


@pytest.mark.parametrize("beta", [2 / 3, 0.33])
def test_the_penalty_is_the_lagrangian_and_its_multipliers_ascend(beta: float) -> None:
    """Value λ₁ g + λ₂ g²; gradients −g and −g² in λ, (λ₁ + 2 λ₂ g) ds/dα in log α: relative 1e-9."""
    method = randomised(make(6, beta=beta))
    gap = (expected_fraction(method) - 6 / 24).item()
    penalty = method.penalty(Progress(50, 100, rng(1)))
    assert penalty.item() == pytest.approx(0.7 * gap + 3 * gap**2, rel=1e-9)
    penalty.backward()
    assert method.multipliers.grad.tolist() == pytest.approx([-gap, -(gap**2)], rel=1e-9)
    p = torch.sigmoid(method.log_alpha.detach() + beta * math.log(11))
    torch.testing.assert_close(method.log_alpha.grad, (0.7 + 6 * gap) * p * (1 - p) / 24, rtol=1e-9, atol=0)


def test_the_target_falls_linearly_from_all_heads_to_the_budget() -> None:
    method = randomised(make(6, warmup=0.4))
    s = expected_fraction(method).item()
    for update, target in ((0, 1.0), (10, 0.8125), (20, 0.625), (40, 0.25), (70, 0.25), (99, 0.25)):
        gap = s - target
        found = method.penalty(Progress(update, 100, rng(1))).item()
        assert found == pytest.approx(0.7 * gap + 3 * gap**2, rel=1e-9)
    at_once = randomised(make(6, warmup=0.0)).penalty(Progress(0, 100, rng(1))).item()
    assert at_once == pytest.approx(0.7 * (s - 0.25) + 3 * (s - 0.25) ** 2, rel=1e-9)


def trained(method: Any, worth: Tensor, updates: int = 1000) -> list[float]:
    """Adam at the method's rate, gradients clipped at 1, as in training; closing head h costs worth[h].

    :returns: the expected number of open heads after every update
    """
    counts = []
    optimiser = torch.optim.Adam(method.parameters(), lr=method.options.learning_rate, betas=(0.9, 0.98))
    for update in range(updates):
        progress = Progress(update, updates, rng(update))
        optimiser.zero_grad()
        loss = (worth * (1 - method.sample(progress)) ** 2).sum() + method.penalty(progress)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimiser.step()
        counts.append(24 * expected_fraction(method).item())
    return counts


@pytest.mark.parametrize("budget", [3, 16])
def test_the_expected_count_reaches_the_budget(budget: int) -> None:
    """Within 0.5 heads on average over the last 200 of 1,000 updates (it swings); the binarised count at the
    end within one; the useful heads are the kept."""
    worth = torch.full((24,), 0.002, dtype=torch.float64)
    useful = torch.randperm(24, generator=rng(3))[:budget].tolist()
    worth[useful] = 0.05
    method = make(budget)
    counts = trained(method, worth)
    assert counts[0] > 20
    assert abs(sum(counts[-200:]) / 200 - budget) < 0.5
    assert abs(method.keep(budget).count - budget) <= 1
    exact = LAGRANGIAN.method(SPACE, budget, LAGRANGIAN.options({"at_k": True}), rng(1))
    exact.load_state_dict(method.state_dict())
    assert exact.keep(budget).count == budget
    assert len(set(kept(exact.keep(budget))) & set(useful)) >= budget - 1


@pytest.mark.parametrize("budget", [0, 24])
def test_the_ends_of_the_grid_are_reached(budget: int) -> None:
    worth = torch.full((24,), 0.002, dtype=torch.float64)
    method = make(budget)
    trained(method, worth, 400)
    assert method.keep(budget).count == budget


def test_gates_start_open_and_equal_but_for_a_jitter() -> None:
    method = make(5, start=10.0)
    assert (method.log_alpha - 10).abs().max() < 0.05
    assert len(set(method.log_alpha.tolist())) == 24
    assert method.multipliers.tolist() == [0, 0]
    assert {p.param_group for p in method.parameters()} == {"gates"}
    assert not torch.equal(method.log_alpha, make(5, start=10.0, seed=2).log_alpha)


def test_kept_are_the_open_heads_or_the_top_k() -> None:
    for at_k, expected in ((False, list(range(20, 24))), (True, list(range(14, 24)))):
        method = make(10, at_k=at_k)
        with torch.no_grad():
            method.log_alpha.copy_(torch.arange(24) - 19.0)
        assert kept(method.keep(10)) == expected
        assert method.exact is at_k
    with torch.no_grad():
        protected = make(10, Scope(min_per_module=1))
        protected.log_alpha.fill_(-1)
    assert set(protected.keep(10).per_module().values()) == {1}


def test_one_training_per_budget_that_ends_with_its_last_checkpoint() -> None:
    assert (LAGRANGIAN.method.per_budget, LAGRANGIAN.method.coefficient) == (True, "")
    assert make(5).cooldown(700) == 700


@pytest.mark.parametrize("options", [{"beta": 0.0}, {"warmup": -0.1}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        LAGRANGIAN.options(options)
