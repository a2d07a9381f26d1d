"""The search for the coefficient of a penalty that leaves a given number of heads (METHODS.md 6.5). Pure.

More penalty leaves fewer heads, by and large: counts are noisy and need not fall everywhere. The search brackets the
budget on a logarithmic grid and bisects in log λ; every training is kept and serves all later budgets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

BRACKET = (1e-5, 1e-4, 1e-3, 1e-2)  # where the search starts
LIMITS = (1e-8, 1e3)  # where it gives up
TOLERANCE = 1  # heads
RESOLUTION = 1.01  # neighbours on the grid that are nearer, as a ratio, have nothing between them


def search(
    count: Callable[[float], int], budget: int, known: Mapping[float, int] | None = None, trials: int = 8
) -> list[float]:
    """The coefficients that were looked at for `budget`, the one whose count is nearest first.

    :param count: trains with a coefficient; returns the heads that are left
    :param known: counts of earlier trainings, which cost nothing
    :param trials: most calls of `count` after those of the bracket, which are all made unless known
    :returns: by distance from the budget, of equal ones the smaller penalty first; `count` is within `TOLERANCE` of the
        budget for the first of them, or no better one was found
    """
    counts = dict(known or {})
    for coefficient in BRACKET:
        if coefficient not in counts:
            counts[coefficient] = count(coefficient)
    for _ in range(trials):
        if abs(counts[nearest(counts, budget)[0]] - budget) <= TOLERANCE:
            break
        proposed = propose(counts, budget)
        if proposed is None:
            break
        counts[proposed] = count(proposed)
    return nearest(counts, budget)


def nearest(counts: Mapping[float, int], budget: int) -> list[float]:
    """Coefficients by the distance of their count from the budget."""
    return sorted(counts, key=lambda coefficient: (abs(counts[coefficient] - budget), coefficient))


def propose(counts: Mapping[float, int], budget: int) -> float | None:
    """The next coefficient to try: the geometric mean of the tightest bracket of the budget, or, while there is none,
    outwards by a factor of 10.

    :returns: None where the limits, or the resolution of 1 % in λ, are reached
    """
    grid = sorted(counts)
    pairs = [pair for pair in itertools.pairwise(grid) if counts[pair[0]] > budget >= counts[pair[1]]]
    pairs = [(low, high) for low, high in pairs if high / low > RESOLUTION]
    if pairs:
        low, high = min(pairs, key=lambda pair: counts[pair[0]] - counts[pair[1]])
        return math.sqrt(low * high)
    outward = grid[0] / 10 if counts[grid[0]] < budget else grid[-1] * 10 if counts[grid[-1]] > budget else None
    return outward if outward is not None and LIMITS[0] <= outward <= LIMITS[1] else None
