"""The search for the coefficient of a penalty that leaves a given number of heads
(docs/theory/hard-concrete.md#target-count). Pure.

More penalty leaves fewer heads, by and large: counts are noisy and need not fall everywhere. The search brackets the
budget on a logarithmic grid and bisects in log λ; every training is kept and serves all later budgets, but under a cap
on trainings, where every budget searches as if it were alone. A training that fails says nothing about the count; the
search goes round it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence

BRACKET = (1e-5, 1e-4, 1e-3, 1e-2)  # where the search starts
LIMITS = (1e-8, 1e3)  # where it gives up
TOLERANCE = 1  # heads
RESOLUTION = 1.01  # neighbours on the grid that are nearer, as a ratio, have nothing between them


def search(
    count: Callable[[float], int | None],
    budget: int,
    known: Mapping[float, int] | None = None,
    trials: int = 8,
    unusable: Collection[float] = (),
    start: Sequence[float] = BRACKET,
) -> list[float]:
    """The coefficients that were looked at for `budget`, the one whose count is nearest first.

    :param count: trains with a coefficient; returns the heads that are left, None if the training failed
    :param known: counts of earlier trainings, which cost nothing
    :param trials: most calls of `count` after those of `start`, which are all made unless known
    :param unusable: coefficients of earlier trainings that failed
    :param start: coefficients that bracket the budgets, one would think; 0 is among those that may
    :returns: by distance from the budget, of equal ones the smaller penalty first; `count` is within `TOLERANCE` of the
        budget for the first of them, or no better one was found; none if all trainings failed
    """
    counts, failed = dict(known or {}), set(unusable)

    def look(coefficient: float) -> None:
        found = count(coefficient)
        if found is None:
            failed.add(coefficient)
        else:
            counts[coefficient] = found

    for coefficient in start:
        if coefficient not in counts and coefficient not in failed:
            look(coefficient)
    for _ in range(trials):
        if counts and abs(counts[nearest(counts, budget)[0]] - budget) <= TOLERANCE:
            break
        proposed = propose(counts, budget, failed)
        if proposed is None:
            break
        look(proposed)
    return nearest(counts, budget)


def search_within(
    count: Callable[[float], int | None],
    budget: int,
    most: int,
    trials: int = 8,
    start: Sequence[float] = BRACKET,
) -> list[float]:
    """The same search under a cap on its trainings, as if the budget were the only one.

    Nothing is known for free: a training that other budgets made counts where the search would have made it, and where
    it would not the search does not see it. So a budget finds the same whatever other budgets there are.

    :param count: as of `search`; it may remember trainings of other budgets, which count all the same
    :param most: calls of `count`, 1 at least; those that fail count. Those of `start` come first, as many as may be
    :returns: as of `search`
    """
    first = start[:most]
    return search(count, budget, trials=min(trials, most - len(first)), start=first)


def nearest(counts: Mapping[float, int], budget: int) -> list[float]:
    """Coefficients by the distance of their count from the budget."""
    return sorted(counts, key=lambda coefficient: (abs(counts[coefficient] - budget), coefficient))


def propose(counts: Mapping[float, int], budget: int, unusable: Collection[float] = ()) -> float | None:
    """The next coefficient to try: the geometric mean of the tightest bracket of the budget, or, while there is none,
    outwards by a factor of 10.

    Coefficients whose training failed divide a bracket like any other, but bound none: the wider part of it comes next.
    Outwards they are walls, which are approached by halves. Where all failed, smaller penalties may not.

    :returns: None where the limits, or the resolution of 1 % in λ, are reached
    """
    grid, tried = sorted(counts), sorted({*counts, *unusable})
    if not grid:
        return _within_limits(tried[0] / 10)
    pairs = [pair for pair in itertools.pairwise(grid) if counts[pair[0]] > budget >= counts[pair[1]]]
    for low, high in sorted(pairs, key=lambda pair: counts[pair[0]] - counts[pair[1]]):
        parts = list(itertools.pairwise([c for c in tried if low <= c <= high]))
        wide = max(parts, key=_ratio)  # the first of equal ones
        if _ratio(wide) > RESOLUTION:
            return _middle(*wide)
    if counts[grid[0]] < budget:
        walls = [c for c in unusable if c < grid[0]]
        return _between(max(walls), grid[0]) if walls else _within_limits(grid[0] / 10)
    if counts[grid[-1]] > budget:
        walls = [c for c in unusable if c > grid[-1]]
        return _between(grid[-1], min(walls)) if walls else _within_limits(grid[-1] * 10 or BRACKET[0])
    return None


def _between(low: float, high: float) -> float | None:
    return _middle(low, high) if _ratio((low, high)) > RESOLUTION else None


def _ratio(part: tuple[float, float]) -> float:
    """The ratio of one to the other; nothing counts as if it were the lower limit."""
    low, high = part
    return high / max(low, LIMITS[0])


def _middle(low: float, high: float) -> float:
    """Halfway on a logarithmic scale; a factor of 10 towards zero, which has no place on it."""
    return math.sqrt(low * high) if low > 0 else high / 10


def _within_limits(coefficient: float) -> float | None:
    return coefficient if LIMITS[0] <= coefficient <= LIMITS[1] else None
