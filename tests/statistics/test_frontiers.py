"""Fronts, their volume and curves over budgets: brute force, closed forms, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from found import Found, rows
from hypothesis import given
from hypothesis import strategies as st

from headprune.statistics import hypervolume, pareto_front
from headprune.statistics.frontiers import (
    area_interval,
    area_under_curve,
    attained,
    budget_at_loss,
    budget_at_loss_interval,
    front_band,
    front_membership,
    hypervolume_interval,
)

NAN = float("nan")
POINTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=15)


def clouds(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clouds on a coarse grid, so that many points tie."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(number):
        n = int(rng.integers(1, 20))
        cost, quality = rng.integers(0, 7, (2, n)).astype(float)
        found.append((cost, quality))
    return found


CLOUDS = clouds(1000)


def dominated(cost: np.ndarray, quality: np.ndarray, i: int) -> bool:
    return any(
        c <= cost[i] and q >= quality[i] and (c < cost[i] or q > quality[i]) for c, q in zip(cost, quality, strict=True)
    )


def test_front_equals_brute_force() -> None:
    for cost, quality in CLOUDS:
        expected = {i for i in range(len(cost)) if not dominated(cost, quality, i)}
        front = pareto_front(cost, quality)
        assert set(front) == expected
        assert list(cost[front]) == sorted(cost[front])
        assert len(front) == len(expected)


def test_hypervolume_equals_counting_squares() -> None:
    """Whole coordinates: the unit squares below and to the right of some point."""
    for cost, quality in CLOUDS:
        squares = {
            (x, y) for c, q in zip(cost, quality, strict=True) for x in range(int(c), 6) for y in range(1, int(q))
        }
        assert hypervolume(cost, quality, (6, 1)) == len(squares)


@given(POINTS, st.tuples(st.integers(0, 8), st.integers(0, 8)))
def test_a_point_more_never_shrinks_the_volume(points: list[tuple[int, int]], extra: tuple[int, int]) -> None:
    before = hypervolume(*np.transpose(points).astype(float), (9, -1))
    after = hypervolume(*np.transpose([*points, extra]).astype(float), (9, -1))
    assert after >= before
    front = pareto_front(*np.transpose([*points, extra]).astype(float))
    assert (after > before) == (len(points) in front and extra not in points)


def test_front_by_hand() -> None:
    assert pareto_front([3, 1, 2, 3], [9, 5, 5, 9]) == [1, 0, 3]
    assert pareto_front([], []) == []
    with pytest.raises(ValueError, match="are no points"):
        pareto_front([1, 2], [1])
    with pytest.raises(ValueError, match="not finite"):
        hypervolume([1], [1], (NAN, 0))


@rows(
    Found("a quality that is NaN", [0], "1 that are not finite", "nobody was told that a point was left out", (1, NAN)),
    Found("an infinite cost", [0, 1], "1 that are not finite", "no model costs that", (np.inf, 9)),
)
def test_points_of_a_front_are_known(found: Found) -> None:
    cost, quality = zip((2, 5), found.case, strict=True)
    for measure in (pareto_front, lambda c, q: attained(c, q, [1]), lambda c, q: hypervolume(c, q, (9, 0))):
        with pytest.raises(ValueError, match=found.right):
            measure(cost, quality)


def test_steps() -> None:
    cost, quality = [2, 4, 6], [10, 12, 11]
    np.testing.assert_array_equal(attained(cost, quality, [1, 2, 3.9, 4, 100]), [NAN, 10, 10, 12, 12])
    for costs, qualities in CLOUDS[:100]:
        at = np.arange(-1, 8)
        expected = [max((q for c, q in zip(costs, qualities, strict=True) if c <= place), default=NAN) for place in at]
        np.testing.assert_array_equal(attained(costs, qualities, at), expected)


def test_band_goes_through_the_means_and_holds_the_draws() -> None:
    cost = np.array([[1.0, 1.0], [2.0, 2.0]])
    quality = np.array([[10.0, 12.0], [13.0, 15.0]])
    band = front_band(cost, quality, [1, 2])
    np.testing.assert_allclose(band.value, [11, 14])
    np.testing.assert_allclose(band.low, [10, 13])  # a quarter of the draws takes seed 1 twice
    np.testing.assert_allclose(band.high, [12, 15])
    assert band.n == 2


def test_share_of_draws_on_the_front() -> None:
    """Two seeds: half of the draws have both, a quarter one of them twice."""
    cost = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    quality = np.array([[5.0, 5.0], [7.0, 4.0], [4.0, 4.5]])  # means 5, 5.5, 4.25
    share = front_membership(cost, quality)
    assert share == pytest.approx([1, 0.75, 0], abs=0.03)
    assert front_membership(cost[::-1], quality[::-1]) == pytest.approx(share[::-1])
    assert np.isnan(front_membership(cost[:, :1], quality[:, :1])).all()


def test_one_seed_has_no_band() -> None:
    band = front_band([[1.0, NAN]], [[5.0, 6.0]], [1.0])
    assert (band.n, band.value.tolist()) == (1, [5.0])
    assert np.isnan(band.low).all()
    assert not hypervolume_interval([[1.0]], [[5.0]], (2, 0)).has_interval


def test_hypervolume_of_the_means() -> None:
    cost, quality = [[1.0, 1.0], [2.0, 2.0]], [[4.0, 6.0], [7.0, NAN]]
    found = hypervolume_interval(cost, quality, (3, 0))
    assert found.value == 5 * 1 + 7 * 1
    # seed 2 alone has the first point only: 6 over two units of cost
    assert (found.low, found.high) == (4 + 7, 6 + 7) or found.low <= found.value <= found.high
    assert found.n == 2


def test_area_by_hand() -> None:
    assert area_under_curve([0, 2, 4], [0, 1, 1]) == pytest.approx(0.75)
    assert area_under_curve([4, 0, 2], [1, 0, 1]) == pytest.approx(0.75)  # in any order
    assert area_under_curve([0, 1, 4], [0, NAN, 1]) == pytest.approx(0.5)
    assert np.isnan(area_under_curve([3], [1]))
    found = area_interval([0, 4], [[0, 0.2], [1, 1]])
    assert found.value == pytest.approx(0.55)
    assert (found.low, found.high) == pytest.approx((0.5, 0.6))


def test_budget_at_loss_by_hand() -> None:
    budgets, kept = [2, 6, 12, 20, 24], [0.1, 0.5, 0.96, 0.99, 1.0]
    assert budget_at_loss(budgets, kept, 0.05) == pytest.approx(6 + 6 * (0.45 / 0.46))
    assert budget_at_loss(budgets, kept, 0.01) == 20
    assert budget_at_loss(budgets, kept, 0.95) == 2  # nothing lost yet: no larger than the smallest measured
    assert np.isnan(budget_at_loss([2, 4], [0.2, 0.4], 0.05))
    assert budget_at_loss([2, 4, 6, 8], [0.97, 0.2, 0.98, 1], 0.05) == pytest.approx(4 + 2 * 0.75 / 0.78)
    assert np.isnan(budget_at_loss([], [], 0.05))


def test_budget_at_loss_over_seeds() -> None:
    kept = np.array([[0.0, 0.2], [1.0, 1.0]])
    found = budget_at_loss_interval([0, 10], kept, 0.5)
    assert found.value == pytest.approx(10 * 0.4 / 0.9)
    assert (found.low, found.high) == pytest.approx((10 * 0.3 / 0.8, 5))


def test_rows_in_any_order() -> None:
    rng = np.random.default_rng(8)
    cost, quality = rng.random((2, 6, 4))
    order = rng.permutation(6)
    one, two = (front_band(c, q, [0.3, 0.6]) for c, q in ((cost, quality), (cost[order], quality[order])))
    for name in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-12)


def test_coverage_of_the_area() -> None:
    """Twelve seeds: the bootstrap interval of the area holds the true area about as often as it says."""
    rng = np.random.default_rng(9)
    budgets, truth = np.array([0, 4, 8, 12]), np.array([0.2, 0.6, 0.9, 1.0])
    expected = area_under_curve(budgets, truth)
    hits = 0
    for _ in range(200):
        noise = rng.normal(0, 0.05, (1, 12)) + rng.normal(0, 0.05, (4, 12))
        found = area_interval(budgets, truth[:, None] + noise, samples=300)
        hits += found.low <= expected <= found.high
    assert 0.86 <= hits / 200 <= 0.99
