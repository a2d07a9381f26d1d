"""The outcomes of measuring a model."""

from __future__ import annotations

import math
from dataclasses import dataclass


def require_number(value: float, what: str) -> None:
    """:raises ValueError: the value is NaN; infinity is the perplexity of a model that rules out what it reads.

    :param what: it is
    """
    if math.isnan(value):
        raise ValueError(f"{what} is NaN: weights or outputs of the model are not finite")


@dataclass(frozen=True)
class Score:
    """The value of a metric on a split, with the signature of how it was computed.

    :raises ValueError: the value is NaN.
    """

    value: float
    signature: str = ""

    def __post_init__(self) -> None:
        require_number(self.value, "a score")


@dataclass(frozen=True)
class Paired:
    """A system beside the baseline: its score, and how likely a difference as large is by chance."""

    score: float
    p_value: float | None  # None: the baseline itself
    differing: int | None = None  # segments in which the two differ
