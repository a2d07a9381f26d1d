"""The scale from random heads to the unpruned model, and the flags of the quality control."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headprune.statistics.normalised import flags, normalised, normalised_interval, relative
from headprune.statistics.seeds import mean

BLEU = st.floats(0, 60, allow_nan=False)


def test_ends_of_the_scale() -> None:
    np.testing.assert_allclose(normalised([30, 10, 20, 40], 30, 10), [1, 0, 0.5, 1.5])
    assert np.isnan(normalised(5.0, 10, 10))  # random heads lose nothing: there is no scale
    assert np.isnan(normalised(5.0, 9, 10))
    assert np.isnan(normalised(np.nan, 10, 5))


@given(BLEU, BLEU, BLEU, st.floats(0.1, 10), st.floats(-5, 5))
def test_scale_knows_no_unit(value: float, top: float, bottom: float, factor: float, shift: float) -> None:
    if top - bottom < 0.01:
        return
    there = normalised(value, top, bottom)
    moved = normalised(factor * value + shift, factor * top + shift, factor * bottom + shift)
    assert moved == pytest.approx(there, rel=1e-6, abs=1e-6)


def test_interval_is_that_of_a_t_test_of_every_share() -> None:
    """Its ends are the shares at which scipy's t test gives p = 0.05, and that of no ratio is the t interval."""
    rng = np.random.default_rng(1)
    for n in (3, 5, 9):
        top, bottom = rng.normal(30, 0.5, n), rng.normal(10, 0.5, n)
        value = bottom + 0.7 * (top - bottom) + rng.normal(0, 0.6, n)
        found = normalised_interval(value, top, bottom)
        assert found.value == pytest.approx((value - bottom).mean() / (top - bottom).mean(), abs=1e-12)
        for share in (found.low, found.high):
            p_value = stats.ttest_1samp((value - bottom) - share * (top - bottom), 0).pvalue
            assert p_value == pytest.approx(0.05, abs=1e-9)
        plain = mean((value - 10) / 20)
        fixed = normalised_interval(value, np.full(n, 30.0), np.full(n, 10.0))
        assert (fixed.value, fixed.low, fixed.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)


def test_no_interval_without_an_end() -> None:
    assert not normalised_interval([5.0], [10], [1]).has_interval
    assert normalised_interval([5.0], [10], [1]).value == pytest.approx(4 / 9)
    wide = normalised_interval([5.0, 6, 4], [10, 30, 3], [9, 1, 2])  # random heads may be as good as the model
    assert not wide.has_interval and wide.n == 3
    assert np.isnan(normalised_interval([], [], []).value)
    assert np.isnan(normalised_interval([5.0, 6], [8, 9], [10, 11]).value)


def test_coverage_of_the_share() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(1000):
        seed, noise = rng.normal(0, 1, 4), rng.normal(0, 0.7, (3, 4))
        value, top, bottom = np.array([[24.0], [30.0], [10.0]]) + seed + noise
        found = normalised_interval(value, top, bottom)
        hits += found.low <= 0.7 <= found.high
    assert hits / 1000 == pytest.approx(0.95, abs=2.6 * np.sqrt(0.95 * 0.05 / 1000))


def test_share_of_the_unpruned_quality() -> None:
    np.testing.assert_allclose(relative([30, 15], 30, True), [1, 0.5])
    np.testing.assert_allclose(relative([10, 20], 10, False), [1, 0.5])
    assert np.isnan(relative(1.0, 0.0, True))


def by_seed(*values: float) -> dict[int, float]:
    return dict(enumerate(values, start=1))


def test_flags_need_an_interval_away_from_zero() -> None:
    random, unpruned = by_seed(10, 11, 12), by_seed(30, 31, 32)
    assert flags(by_seed(5, 6.1, 7), random, unpruned) == ("below matched random",)
    assert flags(by_seed(35, 36.1, 37), random, unpruned) == ("above unpruned",)
    assert flags(by_seed(20, 21, 22), random, unpruned) == ()
    assert flags(by_seed(29, 33, 32), random, unpruned) == ()  # above on the mean, not beyond the interval


def test_one_seed_is_flagged_by_its_sign() -> None:
    assert flags({1: 9.0}, {1: 10.0}, {1: 30.0}) == ("below matched random (one seed, no interval)",)
    assert flags({1: 11.0}, {1: 10.0}, {1: 30.0}) == ()
    assert flags({1: 11.0}, {}, {}) == ()
