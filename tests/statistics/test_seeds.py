"""Across seeds: scipy on known data, exhaustive enumeration, definitions by hand, coverage by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headprune.statistics import iqm
from headprune.statistics.seeds import (
    across,
    floor,
    iqm_interval,
    mean,
    probability_of_improvement,
    sign_flip,
    verdict,
    wilcoxon,
)

NUMBERS = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))


def all_flips(differences: np.ndarray) -> float:
    """Share of the 2^n sign flips with a mean as far from zero."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(differences))))
    return float((np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean())


@settings(max_examples=40, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=7))
def test_sign_flip_is_exact(values: list[float]) -> None:
    differences = np.array(values)
    assert sign_flip(differences) == pytest.approx(all_flips(differences), abs=1e-12)
    assert sign_flip(-differences) == pytest.approx(sign_flip(differences), abs=1e-12)
    assert sign_flip(differences) >= floor(len(values)) - 1e-12


@pytest.mark.parametrize("n", range(1, 9))
def test_floor_is_reached(n: int) -> None:
    differences = np.arange(1.0, n + 1)
    assert sign_flip(differences) == pytest.approx(floor(n), abs=1e-12)
    assert wilcoxon(differences) == pytest.approx(floor(n), abs=1e-12)


def test_no_difference_gives_one() -> None:
    for test in (sign_flip, wilcoxon):
        assert test([]) == test([0.0, 0.0]) == 1
    assert floor(0) == floor(1) == 1


def test_many_seeds_are_drawn() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, 40)
    assert sign_flip(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)


def test_wilcoxon_is_scipys_exact_one() -> None:
    differences = np.array([1.83, 0.5, -0.62, 2.48, 1.68, 1.88, 1.55, -0.15, 1.3])
    assert wilcoxon(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue, abs=1e-12)


def test_mean_and_its_interval() -> None:
    values = [27.1, 27.9, 26.4, 27.3]
    found = mean(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), *expected), abs=1e-12)
    # by hand: mean 27.175, standard deviation 0.618466, t(3) 3.182446
    assert found.half_width == pytest.approx(3.182446 * 0.618466 / 2, abs=1e-5)
    assert mean([3.0]).value == 3
    assert not mean([3.0]).has_interval
    assert mean([]).n == 0


def test_missing_values_are_refused() -> None:
    with pytest.raises(ValueError, match="1 that are not finite"):
        mean([1.0, float("nan")])


def test_interquartile_mean_by_definition() -> None:
    assert iqm([1, 2, 3, 4, 5, 6, 7, 100]) == 4.5  # 3, 4, 5, 6 are left
    assert iqm([[1, 100], [2, 3]]) == 2.5
    assert iqm([1, 2, 3]) == 2  # a quarter of three is less than one: nothing is cut
    values = np.random.default_rng(1).normal(size=(5, 13))
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=None), abs=1e-12)


def test_interquartile_mean_stays_in_its_strata() -> None:
    """Constant strata leave the bootstrap nothing to vary; free resampling would mix them."""
    found = iqm_interval([[1.0, 1.0], [5.0, 5.0]])
    assert (found.value, found.low, found.high, found.n) == (3, 3, 3, 2)
    assert not iqm_interval([[1.0], [5.0, 6.0]]).has_interval


def test_probability_of_improvement_counts_pairs() -> None:
    found = probability_of_improvement([[3, 5, 1], [2, 2]], [[2, 4], [2, 1]])
    # task 1: 3>2, 5>2, 5>4 of six; task 2: two ties and two wins of four
    assert found.value == pytest.approx((3 / 6 + 3 / 4) / 2, abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    swapped = probability_of_improvement([[2, 4], [2, 1]], [[3, 5, 1], [2, 2]])
    assert swapped.value == pytest.approx(1 - found.value, abs=1e-12)
    with pytest.raises(ValueError, match="every task needs values of both"):
        probability_of_improvement([[1.0]], [[]])


def test_seeds_are_paired_by_name() -> None:
    found = across({1: 3.0, 2: 5.0, 3: 9.0, 7: 1.0}, {3: 5.0, 1: 2.0, 2: 3.0, 9: 0.0})
    assert found.seeds == (1, 2, 3)
    assert found.left_out == (7, 9)
    assert found.difference.value == pytest.approx((1 + 2 + 4) / 3)
    assert (found.p_value, found.p_floor) == (0.25, 0.25)


def test_no_common_seed() -> None:
    found = across({1: 3.0}, {2: 5.0})
    assert found.difference.n == 0
    assert found.p_value == found.p_floor == 1


@pytest.mark.parametrize(
    ("p", "least", "n", "expected"),
    [
        (0.25, 0.25, 3, "undecidable with 3 seeds"),
        (1.0, 1.0, 1, "undecidable with 1 seed"),
        (0.04, 0.03125, 6, "significant"),
        (0.06, 0.03125, 6, "not significant"),
        (float("nan"), float("nan"), 0, "undecidable with 0 seeds"),
    ],
)
def test_verdict(p: float, least: float, n: int, expected: str) -> None:
    assert verdict(p, least, n) == expected


def covered(estimates: list, truth: float) -> float:
    return float(np.mean([e.low <= truth <= e.high for e in estimates]))


def test_coverage_of_the_t_interval() -> None:
    """95 % of 2,000 intervals of three normal seeds, within 2.6 standard errors."""
    rng = np.random.default_rng(2)
    found = covered([mean(rng.normal(30, 0.4, 3)) for _ in range(2000)], 30)
    assert found == pytest.approx(0.95, abs=2.6 * np.sqrt(0.95 * 0.05 / 2000))


def test_coverage_of_the_stratified_bootstrap() -> None:
    """Ten seeds on six budgets: the bootstrap is a little narrow with so few, and no narrower than 90 %."""
    rng = np.random.default_rng(3)
    centres = np.arange(6.0)[:, None]
    found = [iqm_interval(list(centres + rng.normal(0, 1, (6, 10))), samples=300) for _ in range(300)]
    assert 0.90 <= covered(found, 2.5) <= 0.99


def test_coverage_of_the_probability_of_improvement() -> None:
    rng = np.random.default_rng(4)
    truth = float(stats.norm.cdf(0.5 / np.sqrt(2)))
    found = [
        probability_of_improvement(list(rng.normal(0.5, 1, (4, 10))), list(rng.normal(0, 1, (4, 10))), samples=300)
        for _ in range(300)
    ]
    assert 0.88 <= covered(found, truth) <= 0.99
