"""McNemar's exact test of two systems that are right or wrong on the same examples (McNemar 1947), two-sided.

If the systems are alike, every example on which one of them is right is as likely to be the other's: of n such
examples the number that one wins has the distribution Bin(n, 1/2). With several seeds the runs of an example are
swapped together, as `headprune.statistics.paired.paired_means` does; an example counts by how many more runs of one
system are right, and the distribution of the sum is that of Σ ± c, computed by convolution instead of draws.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from headprune.statistics.base import Array
from headprune.statistics.paired import PairedComparison, paired_means
from headprune.statistics.randomisation import least_p


def mcnemar(baseline: ArrayLike, system: ArrayLike) -> PairedComparison:
    """Compare two systems by the examples on which they are right.

    :param baseline: ones and zeros, (examples,) or (seeds, examples)
    :param system: likewise, the same seeds in the same order
    :returns: accuracies and their difference with its bootstrap interval and the exact p
    :raises ValueError: shapes that differ, a value other than 0 and 1, or no examples.
    """
    first, second = (np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (baseline, system))
    if not np.isin(first, (0, 1)).all() or not np.isin(second, (0, 1)).all():
        raise ValueError("an example is right, 1, or wrong, 0")
    found = paired_means(first, second, samples=1)
    wins = (second.sum(axis=0) - first.sum(axis=0)).astype(np.int64)  # of an example, in runs
    p_value, moved = swapped_p(wins), int(np.count_nonzero(wins))
    name = "McNemar's exact test" if len(first) == 1 else "McNemar's exact test, seeds together"
    return replace(found, p_value=p_value, p_floor=float(least_p(moved)), resamples=0, test=name)


def swapped_p(wins: NDArray[np.int64]) -> float:
    """The share of all changes of signs that give a sum at least as far from zero as that of `wins`.

    :param wins: whole numbers (examples,); zeros do not matter
    :returns: 1 where the sum is 0
    """
    distance, sizes = abs(int(wins.sum())), np.abs(wins[wins != 0])
    if distance == 0:
        return 1.0
    if (sizes == 1).all():  # the same distribution in closed form
        return float(min(1.0, 2 * binom.sf((distance + len(sizes)) // 2 - 1, len(sizes), 0.5)))
    probabilities = _sums(sizes)  # of the sums −Σ…Σ
    away = np.abs(np.arange(len(probabilities)) - len(probabilities) // 2) >= distance
    return float(min(1.0, probabilities[away].sum()))


def _sums(sizes: NDArray[np.int64]) -> Array:
    """The distribution of Σ ± size, at −Σ size … Σ size."""
    total = int(sizes.sum())
    found = np.zeros(2 * total + 1)
    found[total] = 1.0
    for size in sizes:  # what would leave the ends is zero
        found = (np.roll(found, size) + np.roll(found, -size)) / 2
    return found
