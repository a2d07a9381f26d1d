"""Quality on a scale on which the unpruned model is 1 and random heads are 0, and what is odd on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headprune.statistics.base import LEVEL, Array, Estimate
from headprune.statistics.seeds import mean

BELOW_RANDOM = "below matched random"
ABOVE_UNPRUNED = "above unpruned"
UNCERTAIN = " (one seed, no interval)"


def normalised(values: ArrayLike, unpruned: ArrayLike, random: ArrayLike) -> Array:
    """(value − random) / (unpruned − random); NaN where random heads are as good as the unpruned model, or better.

    :param values: more is better, as are the others
    :param random: of random heads at the same budget
    :returns: 0 as random heads, 1 as the unpruned model; of the shape that the arguments broadcast to
    """
    value, top, bottom = (np.asarray(x, dtype=np.float64) for x in (values, unpruned, random))
    span = top - bottom
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(span > 0, (value - bottom) / np.where(span > 0, span, np.nan), np.nan)


def normalised_interval(values: ArrayLike, unpruned: ArrayLike, random: ArrayLike, level: float = LEVEL) -> Estimate:
    """`normalised` of the means over seeds, with Fieller's interval of a ratio of means.

    The interval holds every share θ that a t test of (value − random) − θ (unpruned − random) does not refuse. It has
    no end, and is left out, where the unpruned model is not told apart from random heads.

    :param values: (seeds,), likewise the others, in the same order
    """
    value, top, bottom = (np.asarray(x, dtype=np.float64) for x in (values, unpruned, random))
    x, y, n = value - bottom, top - bottom, len(value)
    nothing = float("nan")
    share = float(normalised(value.mean(), top.mean(), bottom.mean())) if n else nothing
    if n < 2 or np.isnan(share):
        return Estimate(share, nothing, nothing, n)
    (xx, xy), (_, yy) = np.cov(x, y) / n * scipy.stats.t.ppf((1 + level) / 2, n - 1) ** 2
    a, b, c = y.mean() ** 2 - yy, x.mean() * y.mean() - xy, x.mean() ** 2 - xx
    if a <= 0:
        return Estimate(share, nothing, nothing, n)
    half = np.sqrt(max(b * b - a * c, 0.0))
    return Estimate(share, float((b - half) / a), float((b + half) / a), n)


def relative(values: ArrayLike, unpruned: ArrayLike, higher_is_better: bool) -> Array:
    """The share of the unpruned quality that is left: value / unpruned, or unpruned / value where less is better.

    :returns: 1 as the unpruned model; NaN where the ratio is not finite
    """
    value, top = np.asarray(values, dtype=np.float64), np.asarray(unpruned, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = value / top if higher_is_better else top / value
    return np.where(np.isfinite(share), share, np.nan)


def flags(
    values: Mapping[Any, float],
    random: Mapping[Any, float],
    unpruned: Mapping[Any, float],
    level: float = LEVEL,
) -> tuple[str, ...]:
    """The remarks of the quality control on a method at one budget; the values by seed, more is better.

    A method is flagged where it lies below random heads, or above the unpruned model, beyond the interval of the
    difference within seeds. One seed has no interval: it is flagged by its sign, and the flag says so.
    """
    found = []
    for name, other, sign in ((BELOW_RANDOM, random, -1), (ABOVE_UNPRUNED, unpruned, 1)):
        difference = mean([values[seed] - other[seed] for seed in sorted(set(values) & set(other))], level)
        bounds = sign * np.array([difference.low, difference.high])
        if difference.has_interval and bounds.min() > 0:
            found.append(name)
        elif difference.n == 1 and sign * difference.value > 0:
            found.append(name + UNCERTAIN)
    return tuple(found)
