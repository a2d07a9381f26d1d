"""The set of methods that may be the best: enumeration by hand, coverage and selection by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from found import Found, rows

from headprune.statistics.best import least_p_of_best, may_be_best, p_of_being_best


def by_loops(values: np.ndarray, method: int) -> float:
    """The share of sign flips whose largest t of a difference to the method is as large as the observed one."""

    def largest(signs: tuple[int, ...]) -> float:
        found = []
        for other in set(range(values.shape[1])) - {method}:
            change = np.array(signs) * (values[:, other] - values[:, method])
            found.append(change.mean() / (change.std(ddof=1) / np.sqrt(len(change))))
        return max(found)

    flips = [largest(signs) for signs in itertools.product([1, -1], repeat=len(values))]
    return float(np.mean([flip >= flips[0] - 1e-9 for flip in flips]))


@pytest.mark.parametrize("seed", range(5))
def test_p_is_that_of_a_loop_over_all_flips(seed: int) -> None:
    values = np.random.default_rng(seed).normal([0, 0.5, 1, 1], 1, (6, 4))
    found = p_of_being_best(values)
    assert found == pytest.approx([by_loops(values, method) for method in range(4)], abs=1e-12)
    np.testing.assert_allclose(p_of_being_best(values[:, ::-1]), found[::-1], atol=1e-12)


def test_far_behind_is_left_out_and_the_best_is_not() -> None:
    values = np.random.default_rng(1).normal([10, 10, 0], 0.1, (6, 3))
    found = may_be_best(values, 0.05)
    assert found is not None
    assert found[values.mean(axis=0).argmax()] and not found[2]
    assert p_of_being_best(values)[2] == least_p_of_best(6) == 1 / 64


def test_too_few_seeds_leave_none_out() -> None:
    assert [may_be_best(np.zeros((n, 3)), 0.05) is None for n in (1, 3, 4, 5)] == [True, True, True, False]
    assert p_of_being_best(np.ones((6, 3))).tolist() == [1, 1, 1]  # all alike
    assert p_of_being_best(np.ones((6, 1))).tolist() == [1]


def test_many_seeds_are_drawn() -> None:
    values = np.random.default_rng(2).normal([1.0, 0.0], 1, (40, 2))
    assert p_of_being_best(values)[1] < 0.01 < p_of_being_best(values)[0]


@rows(
    Found("ten equal methods", 0.12, 0.05, "tests against the observed best", np.zeros(10)),
    Found("thirty equal methods", 0.19, 0.05, "tests against the observed best", np.zeros(30)),
    Found("one best, others near and far", None, 0.05, "the best is left out", np.array([1, 0.9, 0.9, 0, -3, -9.0])),
)
def test_the_best_is_left_out_rarely(found: Found) -> None:
    """400 experiments of six seeds, which all methods share: at most α + 2.6 standard errors."""
    rng = np.random.default_rng(3)
    best = int(found.case.argmax())
    wrong = 0
    for _ in range(400):
        values = found.case + rng.normal(0, 1, (6, 1)) + rng.normal(0, 0.5, (6, len(found.case)))
        wrong += p_of_being_best(values)[best] <= 0.05
    assert wrong / 400 <= found.right + 2.6 * np.sqrt(0.05 * 0.95 / 400)
