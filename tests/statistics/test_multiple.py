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


TESTS = st.lists(st.tuples(st.integers(2, 12), st.floats(0, 1)), min_size=1, max_size=10)


def raised(tests: list[tuple[int, float]]) -> tuple[list[float], list[float]]:
    """Floors of so many seeds, and p-values that are not below them."""
    floors = [floor(n) for n, _ in tests]
    return floors, [max(least, p) for least, (_, p) in zip(floors, tests, strict=True)]


@given(TESTS)
def test_holm_of_discrete_tests_by_definition(tests: list[tuple[int, float]]) -> None:
    """Over all p up to the test's own: times the tests whose p is no smaller and whose floor is no larger."""
    floors, p_values = raised(tests)
    pairs = list(zip(p_values, floors, strict=True))
    expected = [max(q * sum(p >= q >= least for p, least in pairs) for q, _ in pairs if q <= own) for own, _ in pairs]
    np.testing.assert_allclose(holm(p_values, floors), np.minimum(expected, 1), atol=1e-12)
    assert (holm(p_values, floors) <= holm(p_values) + 1e-12).all()  # floors take nothing away
    np.testing.assert_allclose(holm(p_values, 0), holm(p_values), atol=0)


@given(TESTS, st.integers(0, 9), st.floats(0, 1))
def test_no_adjusted_p_falls_when_a_p_rises(tests: list[tuple[int, float]], which: int, by: float) -> None:
    floors, p_values = raised(tests)
    which %= len(tests)
    more = [p + (1 - p) * by * (i == which) for i, p in enumerate(p_values)]
    assert (holm(more, floors) >= holm(p_values, floors) - 1e-12).all()


def test_tests_of_few_seeds_cost_those_of_many_nothing() -> None:
    """27 tests of twelve seeds among 206 of six: times 27, and all that are left where six seeds reach the p, too."""
    floors = [floor(12)] * 27 + [floor(6)] * 206
    best = holm(floors, floors)
    assert best[0] == pytest.approx(27 * 2 / 2**12)
    assert best[-1] == 1
    one = holm([floor(12)] * 26 + [0.04] + [0.5] * 206, floors)
    assert one[26] == 1  # 0.04 × 207, as by Holm
    with pytest.raises(ValueError, match="below its floor"):
        holm([0.01], [0.02])


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


def test_familywise_error_of_grids_with_few_and_many_seeds() -> None:
    """Four comparisons of eight seeds and forty of five, none of which differs."""
    rng = np.random.default_rng(7)
    alpha, wrong, seeds = 0.05, 0, [8] * 4 + [5] * 40
    floors = dict(enumerate(map(floor, seeds)))
    patterns = {n: 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) for n in set(seeds)}
    for _ in range(1000):
        raw = {}
        for i, n in enumerate(seeds):
            flipped = np.abs(patterns[n] @ (own := rng.normal(0, 1, n)))
            raw[i] = float((flipped >= abs(own.sum()) * (1 - 1e-12)).mean())  # the exact test of flipped signs
        wrong += min(Family.of("mixed", raw, floors).adjusted.values()) <= alpha
    assert 0 < wrong / 1000 <= alpha + 2.6 * np.sqrt(alpha * (1 - alpha) / 1000)


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
