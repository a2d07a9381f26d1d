"""Every arm against a baseline at the same number of heads: across seeds, on the outputs, corrected by family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from headprune.analysis.segments import Run, Segments
from headprune.analysis.tables import (
    GROUP,
    LINE,
    UNPRUNED,
    Line,
    Quality,
    Results,
    by_seed,
    in_group,
    label_of,
    outcomes,
    quality_of,
    seed_values,
    split_arm,
)
from headprune.statistics import Estimate, Family, PairedComparison
from headprune.statistics.normalised import flags, normalised_interval
from headprune.statistics.paired import significant
from headprune.statistics.paired import verdict as verdict_of_outputs
from headprune.statistics.seeds import ALPHA, Across, across, verdict

REFERENCE: Line = (UNPRUNED, "")
RANDOM: Line = ("random", "")
TWIN = "twin"  # treatment: random heads, as many of every module as the mask keeps
COLUMNS = [
    *GROUP,
    "family",
    "family_size",
    "method",
    "arm",
    "baseline",
    "budget",
    "metric",
    "value",
    "baseline_value",
    "normalised",
    "improvement",
    "unit",
    "low",
    "high",
    "n_seeds",
    "seeds",
    "seeds_left_out",
    "p_seeds",
    "p_seeds_holm",
    "p_floor",
    "p_floor_holm",
    "p_wilcoxon",
    "probability_of_improvement",
    "verdict",
    "outputs_improvement",
    "outputs_low",
    "outputs_high",
    "p_outputs",
    "p_outputs_holm",
    "outputs_test",
    "outputs_seeds",
    "segments",
    "segments_differing",
    "verdict_outputs",
    "without_result",
    "heads_kept",
    "flags",
]
Point = tuple[Line, int]


@dataclass(frozen=True)
class Pair:
    """A line and what it is compared with, each at its budget."""

    system: Point
    baseline: Point


class Study:
    """The seeds, outputs and flags of one (profile, track, dataset, model).

    :param quality: absent: the one that stands for the track
    :param test: of translations, see `Segments`
    """

    def __init__(
        self,
        results: Results,
        group: tuple[str, ...],
        quality: Quality | None = None,
        test: Literal["bs", "ar"] = "bs",
    ) -> None:
        cells = in_group(results.cells, group)
        self.group, self.quality = group, quality or quality_of(cells)
        self.runs = outcomes(cells, self.quality)
        raw = seed_values(by_seed(self.runs, self.quality))
        # On the scale on which the metric is compared, more is better: BLEU itself, minus the logarithm of perplexity.
        self.values = {
            at: {seed: float(self.quality.worth(value)) for seed, value in own.items()} for at, own in raw.items()
        }
        self.lost: dict[Point, int] = {}
        self.heads: dict[Point, float] = {}
        for (method, line, budget), part in self.runs.groupby([*LINE, "budget"]):
            at: Point = ((str(method), str(line)), int(str(budget)))
            self.lost[at], self.heads[at] = int(part["value"].isna().sum()), float(part["heads_kept"].mean())
        self.points = list(self.lost)
        self.segments = Segments(results.folder, group[1], group[2], group[3], metric=self.quality.metric, test=test)
        ok = self.runs[self.runs["status"] == "ok"]
        columns = [*LINE, "budget", "arm", "seed"]
        self._cells: dict[Point, list[Run]] = {}
        for method, line, budget, arm, seed in ok[columns].sort_values(columns).to_numpy(dtype=object):
            self._cells.setdefault(((method, line), int(budget)), []).append((arm, int(budget), int(seed)))

    def at(self, line: Line, budget: int) -> Point | None:
        """Where a baseline stands that a point of this budget is compared with; the unpruned model has its own."""
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
        return across(self.values.get(pair.system, {}), self.values.get(pair.baseline, {}))

    def outputs(self, pair: Pair) -> PairedComparison | None:
        """The paired test of outputs over all seeds and draws that both have; None without segments."""
        if not self.segments.exist:
            return None
        systems, baselines = (
            [run for run in self._cells.get(point, []) if self.segments.has(point[0][0], run)]
            for point in (pair.system, pair.baseline)
        )
        runs = [(ours, theirs) for ours in systems for theirs in baselines if ours[2] == theirs[2]]
        if not runs:
            return None
        ours, theirs = zip(*runs, strict=True)
        found = self.segments.compare(pair.system[0][0], ours, pair.baseline[0][0], theirs)
        return replace(found, seeds=len({run[2] for run in ours}))

    def flags(self, point: Point) -> tuple[str, ...]:
        """Of the quality control; a method with random twins of its own masks is held against these."""
        line, budget = point
        base, treatment = split_arm(line[1])
        twin = self.at((line[0], f"{base}+{TWIN}"), budget) if not treatment else None
        random = twin or self.at(RANDOM, budget)
        others = [self.values.get(other, {}) if other else {} for other in (random, self.at(REFERENCE, budget))]
        is_control = line == RANDOM or treatment == TWIN
        found = flags(self.values.get(point, {}), {} if is_control else others[0], others[1])
        heads = self.heads[point]
        missed = () if np.isnan(heads) or heads == budget else (f"keeps {heads:.1f} heads",)
        return (*found, *missed)

    def normalised(self, point: Point) -> Estimate:
        """Mean quality with random heads at 0 and the unpruned model at 1, over the seeds that all three have."""
        points = (point, self.at(REFERENCE, point[1]), self.at(RANDOM, point[1]))
        three = [self.values.get(at, {}) if at else {} for at in points]
        seeds = sorted(set.intersection(*(set(values) for values in three)))
        own, top, bottom = ([values[seed] for seed in seeds] for values in three)
        return normalised_interval(own, top, bottom)


def compare(
    results: Results, baselines: Sequence[Line] = (REFERENCE, RANDOM), pairs: bool = False, alpha: float = ALPHA
) -> pd.DataFrame:
    """One row per comparison, with the columns COLUMNS; improvement: positive is better, in BLEU or the like, of
    perplexity in nats per token: minus the difference of the logarithms. Means of perplexities are geometric.

    A family is all comparisons of one model with one baseline; with `pairs`, also all pairs of lines at one budget.
    p-values across seeds and those of outputs are corrected apart. A comparison with fewer than two common seeds has
    no test across seeds and does not count in the family.

    :param baselines: those that a group lacks are passed over
    """
    tables = []
    for group in results.groups():
        study = Study(results, group)
        name = ", ".join(part for part in group[1:] if part)
        for baseline in baselines:
            at = "" if baseline == REFERENCE else " at the same K"
            tables.append(
                family_rows(study, f"{name}: against {label_of(baseline)}{at}", study.against(baseline), alpha)
            )
        for budget in sorted({k for line, k in study.points if line != REFERENCE}, reverse=True) if pairs else ():
            tables.append(family_rows(study, f"{name}: all pairs at K = {budget}", study.each_other(budget), alpha))
    rows = [row for table in tables for row in table]
    return pd.DataFrame(rows, columns=COLUMNS)


def told_apart(study: Study, best: Point, others: Sequence[Point], alpha: float = ALPHA) -> dict[Point, bool]:
    """Whether each differs from the best: across seeds, or where their number cannot decide, on the outputs.

    Corrected by Holm, those across seeds and those of outputs apart. Outputs that differ in too few segments are not.
    """
    pairs = {other: Pair(other, best) for other in others}
    seeds = {other: study.across(pair) for other, pair in pairs.items()}
    family = Family.of(
        "across seeds",
        {other: found.p_value if found.difference.n > 1 else np.nan for other, found in seeds.items()},
        {other: found.p_floor for other, found in seeds.items()},
    )
    decidable = {other: family.floors[other] <= alpha for other in others}
    outputs = {other: None if decidable[other] else study.outputs(pair) for other, pair in pairs.items()}
    texts = Family.of("outputs", {other: found.p_value if found else np.nan for other, found in outputs.items()})

    def apart(other: Point) -> bool:
        found = outputs[other]
        if decidable[other]:
            return family.adjusted[other] <= alpha
        return found is not None and significant(texts.adjusted[other], found.differing, alpha)

    return {other: apart(other) for other in others}


def family_rows(study: Study, name: str, pairs: Sequence[Pair], alpha: float = ALPHA) -> list[dict[str, Any]]:
    """The rows, with the columns COLUMNS, of comparisons that are corrected together under a name."""
    seeds = {pair: study.across(pair) for pair in pairs}
    outputs = {pair: study.outputs(pair) for pair in pairs}
    tested = {pair: found.difference.n > 1 for pair, found in seeds.items()}
    family = Family.of(
        name,
        {pair: found.p_value if tested[pair] else np.nan for pair, found in seeds.items()},
        {pair: found.p_floor for pair, found in seeds.items()},
    )
    texts = Family.of(name, {pair: found.p_value if found else np.nan for pair, found in outputs.items()})
    rows = []
    for pair in pairs:
        n, differing = seeds[pair].difference.n, getattr(outputs[pair], "differing", np.nan)
        holm = {
            "family": name,
            "family_size": family.size or texts.size or len(pairs),
            "p_seeds": family.raw[pair],
            "p_seeds_holm": family.adjusted[pair],
            "p_floor": seeds[pair].p_floor,
            "p_floor_holm": family.floors[pair],
            "verdict": verdict(family.adjusted[pair], family.floors[pair], n, alpha),
            "p_outputs_holm": texts.adjusted[pair],
            "verdict_outputs": verdict_of_outputs(texts.adjusted[pair], differing, alpha),
        }
        rows.append(_row(study, pair, seeds[pair], outputs[pair]) | holm)
    return rows


def _row(study: Study, pair: Pair, seeds: Across, outputs: PairedComparison | None) -> dict[str, Any]:
    (line, budget), other = pair.system, pair.baseline[0]
    budget = pair.baseline[1] if line == REFERENCE else budget  # that of the pruned one
    values, references = (
        [study.values.get(p, {}).get(seed, np.nan) for seed in seeds.seeds] for p in (pair.system, pair.baseline)
    )
    means = [float(study.quality.value(np.mean(side))) if side else np.nan for side in (values, references)]
    row = dict(zip(GROUP, study.group, strict=True)) | {
        "method": line[0],
        "arm": line[1],
        "baseline": label_of(other),
        "budget": budget,
        "metric": study.quality.metric,
        "value": means[0],
        "baseline_value": means[1],
        "normalised": study.normalised(pair.system).value,
        "improvement": seeds.difference.value,
        "unit": study.quality.unit,
        "low": seeds.difference.low,
        "high": seeds.difference.high,
        "n_seeds": seeds.difference.n,
        "seeds": " ".join(map(str, seeds.seeds)),
        "seeds_left_out": " ".join(map(str, seeds.left_out)),
        "p_wilcoxon": seeds.wilcoxon if seeds.difference.n > 1 else np.nan,
        "probability_of_improvement": seeds.improvement.value,
        "without_result": study.lost[pair.system] + study.lost[pair.baseline],
        "heads_kept": study.heads[pair.system],
        "flags": "; ".join(study.flags(pair.system)),
    }
    if outputs:
        row |= {
            "outputs_improvement": outputs.difference,
            "outputs_low": outputs.low,
            "outputs_high": outputs.high,
            "p_outputs": outputs.p_value,
            "outputs_test": outputs.test,
            "outputs_seeds": outputs.seeds,
            "segments": outputs.segments,
            "segments_differing": outputs.differing,
        }
    return row
