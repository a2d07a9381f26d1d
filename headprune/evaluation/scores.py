"""The outcomes of measuring a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from headprune.statistics.paired import PairedComparison

Read = TypeVar("Read")


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


def against_first(
    systems: Mapping[str, Read], score: Callable[[Read], float], test: Callable[[Read, Read], PairedComparison]
) -> dict[str, Paired]:
    """The score of every system, with a paired test of all but the first against it.

    :param systems: what was read of them, by name
    :param test: of the first and another one
    :returns: by name
    """
    (first, base), *others = systems.items()
    found = {first: Paired(score(base), None)}
    for name, other in others:
        compared = test(base, other)
        found[name] = Paired(score(other), compared.p_value, compared.differing)
    return found
