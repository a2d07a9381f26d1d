"""Exchanges of heads against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headprune.scoring.exchange import exchanged

MODULES = [0, 0, 0, 1, 1, 1, 2, 2]


def quadratic(seed: int):
    """A loss for each module: Σ_{i,j removed} F_ij with a positive semi-definite F."""
    root = np.random.default_rng(seed).normal(size=(8, 8))
    form = root @ root.T

    def loss(module: int, heads: frozenset[int]) -> float:
        assert {MODULES[head] for head in heads} <= {module}
        own = sorted(heads)
        return float(form[np.ix_(own, own)].sum())

    return loss


def total(loss, removed: frozenset[int]) -> float:
    return sum(loss(module, frozenset(head for head in removed if MODULES[head] == module)) for module in set(MODULES))


@settings(deadline=None)
@given(st.integers(0, 1000), st.sets(st.integers(0, 7)))
def test_no_single_exchange_is_left_that_helps(seed: int, start: set[int]) -> None:
    """The same number, a loss no larger, and every neighbour at least as large."""
    loss = quadratic(seed)
    found = exchanged(frozenset(start), MODULES, loss)
    assert len(found) == len(start)
    assert total(loss, found) <= total(loss, frozenset(start)) + 1e-9
    for back, out in itertools.product(found, set(range(8)) - found):
        assert total(loss, found - {back} | {out}) >= total(loss, found) - 1e-9


def test_a_step_that_greedy_removal_cannot_take_back_is_taken_back() -> None:
    """Head 0 is the cheapest alone, 1 and 2 together are cheaper than any pair with it: enumeration says so, too."""
    prices = {(): 0, (0,): 1, (1,): 2, (2,): 2, (0, 1): 9, (0, 2): 9, (1, 2): 3}

    def loss(module: int, heads: frozenset[int]) -> float:
        return prices[tuple(sorted(heads))]

    assert exchanged(frozenset({0, 1}), [0, 0, 0], loss) == {1, 2}
    assert min(itertools.combinations(range(3), 2), key=lambda pair: prices[pair]) == (1, 2)


def test_what_is_not_allowed_is_not_done() -> None:
    loss = quadratic(3)
    start = frozenset({0, 3, 6})
    assert exchanged(start, MODULES, loss) != start
    assert exchanged(start, MODULES, loss, lambda removed: False) == start
    found = exchanged(start, MODULES, loss, lambda removed: 0 in removed)
    assert 0 in found
    assert total(loss, found) == pytest.approx(
        min(total(loss, found - {b} | {o}) for b in found - {0} for o in {*range(8)} - found | {b})
    )
