"""The scale from random heads to the unpruned model, and the flags of the quality control."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.statistics.normalised import flags, normalised, relative

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
