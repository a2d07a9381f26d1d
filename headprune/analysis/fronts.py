"""The best quality at every cost, over all methods: heads, parameters, MACs, latency, cost of pruning, all updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from headprune.analysis.evidence import BySeed, Evidence
from headprune.analysis.study import REFERENCE, Point
from headprune.analysis.tables import GROUP, Results, split_arm
from headprune.analysis.updates import TOTAL
from headprune.statistics import pareto_front
from headprune.statistics.base import Array
from headprune.statistics.frontiers import front_band, front_membership, hypervolume_interval

# Shares of the unpruned model's, but for `pruning`: sentences through whole models, forward and backward, in thousands.
COSTS = ("heads", "parameters", "macs_per_token", "latency_ms", "pruning", TOTAL)
PASSES = ("prune_forward_sentences", "prune_backward_sentences")
COLUMNS = [
    *GROUP,
    "cost",
    "hypervolume",
    "hypervolume_low",
    "hypervolume_high",
    "method",
    "arm",
    "budget",
    "at",
    "quality",
    "low",
    "high",
    "on_front",
    "n_seeds",
    "without_cost",
]


@dataclass(frozen=True)
class Cloud:
    """All points of a model for one cost.

    :param points: (points,) a line at a budget; those of treated masks and the unpruned model are left out
    :param cost: (points, seeds), NaN where a seed lacks the point
    :param quality: likewise, share of the unpruned quality of the seed
    :param without_cost: runs with a quality whose cost was not measured
    """

    points: list[Point]
    cost: Array
    quality: Array
    without_cost: int

    @property
    def reference(self) -> tuple[float, float]:
        """Reference point of the hypervolume: the unpruned model's cost, or else the highest there is; no quality."""
        return (max(1.0, float(np.nanmax(self.cost))), 0.0)


def fronts(results: Results) -> pd.DataFrame:
    """A row per point on the front through the means over seeds, by rising cost, with the columns COLUMNS.

    low, high: bootstrap band of the front at that cost, seeds drawn as blocks. on_front: share of the draws in which
    the point is on the front. hypervolume: below the whole front, as a share of the reference's rectangle.
    """
    rows = []
    for group in results.groups():
        evidence = Evidence(results, group)
        for cost in COSTS:
            own = cloud(evidence, cost)
            if own.points:
                common = dict(zip(GROUP, group, strict=True)) | {"cost": cost, "without_cost": own.without_cost}
                rows += [common | row for row in _rows(own)]
    return pd.DataFrame(rows, columns=COLUMNS)


def cloud(evidence: Evidence, cost: str) -> Cloud:
    """Cost and quality of every pruned line at every budget."""
    points, costs, qualities, lost = [], [], [], 0
    for line, budget in evidence.study.points:
        if line == REFERENCE or split_arm(line[1])[1]:
            continue
        quality, own = evidence.quality(line, budget), cost_of(evidence, cost, (line, budget))
        lost += len(set(quality) - set(own))
        both = {seed for seed in quality if seed in own}
        if both:
            points.append((line, budget))
            costs.append({seed: own[seed] for seed in both})
            qualities.append({seed: quality[seed] for seed in both})
    seeds = sorted({seed for own in costs for seed in own})
    tables = [[[own.get(seed, np.nan) for seed in seeds] for own in part] for part in (costs, qualities)]
    return Cloud(points, np.array(tables[0], dtype=np.float64), np.array(tables[1], dtype=np.float64), lost)


def cost_of(evidence: Evidence, cost: str, point: Point) -> BySeed:
    """The cost of a point by seed, in the unit of COSTS."""
    line, budget = point
    if cost == "pruning":
        parts = [evidence.spent(metric, line, budget) for metric in PASSES]
        return {seed: (parts[0][seed] + parts[1][seed]) / 1000 for seed in sorted(set(parts[0]) & set(parts[1]))}
    if cost == "heads":
        return {seed: heads / evidence.n_heads for seed, heads in evidence.heads(line, budget).items()}
    return evidence.cost(cost, line, budget)


def _rows(own: Cloud) -> list[dict[str, object]]:
    with np.errstate(invalid="ignore"):
        means = [np.nanmean(table, axis=1) for table in (own.cost, own.quality)]
    front = pareto_front(*means)
    band = front_band(own.cost, own.quality, means[0][front])
    share = front_membership(own.cost, own.quality)
    whole = hypervolume_interval(own.cost, own.quality, own.reference)
    values = {"hypervolume": whole.value, "hypervolume_low": whole.low, "hypervolume_high": whole.high}
    common = {name: value / own.reference[0] for name, value in values.items()}
    return [
        common
        | {
            "method": own.points[i][0][0],
            "arm": own.points[i][0][1],
            "budget": own.points[i][1],
            "at": means[0][i],
            "quality": band.value[place],
            "low": band.low[place],
            "high": band.high[place],
            "on_front": share[i],
            "n_seeds": int((~np.isnan(own.quality[i])).sum()),
        }
        for place, i in enumerate(front)
    ]
