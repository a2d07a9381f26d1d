"""Across seeds: scipy on known data, exhaustive enumeration, definitions by hand, coverage by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from found import Found, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headprune.statistics import iqm
from headprune.statistics.blocks import iqm_interval, probability_of_improvement
from headprune.statistics.seeds import across, crossed_p, floor, mean, paired_p, sign_flip, student, verdict, wilcoxon

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


@settings(max_examples=40, deadline=None)
@given(st.lists(NUMBERS, min_size=2, max_size=8, unique=True), st.floats(0, 50), st.integers(2, 2000))
def test_seeds_crossed_with_segments(values: list[float], variance: float, segments: int) -> None:
    """Welch's test of two samples whose means have these two errors has the same t and degrees of freedom."""
    differences, least = np.array(values), paired_p(values)
    welch = stats.ttest_ind_from_stats(
        differences.mean(),
        differences.std(ddof=1),
        len(values),
        0.0,
        np.sqrt(variance * segments),
        segments,
        equal_var=False,
    )
    assert crossed_p(values, variance, segments) == pytest.approx(max(least, welch.pvalue), abs=1e-9)
    assert crossed_p(values, 0.0, segments) == pytest.approx(least, abs=1e-9)  # segments that are all alike


def test_nothing_is_said_of_unknown_segments() -> None:
    assert np.isnan(crossed_p([1.0, 2.0, 3.0], float("nan"), 100))
    assert crossed_p([0.0, 0.0], 0.0, 100) == crossed_p([1.0], 1.0, 100) == 1


def test_wilcoxon_is_scipys_exact_one() -> None:
    differences = np.array([1.83, 0.5, -0.62, 2.48, 1.68, 1.88, 1.55, -0.15, 1.3])
    assert wilcoxon(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue, abs=1e-12)


def test_mean_and_its_interval() -> None:
    values = [27.1, 27.9, 26.4, 27.3]
    found = mean(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), *expected), abs=1e-12)
    # by hand: mean 27.175, standard deviation 0.618466, t(3) 3.182446
    assert (found.high - found.low) / 2 == pytest.approx(3.182446 * 0.618466 / 2, abs=1e-5)
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


def test_coverage_of_the_bootstrap_of_blocks() -> None:
    """Ten seeds that are good or bad at all six budgets: a percentile interval of ten seeds holds 90 %, P(|t₉| < 1.86).

    Within 2.6 standard errors. Seeds drawn for every budget apart would hold half.
    """
    rng = np.random.default_rng(3)
    centres = np.arange(6.0)[:, None]
    tables = [centres + rng.normal(0, 1, (1, 10)) + rng.normal(0, 0.2, (6, 10)) for _ in range(300)]
    found = covered([iqm_interval(list(table), samples=300) for table in tables], 2.5)
    assert found == pytest.approx(0.90, abs=2.6 * np.sqrt(0.9 * 0.1 / 300))
    own = np.arange(6)[None, :, None]
    apart = [table[own, rng.integers(10, size=(300, 6, 10))].reshape(300, -1) for table in tables]
    ends = [np.quantile(stats.trim_mean(drawn, 0.25, axis=1), [0.025, 0.975]) for drawn in apart]
    assert np.mean([low <= 2.5 <= high for low, high in ends]) < 0.65


def test_a_seed_that_lacks_a_task_is_left_out_there() -> None:
    nan = float("nan")
    found = iqm_interval([[1.0, nan, 1.0], [5.0, 5.0]])
    assert (found.value, found.n) == (3, 2)
    assert 1 <= found.low <= found.value <= found.high <= 5
    wins = probability_of_improvement([[1, 5], [3]], [[2, 2], [4]])
    assert (wins.value, wins.n) == (0.25, 1)


def test_runs_are_counted_where_a_seed_has_several() -> None:
    """Means of the draws 1 and 9 beat 4 and 4; of the eight pairs of runs half do. One seed's draws are one block."""
    found = probability_of_improvement([[[1, 9], [1, 9]]], [[4, 4]])
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    compared = across({1: [1, 9], 2: [1, 9]}, {1: 4, 2: 4})
    assert (compared.improvement.value, compared.difference.value) == (0.5, 1)


@rows(Found("three seeds with −0.75 each", "[−0.75, −0.75] at 95 %", True, "no spread, no interval", [-0.75] * 3))
def test_equal_values_have_no_interval(found: Found) -> None:
    estimate = mean(found.case)
    assert (estimate.value, estimate.n, not estimate.has_interval) == (-0.75, 3, found.right)
    assert not mean([0.1 + 0.2, 0.3]).has_interval  # but for rounding


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMBERS, min_size=2, max_size=9, unique=True))
def test_p_across_seeds_is_the_larger_of_two(values: list[float]) -> None:
    """scipy's t test and all flips; what is significant has a t interval without zero, and p its floor."""
    p_value, interval = paired_p(values), mean(values)
    expected = max(all_flips(np.array(values)), stats.ttest_1samp(values, 0).pvalue)
    assert p_value == pytest.approx(expected, abs=1e-9)
    assert p_value >= floor(len(values)) - 1e-12
    assert p_value > 0.05 or not interval.low < 0 < interval.high


def test_no_spread_leaves_the_flips_to_decide() -> None:
    assert (student([2.0, 2.0, 2.0]), paired_p([2.0] * 6)) == (0, floor(6))
    assert student([0.0, 0.0]) == student([3.0]) == 1


def test_coverage_of_the_probability_of_improvement() -> None:
    rng = np.random.default_rng(4)
    truth = float(stats.norm.cdf(0.5 / np.sqrt(2)))
    found = [
        probability_of_improvement(list(rng.normal(0.5, 1, (4, 10))), list(rng.normal(0, 1, (4, 10))), samples=300)
        for _ in range(300)
    ]
    assert 0.88 <= covered(found, truth) <= 0.99
