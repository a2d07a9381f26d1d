"""Quality at as many heads as another method kept: methods that miss K are compared there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

NEAR = 1  # heads by which a cell may miss K, or another cell, and still be compared as it is


def at_heads(curve: Mapping[float, float], heads: float) -> float:
    """Quality between the two neighbouring numbers of heads of a curve, linearly; NaN beyond its ends.

    :param curve: quality by number of heads
    """
    known = sorted(curve)
    if not known or not known[0] <= heads <= known[-1]:
        return float("nan")
    return float(np.interp(heads, known, [curve[at] for at in known]))


def apart(heads: Mapping[int, float], others: Mapping[int, float]) -> bool:
    """True where two methods keep numbers of heads that differ by more than a head with any seed.

    :param heads: by seed; NaN of what failed
    :param others: likewise
    """
    return any(abs(heads[seed] - others[seed]) > NEAR for seed in heads.keys() & others.keys())
