"""McNemar's exact test against scipy's binomial test, enumeration and the approximate randomisation of means."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from headprune.statistics.mcnemar import mcnemar, swapped_p
from headprune.statistics.paired import paired_means

TOLERANCE = 1e-12  # relative: p is a sum of at most some thousand terms
SIDES = st.integers(1, 60).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 1), min_size=n, max_size=n)] * 2))


@given(SIDES)
def test_of_one_seed_it_is_the_sign_test_of_discordant_examples(sides: tuple[list[int], list[int]]) -> None:
    baseline, system = sides
    won = sum(b > a for a, b in zip(baseline, system, strict=True))
    discordant = sum(a != b for a, b in zip(baseline, system, strict=True))
    expected = binomtest(won, discordant).pvalue if discordant else 1.0
    found = mcnemar(baseline, system)
    assert found.p_value == pytest.approx(expected, rel=TOLERANCE)
    assert found.differing == discordant
    assert found.difference == pytest.approx(np.mean(system) - np.mean(baseline), abs=TOLERANCE)
    assert found.p_floor <= found.p_value * (1 + TOLERANCE)


@given(st.lists(st.integers(-4, 4), max_size=8))
def test_whole_numbers_are_swapped_in_all_ways(wins: list[int]) -> None:
    sums = [
        abs(sum(sign * win for sign, win in zip(signs, wins, strict=True)))
        for signs in product((1, -1), repeat=len(wins))
    ]
    expected = np.mean([each >= abs(sum(wins)) for each in sums])
    assert swapped_p(np.array(wins, dtype=np.int64)) == pytest.approx(expected, rel=TOLERANCE)


def test_several_seeds_are_those_of_the_randomisation_of_means() -> None:
    """For 12 examples `paired_means` makes all swaps, too."""
    rng = np.random.default_rng(4)
    baseline, system = rng.integers(0, 2, (2, 3, 12))
    found, expected = mcnemar(baseline, system), paired_means(baseline, system)
    assert found.p_value == pytest.approx(expected.p_value, rel=TOLERANCE)
    assert (found.difference, found.low, found.high) == (expected.difference, expected.low, expected.high)
    assert found.p_floor == pytest.approx(expected.p_floor)


def test_equal_systems_are_no_different() -> None:
    found = mcnemar([[0, 1, 1], [1, 1, 0]], [[0, 1, 1], [1, 1, 0]])
    assert (found.p_value, found.p_floor, found.differing) == (1.0, 1.0, 0)


def test_a_large_difference_is_not_zero() -> None:
    """A thousand discordant examples, all won: 2 of 2^1000."""
    assert mcnemar(np.zeros(1000), np.ones(1000)).p_value == pytest.approx(2.0**-999)


def test_other_values_are_refused() -> None:
    with pytest.raises(ValueError, match="right, 1, or wrong, 0"):
        mcnemar([0, 0.5], [0, 1])
    with pytest.raises(ValueError, match="not paired"):
        mcnemar([0, 1], [0, 1, 1])
