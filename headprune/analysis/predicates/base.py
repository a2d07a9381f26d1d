"""The contract of predicates: each measures an effect by seed, and says where the effect should lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scipy import stats

from headprune.analysis.evidence import BySeed, Evidence
from headprune.analysis.tables import line_of
from headprune.statistics import Estimate
from headprune.statistics.seeds import mean

Label = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_-]+)?(\+[A-Za-z0-9_-]+)?$")]
Share = Annotated[float, Field(ge=0, le=1)]


def at(budgets: list[int]) -> str:
    """The budgets in words, ` at K = 16, 8`."""
    return f" at K = {', '.join(map(str, sorted(budgets, reverse=True)))}"


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim: the effect by seed, or why there is none.

    :param elsewhere: it is about methods that these results are not about
    :param counted: the effect is a count of what is there, which needs no interval
    """

    what: str
    effects: BySeed = field(default_factory=dict)
    missing: str = ""
    lost: int = 0  # cells without a result among those that it is about
    elsewhere: bool = False
    counted: ClassVar[bool] = False

    def estimate(self, level: float) -> Estimate:
        return mean(list(self.effects.values()), level)


@dataclass(frozen=True)
class Count(Comparison):
    """A share of cells, each of which is right or wrong; its interval is Clopper and Pearson's."""

    right: int = 0
    of: int = 0

    def estimate(self, level: float) -> Estimate:
        interval = stats.binomtest(self.right, self.of).proportion_ci(level, method="exact")
        return Estimate(self.right / self.of, float(interval.low), float(interval.high), self.of)


@dataclass(frozen=True)
class Every(Count):
    """A count of cells that a claim says something of without exception: there is nothing to estimate."""

    counted: ClassVar[bool] = True

    def estimate(self, level: float) -> Estimate:
        return Estimate(self.right / self.of, float("nan"), float("nan"), self.of)


class Predicate(BaseModel):
    """An effect that should lie `above` or `below` the margin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    direction: Literal["above", "below"] = "above"
    margin: float = 0.0

    unit: ClassVar[str] = "share of the unpruned quality"

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        """The comparisons, all of which must come out as claimed."""
        raise NotImplementedError

    def wanted(self) -> str:
        return f"{'≥' if self.direction == 'above' else '≤'} {self.margin:g}"

    def decide(self, estimate: Estimate) -> bool | None:
        """Return whether the interval lies on the right side of the margin; None where it holds the margin, or is none.

        One seed or one cell decides nothing, whatever interval it is given.
        """
        sign = 1 if self.direction == "above" else -1
        if not estimate.has_interval or estimate.n < 2:
            return None
        low, high = sorted((sign * estimate.low, sign * estimate.high))
        return True if low >= sign * self.margin else False if high < sign * self.margin else None


class OfLines(Predicate):
    systems: list[Label] = Field(min_length=1)  # `dsp.joint`
    kept: tuple[Share, Share] = (0.0, 1.0)  # budgets that count, as shares of all heads

    @field_validator("kept")
    @classmethod
    def _in_order(cls, kept: tuple[float, float]) -> tuple[float, float]:
        if kept[0] > kept[1]:
            raise ValueError("the first share may not be larger than the second")
        return kept

    def over_budgets(self, evidence: Evidence, system: str, measure: Any) -> tuple[BySeed, list[int]]:
        """The mean over budgets of what `measure` gives by seed, and the budgets where it gives anything.

        Seeds that lack a budget of others are left out.
        """
        found = {k: by_seed for k in evidence.budgets(line_of(system), self.kept) if (by_seed := measure(k))}
        seeds = sorted(set.intersection(*map(set, found.values()))) if found else []
        return {seed: float(np.mean([own[seed] for own in found.values()])) for seed in seeds}, list(found)

    def part(
        self, evidence: Evidence, what: str, system: str, measure: Any, lacking: str, others: tuple[str, ...] = ()
    ) -> Comparison:
        effects, budgets = self.over_budgets(evidence, system, measure)
        what += at(budgets) if effects else ""
        where = f" with {self.kept[0]:.0%} to {self.kept[1]:.0%} of the heads kept"
        absent = next((label for label in (system, *others) if not evidence.budgets(line_of(label), (0, 1))), None)
        reason = f"{absent} is not in the results" if absent else lacking + where
        lost = self.lost(evidence, system, *others)
        return Comparison(what, effects, "" if effects else reason, lost, elsewhere=absent is not None)

    def lost(self, evidence: Evidence, *labels: str) -> int:
        """Cells of these lines without a result, at the budgets that count."""
        points = [(line_of(label), k) for label in labels for k in evidence.budgets(line_of(label), self.kept)]
        return sum(evidence.study.lost[point] for point in points)
