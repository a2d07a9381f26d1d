"""Predicates over quality, cost and the number of heads kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from headprune.analysis.evidence import BySeed, Evidence
from headprune.analysis.predicates.base import Comparison, Count, Label, OfLines, at
from headprune.analysis.tables import label_of, line_of
from headprune.analysis.verdicts import HELD, NOT_HELD, UNDECIDED, Decision, Direction
from headprune.naming import unknown
from headprune.results.vocabulary import COMMON
from headprune.statistics.seeds import alike

COSTS = tuple(sorted(set(COMMON) - {"perplexity"}))
SPEEDS = ("throughput",)  # more is better
FIXED = ("parameters", "parameters_non_embedding")  # by the number of heads, whichever a training keeps


class Compare(OfLines):
    """Quality of systems less that of baselines, at the same budgets, in shares of the unpruned quality.

    All seeds are divided by one number, their mean unpruned quality, so that a single budget with margin 0 has the p of
    the same comparison elsewhere. Where the two keep different numbers of heads, baselines are taken at those of the
    system, as elsewhere. Twins with too little freedom are not compared with their masks.
    """

    predicate: Literal["compare"]
    baselines: list[Label] = Field(min_length=1)

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        for system in self.systems:
            for baseline in self.baselines:

                def difference(k: int, system: str = system, baseline: str = baseline) -> BySeed:
                    return evidence.difference(line_of(system), line_of(baseline), k)

                shared = evidence.shared(line_of(system), line_of(baseline), self.kept)
                lacking = f"{'no seed has' if shared else 'there is no K of'} both {system} and {baseline}"
                part = self.part(evidence, f"{system} − {baseline}", system, difference, lacking, (baseline,))
                bound = evidence.bound(line_of(system), line_of(baseline), self.kept)
                if part.effects:
                    part = replace(part, what="; ".join([part.what, *self._beside(evidence, system, baseline), *bound]))
                yield replace(part, missing="; ".join([part.missing, *bound])) if part.missing else part

    def _beside(self, evidence: Evidence, system: str, baseline: str) -> Iterator[str]:
        """The differences of the two beside the heads that they choose, in words."""
        if apart := evidence.apart(line_of(system), line_of(baseline), self.kept):
            yield f"{baseline}{at(apart)} at as many heads as {system} keeps"
        if adapted := evidence.study.adapted_of(line_of(system), line_of(baseline)):
            yield f"weights trained with the mask: {label_of(adapted)} only"


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

            part = self.part(evidence, f"{self.metric} of {system}", system, saved, f"{system} has no {self.metric}")
            yield self.if_fixed(part)

    def if_fixed(self, part: Comparison) -> Comparison:
        """The comparison, settled where it is of a cost that no training changes."""
        fixed = self.metric in FIXED and bool(part.effects) and alike(np.array(list(part.effects.values())))
        return replace(part, settled="the same with every training") if fixed else part


class Proportional(Saving):
    """The distance of savings from being proportional to the heads removed: 1 − R² of the line through the origin."""

    predicate: Literal["proportional"]  # type: ignore[assignment]
    direction: Direction = "below"
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
            yield self.if_fixed(Comparison(what, effects, missing, lost, elsewhere=absent))


class ExactCount(OfLines):
    """The share of cells that keep exactly as many heads as were asked for.

    With margin 1 it is about every cell, and settled by counting them: one exception is enough, one cell is not.
    """

    predicate: Literal["exact_count"]
    margin: float = 1.0
    unit: ClassVar[str] = "share of cells"

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        for system in self.systems:
            line = line_of(system)
            by_seed = evidence.exact(line, self.kept)
            exact = [cell for own in by_seed.values() for cell in own]
            absent = not evidence.budgets(line, (0, 1))
            missing = f"{system} is not in the results" if absent else "" if exact else f"{system} has no result"
            if exact and self.direction == "below" and evidence.trials(line) == 0:
                missing = f"{system} does not search for K (trials: 0), so that its count says nothing of control"
            what = f"{system} keeps K heads{at(evidence.budgets(line, self.kept))}"
            lost = self.lost(evidence, system)
            if self.margin == 1:
                counted = f"counted over {len(exact)} cell{'s' * (len(exact) != 1)}"
                yield Count(what, {}, missing, lost, absent, counted, right=sum(exact), of=len(exact))
            else:
                shares = {seed: float(np.mean(own)) for seed, own in by_seed.items()}
                yield Comparison(what, shares, missing, lost, absent)

    def decide(self, part: Comparison, parts: int) -> Decision:
        if not isinstance(part, Count):
            return super().decide(part, parts)
        whole, claimed = part.right == part.of, self.direction == "above"
        return Decision(UNDECIDED if whole and part.of == 1 else HELD if whole == claimed else NOT_HELD)


def unexplained(points: Any) -> float:
    """1 − R² of y = c x by least squares, of points (n, 2)."""
    x, y = points.T
    slope = (x @ y) / (x @ x)
    spread = ((y - y.mean()) ** 2).sum()
    return float(((y - slope * x) ** 2).sum() / spread) if spread else 0.0
