"""The search for a coefficient, on counts that are known everywhere: nothing is trained here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.method.search import BRACKET, LIMITS, RESOLUTION, TOLERANCE, nearest, propose, search, search_within

TOTAL = 24  # heads
# Bisecting a decade down to the resolution of 1 %, and getting to the farther limit of the two
BISECTIONS = math.ceil(math.log2(math.log(10) / math.log(RESOLUTION)))
DECADES = 5


class Trainings:
    """A function of the coefficient that remembers what it was asked."""

    def __init__(self, count: Callable[[float], int]) -> None:
        self.count, self.asked = count, list[float]()

    def __call__(self, coefficient: float) -> int:
        self.asked.append(coefficient)
        return self.count(coefficient)


def steps(levels: list[int], places: list[float]) -> Callable[[float], int]:
    """`levels[0]` up to the first place (a log10 λ), `levels[1]` up to the second, …"""
    return lambda coefficient: levels[sum(math.log10(coefficient) >= place for place in places)]


@st.composite
def falling(draw: st.DrawFn) -> tuple[Callable[[float], int], list[int]]:
    """A decreasing step function whose jumps are farther apart than the search resolves, and all values it takes."""
    tenths = draw(st.lists(st.integers(-75, 25), min_size=1, max_size=10, unique=True))
    levels = draw(st.lists(st.integers(0, TOTAL), min_size=len(tenths) + 1, max_size=len(tenths) + 1))
    levels.sort(reverse=True)
    return steps(levels, [tenth / 10 + 0.03 for tenth in sorted(tenths)]), levels


budgets = st.integers(0, TOTAL)


@given(falling(), budgets)
def test_the_best_count_there_is_is_found_with_enough_trials(
    function: tuple[Callable[[float], int], list[int]], budget: int
) -> None:
    """Within one head of the budget, or at least as near as any count of the function."""
    count, levels = function
    first = search(count, budget, trials=DECADES + BISECTIONS)[0]
    best = min(abs(level - budget) for level in levels)
    assert abs(count(first) - budget) <= max(TOLERANCE, best)


@given(st.floats(-6.5, 1.5), st.floats(0.5, 2.0), budgets)
def test_a_smooth_fall_is_hit_within_the_trials_of_the_default(place: float, width: float, budget: int) -> None:
    """A logistic fall in log λ, as wide as those of the literature: within one head, by 8 trials beside the bracket.

    Four trials may go outwards; four bisections leave a sixteenth of a decade, too coarse for falls steeper than these.
    """
    count = Trainings(lambda c: round(TOTAL / (1 + math.exp((math.log10(c) - place) / width * 4))))
    first = search(count, budget)[0]
    reachable = {count.count(limit) for limit in LIMITS}
    if min(reachable) <= budget <= max(reachable):
        assert abs(count.count(first) - budget) <= TOLERANCE
    assert len(count.asked) <= len(BRACKET) + 8


@st.composite
def noisy(draw: st.DrawFn) -> Callable[[float], int]:
    """Any count at any coefficient, the same whenever it is asked again."""
    seed = draw(st.integers(0, 2**32))
    noise = draw(st.integers(0, TOTAL))
    place = draw(st.floats(-8, 3))

    def count(coefficient: float) -> int:
        level = TOTAL if math.log10(coefficient) < place else 0
        return max(0, min(TOTAL, level + hash((seed, coefficient)) % (2 * noise + 1) - noise))

    return count


@given(st.one_of(noisy(), falling().map(lambda function: function[0])), budgets, st.integers(1, 12))
def test_whatever_the_counts_the_nearest_that_was_seen_is_first(
    function: Callable[[float], int], budget: int, trials: int
) -> None:
    count = Trainings(function)
    found = search(count, budget, trials=trials)
    seen = {coefficient: function(coefficient) for coefficient in count.asked}
    assert len(count.asked) == len(seen) <= len(BRACKET) + trials  # none twice
    assert set(BRACKET) <= set(seen)
    assert sorted(found) == sorted(seen)
    distances = [abs(seen[coefficient] - budget) for coefficient in found]
    assert distances == sorted(distances)
    ties = itertools.pairwise(zip(distances, found, strict=True))
    assert all(first < second for first, second in ties)
    assert all(LIMITS[0] <= coefficient <= LIMITS[1] for coefficient in seen)
    before_last = count.asked[:-1] if len(count.asked) > len(BRACKET) else []
    assert all(abs(seen[c] - budget) > TOLERANCE for c in before_last)  # trained no longer than needed


@given(noisy(), st.lists(budgets, min_size=2, max_size=5))
def test_what_is_known_is_never_trained_again(function: Callable[[float], int], several: list[int]) -> None:
    """Budget after budget, as a job searches. Done again with the counts on record, it finds the same."""
    count = Trainings(function)

    def all_budgets(train: Callable[[float], int]) -> list[list[float]]:
        known = dict[float, int]()

        def remember(coefficient: float) -> int:
            known[coefficient] = train(coefficient)
            return known[coefficient]

        return [search(remember, budget, dict(known)) for budget in several]

    found = all_budgets(count)
    assert len(count.asked) == len(set(count.asked))
    recorded = {coefficient: function(coefficient) for coefficient in count.asked}
    assert all_budgets(recorded.__getitem__) == found


@given(
    st.one_of(noisy(), falling().map(lambda function: function[0])),
    budgets,
    st.integers(1, 5000),
    st.integers(1, 500),
    st.integers(0, 12),
    st.sets(st.sampled_from(BRACKET), max_size=3),
)
def test_a_cap_is_never_exceeded_and_the_nearest_that_was_seen_is_first(
    function: Callable[[float], int], budget: int, cap: int, updates: int, trials: int, failing: set[float]
) -> None:
    """Trainings that fail are trainings, too."""
    most, asked = max(1, cap // updates), list[float]()

    def count(coefficient: float) -> int | None:
        asked.append(coefficient)
        return None if coefficient in failing else function(coefficient)

    found = search_within(count, budget, most, trials)
    assert 1 <= len(asked) == len(set(asked)) <= min(most, len(BRACKET) + trials)
    assert asked[: len(BRACKET)] == list(BRACKET[:most])
    distances = {c: abs(function(c) - budget) for c in asked if c not in failing}
    assert sorted(found) == sorted(distances)
    assert [distances[c] for c in found] == sorted(distances.values())


@given(noisy(), budgets, st.integers(0, 8))
def test_a_cap_that_does_not_bind_changes_nothing(function: Callable[[float], int], budget: int, trials: int) -> None:
    free, capped = Trainings(function), Trainings(function)
    assert search_within(capped, budget, len(BRACKET) + trials, trials) == search(free, budget, trials=trials)
    assert capped.asked == free.asked


@given(falling(), budgets, st.integers(1, 15))
def test_a_higher_cap_goes_on_where_a_lower_one_ends(
    function: tuple[Callable[[float], int], list[int]], budget: int, most: int
) -> None:
    fewer, more = Trainings(function[0]), Trainings(function[0])
    first, second = search_within(fewer, budget, most)[0], search_within(more, budget, most + 1)[0]
    assert more.asked[: len(fewer.asked)] == fewer.asked
    assert abs(function[0](second) - budget) <= abs(function[0](first) - budget)


def test_a_known_hit_costs_nothing() -> None:
    def refuse(coefficient: float) -> int:
        raise AssertionError(coefficient)

    known = dict.fromkeys(BRACKET, 20) | {3e-4: 7}
    assert search(refuse, 7, known)[0] == search(refuse, 8, known)[0] == 3e-4


def test_equal_distances_go_to_the_smaller_penalty() -> None:
    assert nearest({1e-2: 4, 1e-4: 8, 1e-3: 6, 1e-5: 8}, 6) == [1e-3, 1e-5, 1e-4, 1e-2]


@pytest.mark.parametrize(
    ("counts", "budget", "expected"),
    [
        ({1e-3: 20, 1e-2: 2}, 10, math.sqrt(1e-5)),  # the middle in log λ
        ({1e-3: 20, 1e-2: 18}, 10, 1e-1),
        ({1e-3: 8, 1e-2: 2}, 10, 1e-4),
        ({1e-4: 20, 1e-3: 12, 1e-2: 2}, 10, math.sqrt(1e-5)),
        ({1e-5: 8, 1e-4: 20, 1e-3: 4}, 10, math.sqrt(1e-7)),  # bracketed although the flat end is below the budget
        ({1e-5: 20, 1e-4: 2, 1e-3: 12, 1e-2: 9}, 10, math.sqrt(1e-5)),  # the tighter one of two
        ({1.0: 20, 1.009: 2}, 10, None),  # nothing between them
        ({1e-8: 5, 1e-2: 2}, 10, None),  # at the limits
        ({1e-2: 30, 1e3: 20}, 10, None),
        ({0.0: 20, 1e-2: 2}, 10, 1e-3),  # zero has no logarithm
        ({0.0: 20}, 10, BRACKET[0]),
        ({0.0: 20, 1e-8: 2}, 10, None),
        ({0.0: 8}, 10, None),  # no penalty leaves more
    ],
)
def test_proposals_by_hand(counts: dict[float, int], budget: int, expected: float | None) -> None:
    found = propose(counts, budget)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-12))


@pytest.mark.parametrize(
    ("counts", "unusable", "budget", "expected"),
    [
        ({1e-3: 20, 1e-1: 2}, {1e-2}, 10, math.sqrt(1e-5)),  # the halves of a bracket, the smaller penalty first
        ({1e-3: 20, 1e-1: 2}, {1e-2, math.sqrt(1e-5)}, 10, math.sqrt(1e-3)),
        ({1e-3: 20}, {1e-2, 1e-1}, 10, math.sqrt(1e-5)),  # towards a wall
        ({1e-3: 8}, {1e-5, 1e-4}, 10, math.sqrt(1e-7)),
        ({1e-3: 20}, {1.005e-3}, 10, None),
        ({}, set(BRACKET), 10, 1e-6),  # smaller penalties may not fail
        ({}, {1e-8}, 10, None),
    ],
)
def test_proposals_beside_trainings_that_failed(
    counts: dict[float, int], unusable: set[float], budget: int, expected: float | None
) -> None:
    found = propose(counts, budget, unusable)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-12))


@given(falling(), budgets, st.sets(st.sampled_from(BRACKET)), st.floats(-8, 3))
def test_trainings_that_fail_are_gone_round(
    function: tuple[Callable[[float], int], list[int]], budget: int, failing: set[float], limit: float
) -> None:
    """Single ones, and all above some penalty: none is asked for twice, and only usable ones are returned."""

    def usable(coefficient: float) -> bool:
        return coefficient not in failing and math.log10(coefficient) < limit

    asked = list[float]()

    def count(coefficient: float) -> int | None:
        asked.append(coefficient)
        return function[0](coefficient) if usable(coefficient) else None

    found = search(count, budget, trials=12)
    assert len(asked) == len(set(asked)) <= len(BRACKET) + 12
    assert sorted(found) == sorted(c for c in asked if usable(c))
    again = search(count, budget, {c: function[0](c) for c in found}, 0, [c for c in asked if not usable(c)])
    assert again == found


def test_a_single_failure_does_not_keep_a_search_from_its_budget() -> None:
    def count(coefficient: float) -> int | None:
        return None if coefficient in (1e-3, 10**-3.5) else round(TOTAL / (1 + (coefficient / 3e-4) ** 0.8))

    for budget in range(2, TOTAL - 1):
        found = count(search(count, budget, trials=10)[0])
        assert found is not None
        assert abs(found - budget) <= TOLERANCE


def test_a_sweep_is_made_whole_and_the_search_goes_on_from_it() -> None:
    count = Trainings(lambda coefficient: 20 if coefficient < 0.01 else 12 if coefficient < 0.08 else 2)
    sweep = (0.0, 0.02, 0.1)
    assert search(count, 13, trials=0, start=sweep) == [0.02, 0.0, 0.1]
    assert count.asked == list(sweep)
    found = search(count, 7, {0.0: 20, 0.02: 12}, trials=1, start=sweep)
    assert count.asked[3:] == [0.1, pytest.approx(math.sqrt(0.02 * 0.1))]
    assert sorted(found) == [0.0, 0.02, count.asked[-1], 0.1]


@pytest.mark.parametrize(("level", "budget", "limit"), [(20, 3, LIMITS[1]), (3, 20, LIMITS[0])])
def test_out_of_reach_it_goes_to_the_limit_and_stops(level: int, budget: int, limit: float) -> None:
    count = Trainings(lambda coefficient: level)
    search(count, budget, trials=100)
    farthest = max(count.asked, key=lambda c: abs(math.log10(c) + 3))
    assert farthest == pytest.approx(limit, rel=1e-9)
    assert len(count.asked) == len(set(count.asked)) <= len(BRACKET) + DECADES
