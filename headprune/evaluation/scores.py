"""The outcomes of measuring a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """The value of a metric on a split, with the signature of how it was computed."""

    value: float
    signature: str = ""


@dataclass(frozen=True)
class Paired:
    """A system beside the baseline: its score, and how likely a difference as large is by chance."""

    score: float
    p_value: float | None  # None: the baseline itself
    differing: int | None = None  # segments in which the two differ
