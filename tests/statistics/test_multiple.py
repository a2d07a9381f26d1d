"""Holm's correction: statsmodels, the definition by hand, properties; and the calibration of a family."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from headprune.statistics import Family, holm
from headprune.statistics.seeds import floor, sign_flip, verdict


@pytest.fixture(scope="module", autouse=True)
def _no_collection() -> Iterator[None]:
    """statsmodels collects garbage at every call, a tenth of a second each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gc.collect", lambda: 0)
        yield


P_VALUES = st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=12)


def by_definition(p_values: list[float]) -> list[float]:
    """The k-th smallest of m times m − k + 1, never below the one before it, at most 1."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for k, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - k) * p_values[i]))
        adjusted[i] = largest
    return adjusted


@given(P_VALUES)
def test_holm(p_values: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), by_definition(p_values), atol=1e-12)
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1], atol=1e-12)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], atol=1e-12)


def test_tests_that_were_not_made_do_not_count() -> None:
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04], atol=1e-12)
    assert np.isnan(holm([np.nan])).all()
    assert holm([]).size == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.2])


@given(st.lists(st.tuples(st.integers(2, 9), st.floats(0, 1)), min_size=1, max_size=10))
def test_no_adjusted_p_is_below_its_floor(tests: list[tuple[int, float]]) -> None:
    floors = {i: floor(n) for i, (n, _) in enumerate(tests)}
    raw = {i: max(floors[i], p) for i, (_, p) in enumerate(tests)}
    family = Family.of("all", raw, floors)
    assert all(family.adjusted[i] >= family.floors[i] - 1e-12 for i in raw)
    best = Family.of("all", floors, floors)
    assert best.adjusted == best.floors  # and the floor can be reached


def test_many_comparisons_raise_the_floor() -> None:
    """Eight seeds reach 0.0078; in a family of ten, 0.078: undecidable at 0.05, alone it would be significant."""
    raw = dict.fromkeys(range(10), floor(8))
    family = Family.of("ten", raw, raw)
    assert family.size == 10
    assert family.floors[0] == pytest.approx(10 / 128)
    assert verdict(family.adjusted[0], family.floors[0], 8) == "undecidable with 8 seeds"
    assert verdict(raw[0], raw[0], 8) == "significant"


def test_familywise_error_of_500_grids() -> None:
    """Grids of six methods that differ in nothing, nine seeds each: Holm keeps the error of the family at α."""
    rng = np.random.default_rng(6)
    alpha, wrong = 0.05, 0
    for _ in range(500):
        values = rng.normal(20, 1, 9)[:, None] + rng.normal(0, 0.5, (9, 7))  # good and bad seeds for all alike
        raw = {method: sign_flip(values[:, method] - values[:, 0]) for method in range(1, 7)}
        wrong += min(Family.of("six", raw).adjusted.values()) <= alpha
    assert wrong / 500 <= alpha + 2.6 * np.sqrt(alpha * (1 - alpha) / 500)
    assert wrong > 0
