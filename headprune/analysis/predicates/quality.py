"""Predicates over quality, cost and the number of heads kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from headprune.analysis.evidence import BySeed, Evidence
from headprune.analysis.predicates.base import Comparison, Count, Every, Label, OfLines, at
from headprune.analysis.tables import line_of
from headprune.naming import unknown
from headprune.results.vocabulary import COMMON
from headprune.statistics import Estimate

COSTS = tuple(sorted(set(COMMON) - {"perplexity"}))
SPEEDS = ("throughput",)  # more is better


class Compare(OfLines):
    """Quality of systems less that of baselines, at the same budgets."""

    predicate: Literal["compare"]
    baselines: list[Label] = Field(min_length=1)

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        for system in self.systems:
            for baseline in self.baselines:

                def difference(k: int, system: str = system, baseline: str = baseline) -> BySeed:
                    ours, theirs = (evidence.quality(line_of(label), k) for label in (system, baseline))
                    return {seed: ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))}

                lacking = f"no seed has both {system} and {baseline}"
                yield self.part(evidence, f"{system} − {baseline}", system, difference, lacking, (baseline,))


class Loss(OfLines):
    """The share of the unpruned quality that systems lose."""

    predicate: Literal["loss"]

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        for system in self.systems:

            def loss(k: int, system: str = system) -> BySeed:
                return {seed: 1 - share for seed, share in evidence.quality(line_of(system), k).items()}

            yield self.part(evidence, f"loss of {system}", system, loss, f"{system} has no quality")


class Saving(OfLines):
    """The share of a cost of the unpruned model that systems save; of a speed, what they gain."""

    predicate: Literal["saving"]
    metric: str
    unit: ClassVar[str] = "share of the unpruned cost"

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in COSTS:
            raise ValueError(unknown("metric", metric, COSTS))
        return metric

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        for system in self.systems:

            def saved(k: int, system: str = system) -> BySeed:
                shares = evidence.cost(self.metric, line_of(system), k)
                sign = -1 if self.metric in SPEEDS else 1
                return {seed: sign * (1 - share) for seed, share in shares.items()}

            yield self.part(evidence, f"{self.metric} of {system}", system, saved, f"{system} has no {self.metric}")


class Proportional(Saving):
    """The distance of savings from being proportional to the heads removed: 1 − R² of the line through the origin."""

    predicate: Literal["proportional"]  # type: ignore[assignment]
    direction: Literal["above", "below"] = "below"
    unit: ClassVar[str] = "1 − R²"

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        for system in self.systems:
            line = line_of(system)
            points: dict[int, list[tuple[float, float]]] = {}
            for k in evidence.budgets(line, self.kept):
                for seed, share in evidence.cost(self.metric, line, k).items():
                    points.setdefault(seed, []).append((1 - k / evidence.n_heads, 1 - share))
            effects = {seed: unexplained(np.array(own)) for seed, own in sorted(points.items()) if len(own) > 2}
            absent = not evidence.budgets(line, (0, 1))
            reason = "is not in the results" if absent else f"has no {self.metric} at three budgets"
            missing, lost = "" if effects else f"{system} {reason}", self.lost(evidence, system)
            what = f"{self.metric} of {system}{at(evidence.budgets(line, self.kept))}"
            yield Comparison(what, effects, missing, lost, elsewhere=absent)


class ExactCount(OfLines):
    """The share of cells that keep exactly as many heads as were asked for."""

    predicate: Literal["exact_count"]
    margin: float = 1.0
    unit: ClassVar[str] = "share of cells"

    @property
    def without_exception(self) -> bool:
        """True where the claim is one about every cell."""
        return self.direction == "above" and self.margin == 1

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        kind = Every if self.without_exception else Count
        for system in self.systems:
            line = line_of(system)
            exact = evidence.exact(line, self.kept)
            absent = not evidence.budgets(line, (0, 1))
            missing = f"{system} is not in the results" if absent else "" if exact else f"{system} has no result"
            if exact and self.direction == "below" and evidence.trials(line) == 0:
                missing = f"{system} does not search for K (trials: 0), so that its count says nothing of control"
            what = f"{system} keeps K heads{at(evidence.budgets(line, self.kept))}"
            lost = self.lost(evidence, system)
            yield kind(what, {}, missing, lost, elsewhere=absent, right=sum(exact), of=len(exact))

    def decide(self, estimate: Estimate) -> bool | None:
        """A claim about every cell is settled by counting them: one exception is enough, one cell is not."""
        if self.without_exception:
            return False if estimate.value < 1 else True if estimate.n > 1 else None
        return super().decide(estimate)


def unexplained(points: Any) -> float:
    """1 − R² of y = c x by least squares, of points (n, 2)."""
    x, y = points.T
    slope = (x @ y) / (x @ x)
    spread = ((y - y.mean()) ** 2).sum()
    return float(((y - slope * x) ** 2).sum() / spread) if spread else 0.0
