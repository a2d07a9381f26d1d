"""Correction for the number of comparisons in a named family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from headprune.statistics.base import Array

Key = TypeVar("Key")
ROUNDING = 1e-12


def holm(p_values: ArrayLike, floors: ArrayLike = 0.0) -> Array:
    """Holm's (1979) step-down adjusted p-values. NaN, a test that was not made, stays NaN and is not counted.

    The i-th smallest of m is max over j ≤ i of c₍ⱼ₎ p₍ⱼ₎, at most 1. Without floors c₍ⱼ₎ = m − j + 1, the tests that
    are left. A test that cannot reach p₍ⱼ₎ cannot be wrong there either (Tarone 1990), so that c₍ⱼ₎ counts those of
    them whose floor is at most p₍ⱼ₎: tests of few seeds cost those of many nothing. (statsmodels has the plain one,
    with a second of imports and a search for garbage at every call, which with torch takes as long.)

    :param floors: the smallest p that each test can reach, whatever the values that it is made of
    :returns: of the shape of `p_values`, in their order
    :raises ValueError: a p outside 0…1, or below its floor.
    """
    array = np.asarray(p_values, dtype=np.float64)
    made = ~np.isnan(array)
    p, adjusted = array[made], np.full(array.shape, np.nan)
    least = np.broadcast_to(np.asarray(floors, dtype=np.float64), array.shape)[made]
    if ((p < 0) | (p > 1)).any():
        raise ValueError("p-values lie between 0 and 1")
    if (p < least * (1 - ROUNDING)).any():
        raise ValueError("no p-value lies below its floor")
    order = np.argsort(p)
    p, least = p[order], least[order]
    can_reach = least[None, :] <= p[:, None] * (1 + ROUNDING)
    steps = np.maximum.accumulate(np.triu(can_reach).sum(axis=1) * p).clip(max=1)
    adjusted[np.flatnonzero(made)[order]] = steps
    return adjusted


@dataclass(frozen=True)
class Family(Generic[Key]):
    """Comparisons that are corrected together, under the name that captions give them."""

    name: str
    raw: Mapping[Key, float]
    adjusted: Mapping[Key, float]
    floors: Mapping[Key, float]  # the smallest adjusted p that each could have reached

    @classmethod
    def of(cls, name: str, raw: Mapping[Key, float], floors: Mapping[Key, float] | None = None) -> Family[Key]:
        """Correct a family by Holm, with floors by Tarone and Holm.

        An adjusted p rises with every p of the family, so that none is smaller than it would be with all at their
        floors: correcting the floors gives the floors of the corrected.

        :param floors: the smallest p of each test before correction; absent: 0
        :returns: the family with raw and adjusted p-values and their floors, by key
        """
        least = {key: float("nan") if np.isnan(raw[key]) else (floors or {}).get(key, 0.0) for key in raw}
        bounds = list(least.values())
        adjusted, attainable = holm(list(raw.values()), bounds), holm(bounds, bounds)
        return cls(
            name, raw, dict(zip(raw, adjusted.tolist(), strict=True)), dict(zip(raw, attainable.tolist(), strict=True))
        )

    @property
    def size(self) -> int:
        """Number of tests that were made."""
        return sum(not np.isnan(p) for p in self.raw.values())
