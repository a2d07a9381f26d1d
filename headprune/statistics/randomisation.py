"""Approximate randomisation of paired outputs (Noreen 1989; Riezler and Maxwell 2005).

If two systems are alike, a segment's outputs could as well be swapped. p is the share of swaps that give a difference
at least as large as the observed one: ties count, since what was observed is one of the swaps. So k segments that
differ allow no p below 2^(1−k): none swapped, and all of them. Segments that do not differ are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headprune.statistics.base import Array

EXACT = 16  # up to so many differing segments all swaps are made
LEAST_DRAWS, MOST_DRAWS = 10_000, 1_000_000
BELOW_ALPHA = 10  # how far the floor of a family's p lies below α
BLOCK = 4096  # swaps at a time, of up to 16,384 segments; fewer of more
SINGLE = 2**24  # up to here whole numbers are exact in single precision


@dataclass(frozen=True)
class Randomised:
    """The outcome of a randomisation test.

    :param p_value: two-sided
    :param floor: the smallest p that could have come out
    :param draws: swaps that were made, all of them where the test is exact
    """

    p_value: float
    floor: float
    draws: int
    exact: bool


def draws_for(family: int, alpha: float) -> int:
    """The number of draws with which p, corrected by Holm within a family, can fall below a tenth of α.

    :param family: number of tests
    """
    return min(MOST_DRAWS, max(LEAST_DRAWS, int(np.ceil(BELOW_ALPHA * family / alpha))))


def least_p(differing: float) -> float:
    """The smallest two-sided p of outputs that differ in so many segments: 2 of 2^k swaps; NaN of NaN."""
    return float(np.minimum(1.0, np.exp2(1.0 - differing)))


def randomise(
    changes: Array, difference: Callable[[Array], Array], draws: int, seed: int | None, tolerance: float
) -> Randomised:
    """Test a statistic of two systems by swapping their outputs, segment by segment.

    :param changes: (segments, columns) what a swap of each segment moves; rows of zeros are left out
    :param difference: of systems after swaps, (swaps,), from the sum of the changes that are swapped, (swaps, columns)
    :param draws: where more than EXACT segments differ; else all swaps are made
    :param tolerance: differences that are smaller by less count as equal; the order of summation rounds them
    :returns: p with its floor
    """
    own = changes[changes.any(axis=1)]
    differing = len(own)
    exact = differing <= EXACT
    number = 2**differing if exact else draws
    observed = abs(difference(np.zeros((1, changes.shape[1])))[0]) - tolerance
    swaps = _all(differing) if exact else _some(differing, draws, seed)
    own = own.astype(_kind(own))
    reached = sum(
        int((np.abs(difference((block.astype(own.dtype) @ own).astype(float))) >= observed).sum()) for block in swaps
    )
    if exact:
        return Randomised(reached / number, least_p(differing), number, True)
    return Randomised((reached + 1) / (number + 1), max(1 / (number + 1), least_p(differing)), number, False)


def _kind(changes: Array) -> type[np.floating]:
    """Single precision where sums of the changes are exact in it: it takes half the time."""
    whole = (changes == np.round(changes)).all() and np.abs(changes).sum(axis=0).max(initial=0) < SINGLE
    return np.float32 if whole else np.float64


def _all(segments: int) -> Iterator[NDArray[np.uint8]]:
    """All subsets of segments, (swaps, segments) at a time."""
    numbers = np.arange(2**segments, dtype=np.uint32)
    for start in range(0, len(numbers), BLOCK):
        yield ((numbers[start : start + BLOCK, None] >> np.arange(segments, dtype=np.uint32)) & 1).astype(np.uint8)


def _some(segments: int, draws: int, seed: int | None) -> Iterator[NDArray[np.uint8]]:
    """Random subsets of segments, (swaps, segments) at a time."""
    rng, block = np.random.default_rng(seed), min(BLOCK, max(1, 16384 * BLOCK // segments))
    for start in range(0, draws, block):
        count = min(block, draws - start)
        bits = np.unpackbits(np.frombuffer(rng.bytes(count * -(-segments // 8)), dtype=np.uint8))
        yield bits.reshape(count, -1)[:, :segments]
