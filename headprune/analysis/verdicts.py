"""The one rule by which claims are decided: across seeds, by the test that comparisons use (docs/statistics.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from headprune.statistics.seeds import ALPHA, floor, paired_p

HELD, NOT_HELD, UNDECIDED, UNDECIDABLE, NO_DATA = "held", "not held", "undecided", "undecidable", "no data"
VERDICTS = (HELD, NOT_HELD, UNDECIDED, UNDECIDABLE, NO_DATA)  # in the order in which they are told
Direction = Literal["above", "below", "within"]


@dataclass(frozen=True)
class Decision:
    """A verdict, with the two-sided p of the bound that is the hardest to pass and the smallest p that n seeds reach.

    What needs no seeds has NaN for both.
    """

    verdict: str
    p_value: float = float("nan")
    p_floor: float = float("nan")


def bounds(direction: Direction, margin: float) -> list[tuple[int, float]]:
    """The bounds that an effect must pass: a sign, 1 for upwards, and a value. `within` has two, of ± the margin."""
    return {"above": [(1, margin)], "below": [(-1, margin)], "within": [(1, -margin), (-1, margin)]}[direction]


def decide(
    effects: Sequence[float], direction: Direction, margin: float, parts: int = 1, alpha: float = ALPHA
) -> Decision:
    """Decide whether an effect lies where a claim wants it.

    Held: it passes every bound at α, two-sided, so at α/2 on the side that is wanted; `within` is the pair of
    one-sided tests of equivalence. Not held: it misses a bound at α over the number of parts, since one of them is
    enough. A claim of which all parts must hold needs no such correction to be held (intersection and union).

    :param effects: one a seed
    :param parts: comparisons of the claim
    """
    least = floor(len(effects))
    sides = [sign * (np.asarray(effects, dtype=np.float64) - bound) for sign, bound in bounds(direction, margin)]
    p_values = [paired_p(side) for side in sides]
    tests = [(p, float(side.mean())) for p, side in zip(p_values, sides, strict=True)]
    if least > alpha:
        verdict = UNDECIDABLE
    elif all(p <= alpha and way > 0 for p, way in tests):
        verdict = HELD
    elif any(p * parts <= alpha and way < 0 for p, way in tests):
        verdict = NOT_HELD
    else:
        verdict = UNDECIDED
    return Decision(verdict, max(p_values), least)
