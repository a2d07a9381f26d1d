"""Correction for the number of comparisons in a named family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from headprune.statistics.base import Array

Key = TypeVar("Key")


def holm(p_values: ArrayLike) -> Array:
    """Holm's (1979) step-down adjusted p-values. NaN, a test that was not made, stays NaN and is not counted.

    The i-th smallest of m is max over j ≤ i of (m − j + 1) p₍ⱼ₎, at most 1. (statsmodels has it, too, with a second of
    imports and a search for garbage at every call, which with torch takes as long.)

    :returns: of the shape of `p_values`, in their order
    :raises ValueError: a p outside 0…1.
    """
    array = np.asarray(p_values, dtype=np.float64)
    made = ~np.isnan(array)
    if ((array[made] < 0) | (array[made] > 1)).any():
        raise ValueError("p-values lie between 0 and 1")
    p, adjusted = array[made], np.full(array.shape, np.nan)
    order = np.argsort(p)
    steps = np.empty_like(p)
    steps[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)).clip(max=1)
    adjusted[made] = steps
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
        """Correct a family by Holm.

        An adjusted p rises with every p of the family, so that none is smaller than it would be with all at their
        floors: correcting the floors gives the floors of the corrected.

        :param floors: the smallest p of each test before correction; absent: 0
        :returns: the family with raw and adjusted p-values and their floors, by key
        """
        least = {key: float("nan") if np.isnan(raw[key]) else (floors or {}).get(key, 0.0) for key in raw}
        adjusted, attainable = holm(list(raw.values())), holm(list(least.values()))
        return cls(
            name, raw, dict(zip(raw, adjusted.tolist(), strict=True)), dict(zip(raw, attainable.tolist(), strict=True))
        )

    @property
    def size(self) -> int:
        """Number of tests that were made."""
        return sum(not np.isnan(p) for p in self.raw.values())
