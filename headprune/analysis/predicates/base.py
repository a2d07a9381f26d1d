"""The contract of predicates: each measures an effect by seed, and says where the effect should lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from headprune.analysis.evidence import BySeed, Evidence
from headprune.analysis.tables import line_of
from headprune.analysis.verdicts import HELD, NOT_HELD, Decision, Direction, bounds, decide
from headprune.statistics import Estimate
from headprune.statistics.base import LEVEL
from headprune.statistics.seeds import ALPHA, mean

Label = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_-]+)?(\+[A-Za-z0-9_-]+)?$")]
Share = Annotated[float, Field(ge=0, le=1)]


def at(budgets: list[int]) -> str:
    """The budgets in words, ` at K = 16, 8`."""
    return f" at K = {', '.join(map(str, sorted(budgets, reverse=True)))}"


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim: the effect by seed, or why there is none.

    :param elsewhere: it is about methods that these results are not about
    :param settled: why other trainings would show the same, so that no seeds are needed; empty: they might not
    """

    what: str
    effects: BySeed = field(default_factory=dict)
    missing: str = ""
    lost: int = 0  # cells without a result among those that it is about
    elsewhere: bool = False
    settled: str = ""

    def estimate(self, level: float = LEVEL) -> Estimate:
        """The mean effect with its t interval over seeds."""
        return mean(list(self.effects.values()), level)


@dataclass(frozen=True)
class Count(Comparison):
    """A count of cells that a claim says something of without exception: there is nothing to estimate."""

    right: int = 0
    of: int = 0

    def estimate(self, level: float = LEVEL) -> Estimate:
        return Estimate(self.right / self.of, float("nan"), float("nan"), self.of)


class Predicate(BaseModel):
    """An effect that should lie `above` or `below` the margin, or `within` it on either side of 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    direction: Direction = "above"
    margin: float = 0.0
    family: int = Field(1, ge=1)  # claims that are decided together: each at α over their number

    unit: ClassVar[str] = "share of the unpruned quality"

    @property
    def significance(self) -> float:
        """The two-sided level at which the claim is decided."""
        return ALPHA / self.family

    @model_validator(mode="after")
    def _has_width(self) -> Self:
        if self.direction == "within" and self.margin <= 0:
            raise ValueError(f"margin {self.margin:g} leaves nothing to lie within; give one above 0")
        return self

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        """The comparisons, all of which must come out as claimed."""
        raise NotImplementedError

    def wanted(self) -> str:
        """The place of the effect that is claimed, `≥ 0.5`."""
        together = f", one of {self.family}" if self.family > 1 else ""
        return f"{ {'above': '≥ ', 'below': '≤ ', 'within': '±'}[self.direction] }{self.margin:g}{together}"

    def room(self, value: float) -> float:
        """The distance by which a value passes the bound that it passes least; negative where it misses it."""
        return min(sign * (value - bound) for sign, bound in bounds(self.direction, self.margin))

    def decide(self, part: Comparison, parts: int) -> Decision:
        """The verdict on one of so many comparisons; what is settled is decided by its value."""
        if part.settled:
            return Decision(HELD if self.room(part.estimate().value) >= 0 else NOT_HELD)
        return decide(list(part.effects.values()), self.direction, self.margin, parts, self.significance)


class OfLines(Predicate):
    systems: list[Label] = Field(min_length=1)  # `dsp.joint`
    kept: tuple[Share, Share] = (0.0, 1.0)  # budgets that count, as shares of all heads
    least_budgets: int = Field(1, ge=1)  # of them; where fewer can be compared there is no verdict

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
        where = f" with {self.kept[0]:.0%} to {self.kept[1]:.0%} of the heads kept"
        if budgets and not effects:
            lacking, where = f"{what}{at(budgets)}: no seed has all of these", ""
        what += at(budgets) if effects else ""
        absent = next((label for label in (system, *others) if not evidence.budgets(line_of(label), (0, 1))), None)
        reason = f"{absent} is not in the results" if absent else lacking + where
        if effects and len(budgets) < self.least_budgets:
            effects, reason = {}, f"{what}: {len(budgets)} of the {self.least_budgets} budgets that it is about"
        lost = self.lost(evidence, system, *others)
        return Comparison(what, effects, "" if effects else reason, lost, elsewhere=absent is not None)

    def lost(self, evidence: Evidence, *labels: str) -> int:
        """Cells of these lines without a result, at the budgets that count."""
        points = [(line_of(label), k) for label in labels for k in evidence.budgets(line_of(label), self.kept)]
        return sum(evidence.study.lost[point] for point in points)
