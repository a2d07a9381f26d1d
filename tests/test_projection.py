"""The projection onto the capped simplex against a solver of quadratic programmes, and its derivative."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headprune.relaxations import capped_projection, projected_sample, top_k


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def solved(scores: np.ndarray, budget: int) -> np.ndarray:
    """The nearest point, by sequential least squares of scipy."""
    found = scipy.optimize.minimize(
        lambda m: 0.5 * ((m - scores) ** 2).sum(),
        np.full(len(scores), budget / len(scores)),
        jac=lambda m: m - scores,
        bounds=[(0, 1)] * len(scores),
        constraints={"type": "eq", "fun": lambda m: m.sum() - budget, "jac": lambda m: np.ones_like(m)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.success
    return found.x


@pytest.mark.parametrize("budget", range(9))
@pytest.mark.parametrize("scale", [0.1, 1.0, 2.0])
def test_it_is_the_nearest_point(budget: int, scale: float) -> None:
    """SLSQP, within 1e-6; the distance is no larger than that of its solution."""
    scores = scale * normal(budget, 8)
    found, expected = capped_projection(scores, budget), solved(scores.numpy(), budget)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert (found - scores).norm() <= np.linalg.norm(expected - scores.numpy()) + 1e-9


SCORES = st.one_of(st.floats(-3, 3), st.integers(-3, 3).map(float), st.floats(-1e4, 1e4))


@given(st.lists(SCORES, min_size=1, max_size=30), st.data())
def test_it_meets_the_conditions_of_optimality(values: list[float], data: st.DataObject) -> None:
    """Feasible within 1e-9, ties included; and one ν serves all heads: y − m is ν where 0 < m < 1, at most ν at 0, at
    least ν at 1."""
    scores = torch.tensor(values, dtype=torch.float64)
    budget = data.draw(st.integers(0, len(values)))
    found = capped_projection(scores, budget)
    assert found.min() >= 0
    assert found.max() <= 1
    assert abs(found.sum().item() - budget) < 1e-9
    gap = scores - found
    open_, closed = gap[found > 0], gap[found < 1]
    if len(open_) and len(closed):
        assert open_.min() >= closed.max() - 1e-9


def test_several_are_projected_at_a_time() -> None:
    scores = 2 * normal(1, 5, 3, 12)
    found = capped_projection(scores, 4)
    for row in range(5):
        assert torch.equal(found[row, 1], capped_projection(scores[row, 1], 4))


@pytest.mark.parametrize("budget", [1, 3, 7])
def test_its_gradient_equals_finite_differences(budget: int) -> None:
    """Central differences, where no score is at a kink, 1e-6; of heads at 0 and 1 it is zero."""
    scores = normal(budget, 8).requires_grad_()
    found = capped_projection(scores, budget)
    assert torch.autograd.gradcheck(lambda y: capped_projection(y, budget), scores, eps=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad((found * normal(9, 8)).sum(), scores)
    assert (gradient[(found == 0) | (found == 1)] == 0).all()
    assert (gradient[(found > 0) & (found < 1)] != 0).all()


def test_equal_scores_share_the_budget() -> None:
    torch.testing.assert_close(capped_projection(torch.ones(8), 3), torch.full((8,), 3 / 8))


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30, unique=True), st.data())
def test_cold_gates_are_the_hard_top_k(values: list[int], data: st.DataObject) -> None:
    logits = torch.tensor(values, dtype=torch.float64)
    budget = data.draw(st.integers(0, len(values)))
    assert torch.equal(projected_sample(logits, budget, 1e-8), top_k(logits, budget))


def test_hot_gates_are_equal_and_all_have_a_gradient() -> None:
    """The identity less the mean, over the temperature."""
    logits, pull = normal(1, 8).requires_grad_(), normal(2, 8)
    gates = projected_sample(logits, 3, 100.0)
    torch.testing.assert_close(gates, torch.full((8,), 3 / 8).double(), rtol=0, atol=0.05)
    (gradient,) = torch.autograd.grad((gates * pull).sum(), logits)
    torch.testing.assert_close(gradient, (pull - pull.mean()) / 100)


@pytest.mark.parametrize("budget", [0, 3, 8])
def test_gates_keep_their_type_and_depend_on_the_logits(budget: int) -> None:
    logits = normal(1, 8).float().requires_grad_()
    gates = projected_sample(logits, budget, 1.0)
    assert gates.dtype == torch.float32
    assert gates.requires_grad


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="budget 9 is outside 0…8"):
        projected_sample(torch.zeros(8), 9, 1.0)
    with pytest.raises(ValueError, match="not positive"):
        projected_sample(torch.zeros(8), 3, 0.0)
