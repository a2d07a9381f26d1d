"""The expected best of n trials, against all ways to draw them."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.analysis.tuning import by_trial, expected_best, expected_loss
from headprune.results.schema import tuning_table

values = st.lists(st.integers(-50, 50), min_size=1, max_size=5)


def by_enumeration(losses: list[int], draws: int) -> Fraction:
    """The mean of the maximum over all N^n sequences of draws."""
    found = [max(drawn) for drawn in itertools.product(losses, repeat=draws)]
    return Fraction(sum(found), len(found))


@given(values)
def test_it_is_the_mean_over_all_draws(given_values: list[int]) -> None:
    """Equal to the enumeration within 1e-12 of the largest value, 50."""
    exact = [float(by_enumeration(given_values, n)) for n in range(1, len(given_values) + 1)]
    assert expected_best(given_values) == pytest.approx(exact, abs=5e-11)
    lowest = [-float(by_enumeration([-v for v in given_values], n)) for n in range(1, len(given_values) + 1)]
    assert expected_loss(given_values) == pytest.approx(lowest, abs=5e-11)


@given(values)
def test_it_begins_at_the_mean_rises_and_stays_below_the_best(given_values: list[int]) -> None:
    found = expected_best(given_values)
    assert found[0] == pytest.approx(np.mean(given_values), abs=5e-11)
    assert (np.diff(found) >= -5e-11).all()
    assert found[-1] <= max(given_values) + 5e-11


def test_two_trials_by_hand() -> None:
    """One draw of 0 and 1 gives 1/2, two give 1 unless both are 0: 3/4."""
    assert expected_best([1.0, 0.0]).tolist() == [0.5, 0.75]


def test_a_failed_trial_counts_as_the_worst_that_did_not() -> None:
    assert expected_loss([2.0, float("nan"), 1.0]).tolist() == expected_loss([2.0, 2.0, 1.0]).tolist()
    assert np.isnan(expected_loss([float("nan")] * 2)).all()


@pytest.mark.parametrize("wrong", [[], [1.0, float("nan")], [[1.0]], [float("inf")]])
def test_what_is_no_list_of_values_is_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="finite values"):
        expected_best(wrong)


def test_trials_pool_their_seeds_and_budgets() -> None:
    """The mean loss of 2 seeds; of a trial that failed at one of them, none; costs are sums."""
    common = {"profile": "p", "model": "m", "method": "dsp", "entry": "dsp", "budget": 4, "options": "{}"}
    common |= {"updates": 10, "forward_sentences": 30, "backward_sentences": 20, "chosen": False, "reason": ""}
    losses = {(0, 101): 2.0, (0, 102): 4.0, (1, 101): 1.0, (1, 102): None}
    rows = [
        common | {"trial": trial, "seed": seed, "loss": loss, "status": "failed" if loss is None else "ok"}
        for (trial, seed), loss in losses.items()
    ]
    found = by_trial(tuning_table(rows))
    assert found["loss"].tolist()[0] == 3.0
    assert np.isnan(found["loss"].tolist()[1])
    assert found[["updates", "passes"]].to_numpy().tolist() == [[20.0, 100.0], [20.0, 100.0]]
