"""The metrics that stand for quality: name, direction, and the scale on which values are averaged and told apart.

Nothing else knows that perplexities are averaged by their logarithm, so that means are geometric, differences are nats
per token and shares are ratios of logarithms: tables, comparisons, fronts, claims and figures ask here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from headprune.results import schema
from headprune.statistics import Estimate
from headprune.statistics.base import LEVEL, Array
from headprune.statistics.normalised import relative
from headprune.statistics.seeds import mean

DIFFERENCES = {"linear": ("", 2), "log": ("nats per token", 3)}  # of the two scales: unit where it is another, digits
NOISE = 0.1  # of the unpruned quality: a model with less puts out noise
LOWEST, HIGHEST = float("-inf"), float("inf")


@dataclass(frozen=True)
class Quality:
    """A test metric that stands for the quality of a task.

    :param span: the least and the largest value that it can have; intervals end there
    :param floor: below it a value says nothing; absent: no such value is known
    """

    metric: str
    label: str
    higher_is_better: bool = True
    digits: int = 2
    span: tuple[float, float] = (LOWEST, HIGHEST)
    floor: float | None = None

    @property
    def sign(self) -> int:
        """Factor that makes more mean better."""
        return 1 if self.higher_is_better else -1

    @property
    def scale(self) -> str:
        """`log` or `linear`: of means, differences and axes."""
        return "log" if self.metric in schema.LOGARITHMIC else "linear"

    @property
    def unit(self) -> str:
        """The unit of differences."""
        return DIFFERENCES[self.scale][0] or schema.UNITS[self.metric]

    @property
    def difference_digits(self) -> int:
        """Decimals of differences."""
        return max(self.digits, DIFFERENCES[self.scale][1])

    def worth(self, values: ArrayLike) -> Array:
        """Values on the scale on which they are averaged and subtracted; more is better.

        :returns: of the same shape; of perplexities minus the logarithm
        :raises ValueError: a value that has no logarithm where one is taken.
        """
        array = np.asarray(values, dtype=np.float64)
        if self.scale == "log":
            if (array <= 0).any():
                raise ValueError(f"{self.metric} {array[array <= 0][0]:g} has no logarithm")
            array = np.log(array)
        return self.sign * array

    def value(self, worth: ArrayLike) -> Array:
        """The inverse of `worth`."""
        array = self.sign * np.asarray(worth, dtype=np.float64)
        return np.exp(array) if self.scale == "log" else array

    def mean(self, values: Any) -> float:
        """Arithmetic or, on a logarithmic scale, geometric; of a column without what is missing, NaN of none."""
        array = pd.Series(values, dtype=float).dropna()
        return float(self.value(self.worth(array).mean())) if len(array) else float("nan")

    def estimate(self, values: ArrayLike, level: float = LEVEL) -> Estimate:
        """The mean with its t interval, both taken on the scale and brought back; it ends where `span` does."""
        found = mean(self.worth(values), level)
        low, high = sorted(float(end) for end in self.value([found.low, found.high]))
        if found.has_interval:
            low, high = max(low, self.span[0]), min(high, self.span[1])
        return replace(found, value=float(self.value(found.value)), low=low, high=high)

    def text(self, value: float) -> str:
        """A value as it is printed: on a logarithmic scale with three figures from 1,000 on, `128000`, `1.79e+08`."""
        if self.scale == "log" and value >= 1000:
            rounded = f"{value:.3g}"
            return rounded if value >= 1e6 else f"{float(rounded):.0f}"
        return f"{value:.{self.digits}f}"

    def is_noise(self, value: float, unpruned: float) -> bool:
        """True if a model of this value says nothing: less than a tenth of the unpruned quality, or than the floor.

        Of perplexities, of ten times the unpruned one: a tenth of the probability per token.
        """
        below = self.floor is not None and self.sign * value < self.sign * self.floor
        return bool(below or relative(value, unpruned, self.higher_is_better) < NOISE)

    def share(self, value: float, unpruned: float) -> float:
        """The share that is left of the unpruned quality: the ratio of the two, less than 1 where the value is worse.

        For perplexities it is that of their logarithms, so of the bits that a text takes, in any tokens: 0.95 is a
        text that takes 5 % more.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            one, top = (np.log(x) if self.scale == "log" else x for x in (value, unpruned))
        return float(relative(one, top, self.higher_is_better))
