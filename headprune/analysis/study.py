"""One (profile, track, dataset, model) of the results: its points, and the pairs of them that are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd

from headprune.analysis.achieved import NEAR, apart, at_heads
from headprune.analysis.adapted import adapted_in
from headprune.analysis.segments import Run, SegmentOutputs
from headprune.analysis.tables import (
    LINE,
    UNPRUNED,
    Line,
    Quality,
    Results,
    by_seed,
    in_group,
    masks_of,
    outcomes,
    quality_of,
    seed_values,
    split_arm,
)
from headprune.analysis.twins import TWIN, TWINS, Freedom, freedoms, twin_of
from headprune.statistics import Estimate, PairedComparison
from headprune.statistics.normalised import flags, normalised_interval
from headprune.statistics.seeds import Across, across

REFERENCE: Line = (UNPRUNED, "")
RANDOM: Line = ("random", "")
Point = tuple[Line, int]


@dataclass(frozen=True)
class Pair:
    """A line and what it is compared with, each at its budget."""

    system: Point
    baseline: Point


def competes(line: Line) -> bool:
    """True for a pruned model whose mask was not treated: what tables look for the best in, and rank."""
    return not line[0].startswith(UNPRUNED) and not split_arm(line[1])[1]


def methods_of(lines: Iterable[Line]) -> set[str]:
    """The methods that prune, among these lines: the arms of one are one, and treated masks are none of their own."""
    return {line[0] for line in lines if competes(line)}


def missed(runs: pd.DataFrame) -> set[Point]:
    """The points with a cell that misses K by more than a head: they enter no ranking, and are never the best.

    :param runs: rows of `outcomes`
    """
    off = runs[(runs["heads_kept"] - runs["budget"]).abs() > NEAR]
    return {((str(method), str(line)), int(budget)) for method, line, budget in off[[*LINE, "budget"]].to_numpy()}


class Study:
    """The seeds, outputs and flags of one (profile, track, dataset, model).

    :param quality: absent: the one that stands for the track
    """

    def __init__(
        self,
        results: Results,
        group: tuple[str, ...],
        quality: Quality | None = None,
    ) -> None:
        cells = in_group(results.cells, group)
        self.results, self.group, self.quality = results, group, quality or quality_of(cells)
        self.is_adapted = adapted_in(results.folder)
        self.runs = outcomes(cells, self.quality)
        raw = seed_values(by_seed(self.runs, self.quality))
        # On the scale on which the metric is compared, more is better: BLEU itself, minus the logarithm of perplexity.
        self.values = {
            at: {seed: float(self.quality.worth(value)) for seed, value in own.items()} for at, own in raw.items()
        }
        self.worths = self._worths()
        self.missed = missed(self.runs)
        self.lost: dict[Point, int] = {}
        self.heads: dict[Point, float] = {}
        for (method, line, budget), part in self.runs.groupby([*LINE, "budget"]):
            at: Point = ((str(method), str(line)), int(str(budget)))
            self.lost[at], self.heads[at] = int(part["value"].isna().sum()), float(part["heads_kept"].mean())
        self.points = list(self.lost)
        self.achieved = self._achieved()
        self.segments = SegmentOutputs(results.folder, group[1], group[2], group[3], metric=self.quality.metric)
        ok = self.runs[self.runs["status"] == "ok"]
        columns = [*LINE, "budget", "arm", "seed"]
        self._cells: dict[Point, list[Run]] = {}
        for method, line, budget, arm, seed in ok[columns].sort_values(columns).to_numpy(dtype=object):
            self._cells.setdefault(((method, line), int(budget)), []).append((arm, int(budget), int(seed)))

    def at(self, line: Line, budget: int) -> Point | None:
        """The point of a baseline that one of this budget is compared with; the unpruned model has its own."""
        own = [point for point in self.points if point[0] == line and (line == REFERENCE or point[1] == budget)]
        return own[0] if own else None

    def against(self, baseline: Line) -> list[Pair]:
        """Every other pruned line with this baseline."""
        found = []
        for system in self.points:
            other = self.at(baseline, system[1])
            if system[0] not in (baseline, REFERENCE) and other:
                found.append(Pair(system, other))
        return found

    def each_other(self, budget: int) -> list[Pair]:
        """Every two pruned lines at a budget."""
        own = [point for point in self.points if point[1] == budget and point[0] != REFERENCE]
        return [Pair(system, baseline) for baseline, system in combinations(own, 2)]

    def across(self, pair: Pair) -> Across:
        """The difference of a pair across the seeds that both have, at as many heads."""
        return across(self.worths.get(pair.system, {}), self.baseline(pair))

    def is_apart(self, pair: Pair) -> bool:
        """True where the two keep different numbers of heads; what prunes nothing does so by nature."""
        if REFERENCE in (pair.system[0], pair.baseline[0]):
            return False
        return apart(self.achieved.get(pair.system, {}), self.achieved.get(pair.baseline, {}))

    def adapted_of(self, system: Line, baseline: Line) -> Line | None:
        """The one of two pruned lines whose weights were trained with its mask, where those of the other were not."""
        adapted = [line for line in (system, baseline) if self.is_adapted(line)]
        return adapted[0] if len(adapted) == 1 and REFERENCE not in (system, baseline) else None

    def remarks(self, pair: Pair) -> list[str]:
        """Differences of two lines beside the heads that they choose: their number, and weights trained with them."""
        adapted = self.adapted_of(pair.system[0], pair.baseline[0])
        whose = "" if adapted == pair.system[0] else "baseline's "
        return [
            *["baseline at as many heads"] * self.is_apart(pair),
            *[f"{whose}weights trained with the mask"] * bool(adapted),
        ]

    def baseline(self, pair: Pair) -> dict[int, list[float]]:
        """The runs of the baseline by seed. Where the system keeps another number of heads, one value for each seed:
        the baseline's own at as many, between its budgets, the unpruned model the last of them; beyond them none."""
        if not self.is_apart(pair):
            return self.worths.get(pair.baseline, {})
        curves: dict[int, dict[float, float]] = {}
        for point in self.points:
            if point[0] in (pair.baseline[0], REFERENCE):
                for seed, value in self.values.get(point, {}).items():
                    curves.setdefault(seed, {})[self.achieved[point][seed]] = value
        wanted = self.achieved[pair.system]
        found = {seed: at_heads(curve, wanted[seed]) for seed, curve in curves.items() if seed in wanted}
        return {seed: [value] for seed, value in found.items() if not np.isnan(value)}

    @cached_property
    def freedoms(self) -> dict[Point, Freedom]:
        """The freedom of random twins by their point; nothing without twins or masks."""
        if not any(split_arm(line[1])[1] in TWINS for line, _ in self.points):
            return {}
        return freedoms(in_group(masks_of(self.results), self.group))

    def freedom(self, pair: Pair) -> Freedom | None:
        """The freedom of the twins where a pair is a mask and its own; None of all other pairs."""
        for mask, twin in ((pair.system, pair.baseline), (pair.baseline, pair.system)):
            if twin == (twin_of(mask[0]), mask[1]):
                return self.freedoms.get(twin)
        return None

    def is_bound(self, pair: Pair) -> bool:
        """True for a pair of a mask and its twins that have too little freedom to differ from it."""
        found = self.freedom(pair)
        return found is not None and found.little

    def outputs(self, pair: Pair, draws: int) -> PairedComparison | None:
        """The paired test of outputs over all seeds and draws that both have; None without segments, or of different
        numbers of heads.

        :param draws: swaps of the test where not all are made (`headprune.statistics.randomisation.draws_for`)
        """
        if not self.segments.exist or self.is_apart(pair):
            return None
        systems, baselines = (
            [run for run in self._cells.get(point, []) if self.segments.has(point[0][0], run)]
            for point in (pair.system, pair.baseline)
        )
        runs = [(ours, theirs) for ours in systems for theirs in baselines if ours[2] == theirs[2]]
        if not runs:
            return None
        ours, theirs = zip(*runs, strict=True)
        found = self.segments.compare(pair.system[0][0], ours, pair.baseline[0][0], theirs, draws)
        return replace(found, seeds=len({run[2] for run in ours}))

    def _worths(self) -> dict[Point, dict[int, list[float]]]:
        """The runs of every seed, one for each draw, on the scale of `values`."""
        found: dict[Point, dict[int, list[float]]] = {}
        known = self.runs.dropna(subset=["value"])
        for method, line, budget, seed, value in known[[*LINE, "budget", "seed", "value"]].to_numpy(dtype=object):
            own = found.setdefault(((method, line), int(budget)), {})
            own.setdefault(int(seed), []).append(float(self.quality.worth(value)))
        return found

    def _achieved(self) -> dict[Point, dict[int, float]]:
        """The number of heads that are kept, by seed; of several draws their mean."""
        known = self.runs.dropna(subset=["value"])
        means = known.groupby([*LINE, "budget", "seed"], sort=False)["heads_kept"].mean().reset_index()
        found: dict[Point, dict[int, float]] = {}
        for method, line, budget, seed, heads in means.to_numpy(dtype=object):
            found.setdefault(((method, line), int(budget)), {})[int(seed)] = float(heads)
        return found

    def flags(self, point: Point) -> tuple[str, ...]:
        """The remarks of the quality control; a method with random twins of its own masks is held against these.

        Twins with too little freedom are no control, and the remark is that.
        """
        line, budget = point
        treatment = split_arm(line[1])[1]
        twin = self.at(twin_of(line), budget) if not treatment else None
        freedom = self.freedoms.get(twin) if twin else None
        bound = freedom is not None and freedom.little
        random = None if bound else twin or self.at(RANDOM, budget)
        others = [self.values.get(other, {}) if other else {} for other in (random, self.at(REFERENCE, budget))]
        is_control = line == RANDOM or treatment == TWIN
        found = flags(self.values.get(point, {}), {} if is_control else others[0], others[1])
        heads = self.heads[point]
        off = () if np.isnan(heads) or heads == budget else (f"keeps {heads:.1f} heads",)
        return (*found, *off, *([str(freedom)] if bound else []))

    def normalised(self, point: Point) -> Estimate:
        """Mean quality with random heads at 0 and the unpruned model at 1, over the seeds that all three have."""
        points = (point, self.at(REFERENCE, point[1]), self.at(RANDOM, point[1]))
        three = [self.values.get(at, {}) if at else {} for at in points]
        seeds = sorted(set.intersection(*(set(values) for values in three)))
        own, top, bottom = ([values[seed] for seed in seeds] for values in three)
        return normalised_interval(own, top, bottom)
