"""Spaces that hyper-parameters are tuned over.

A space maps numbers of [0, 1) to values, so that a sequence of points that fills the unit cube becomes one of trials.
Importing this module imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

DIGITS = 6  # significant ones of a number that is drawn: what lies behind them may differ between machines


@dataclass(frozen=True)
class Uniform:
    """Real numbers from `low` to `high`, equal differences equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _refuse_empty(self.low, self.high)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def at(self, u: float) -> float:
        """The value at the share `u` of the way, 0 ≤ u < 1, from `low` to `high`."""
        return self._rounded(self.low + u * (self.high - self.low))

    def _rounded(self, value: float) -> float:
        return float(min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high))


@dataclass(frozen=True)
class LogUniform(Uniform):
    """Positive numbers from `low` to `high`, equal ratios equally likely."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_unpositive(self.low, self.high)

    def __str__(self) -> str:
        return f"{super().__str__()}, log scale"

    def at(self, u: float) -> float:
        """The value at the share `u` of the way, 0 ≤ u < 1, from the logarithm of `low` to that of `high`."""
        return self._rounded(_between_logarithms(self.low, self.high, u))


@dataclass(frozen=True)
class Integers:
    """Whole numbers from `low` to `high`, both included: all equally likely or, with `log`, about as 1 / value."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.low, int) and isinstance(self.high, int)):
            raise ValueError(f"a space of whole numbers from {self.low} to {self.high}: the bounds must be whole, too")
        _refuse_empty(self.low, self.high)
        if self.log:
            _refuse_unpositive(self.low, self.high)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"whole numbers {self.low} to {self.high}" + (", log scale" if self.log else "")

    def at(self, u: float) -> int:
        """The value at the share `u` of the way, 0 ≤ u < 1, from `low` to `high`."""
        if self.log:
            return min(max(int(_between_logarithms(self.low, self.high + 1, u)), self.low), self.high)
        return self.low + int(u * (self.high - self.low + 1))


@dataclass(frozen=True)
class Choices:
    """Values without an order, all equally likely."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if len(set(self.values)) < max(2, len(self.values)):
            raise ValueError(f"a space of the choices {self.values}: it needs two or more, each once")

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in self.values)

    def at(self, u: float) -> Any:
        """The value of the part of [0, 1), cut into as many as there are choices, that `u` falls into."""
        return self.values[int(u * len(self.values))]


Space = Uniform | LogUniform | Integers | Choices
SPACES: dict[str, type] = {space.__name__: space for space in (Uniform, LogUniform, Integers, Choices)}


def _refuse_empty(low: float, high: float) -> None:
    """:raises ValueError: the bounds are not finite, or the lower one is not below the upper one."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"a space from {low} to {high}: the bounds must be finite, the first below the second")


def _refuse_unpositive(low: float, high: float) -> None:
    """:raises ValueError: the lower bound has no logarithm."""
    if low <= 0:
        raise ValueError(f"a space from {low} to {high} on a log scale: the bounds must be positive")


def _between_logarithms(low: float, high: float, u: float) -> float:
    start = math.log(low)
    return math.exp(start + u * (math.log(high) - start))
