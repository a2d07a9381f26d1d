"""The common ground of the statistics: an estimate with its interval, and resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.95  # of every interval, unless asked otherwise
RESAMPLES = 2000  # of bootstrap intervals
SEED = 12345  # of every resampling: equal data give equal intervals


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; NaN bounds where too few values give none.

    :param n: independent units behind it (seeds, unless said otherwise)
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def has_interval(self) -> bool:
        """True where both bounds are known."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def finite(values: ArrayLike, what: str = "values") -> Array:
    """The values as an array.

    :returns: float64, of the same shape
    :raises ValueError: one of them is NaN or infinite; a missing cell is left out by the caller, who counts it.
    """
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} hold {int((~np.isfinite(array)).sum())} that are not finite; leave them out before")
    return array


def percentiles(samples: Array, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of bootstrap samples; NaN where there are none. NaN samples are left out.

    :returns: lower and upper end
    """
    known = samples[~np.isnan(samples)]
    if known.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled(strata: Sequence[Array], samples: int, seed: int = SEED) -> list[Array]:
    """Every stratum drawn with replacement from itself: one array (samples, n) a stratum."""
    rng = np.random.default_rng(seed)
    return [stratum[rng.integers(len(stratum), size=(samples, len(stratum)))] for stratum in strata]
