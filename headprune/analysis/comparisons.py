"""Every arm against a baseline at the same number of heads: across seeds, on the outputs, corrected by family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from headprune.analysis.study import RANDOM, REFERENCE, Pair, Point, Study
from headprune.analysis.tables import GROUP, Line, Results, label_of
from headprune.statistics import Family, PairedComparison
from headprune.statistics.best import least_p_of_best, may_be_best
from headprune.statistics.paired import verdict as verdict_of_outputs
from headprune.statistics.randomisation import draws_for
from headprune.statistics.seeds import ALPHA, Across, crossed_p, verdict

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
    "p_both",
    "p_both_holm",
    "verdict_both",
    "twins_share",
    "twins_expected",
    "twins_masks",
    "outputs_improvement",
    "outputs_low",
    "outputs_high",
    "p_outputs",
    "p_outputs_holm",
    "p_outputs_floor",
    "p_outputs_floor_holm",
    "outputs_test",
    "outputs_draws",
    "outputs_seeds",
    "segments",
    "segments_differing",
    "verdict_outputs",
    "without_result",
    "heads_kept",
    "flags",
]

DIFFERENCE = ("improvement", "low", "high", "p_floor", "p_wilcoxon", "probability_of_improvement")


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


def may_be_the_best(study: Study, points: Sequence[Point], alpha: float = ALPHA) -> set[Point] | None:
    """The points that may be the best of several at a confidence of 1 − α, over the seeds that all of them have.

    Points of too few seeds to be left out take no part.

    :returns: None where all have too few seeds in common to leave any out, or the set lacks the best mean
    """
    means = {point: float(np.mean(list(own.values()))) for point in points if (own := study.values.get(point))}
    values = {point: study.values[point] for point in means if least_p_of_best(len(study.values[point])) <= alpha}
    seeds = sorted(set.intersection(*map(set, values.values()))) if values else []
    found = may_be_best([[own[seed] for own in values.values()] for seed in seeds], alpha) if seeds else None
    best = set() if found is None else {point for point, is_best in zip(values, found, strict=True) if is_best}
    return best if best and max(means, key=means.__getitem__) in best else None


def family_rows(
    study: Study, name: str, pairs: Sequence[Pair], alpha: float = ALPHA, wider: Sequence[Pair] = ()
) -> list[dict[str, Any]]:
    """The rows, with the columns COLUMNS, of comparisons that are corrected together under a name.

    A mask and twins that have too little freedom to differ from it are not compared: the verdict says why.

    :param wider: of p across seeds, a family that these comparisons are part of; absent: themselves
    """
    seeds = {pair: study.across(pair) for pair in wider or pairs}
    draws = draws_for(len(pairs), alpha)
    outputs = {pair: None if study.is_bound(pair) else study.outputs(pair, draws) for pair in pairs}
    tested = {pair: found.difference.n > 1 and not study.is_bound(pair) for pair, found in seeds.items()}
    family = Family.of(
        name,
        {pair: found.p_value if tested[pair] else np.nan for pair, found in seeds.items()},
        {pair: found.p_floor for pair, found in seeds.items()},
    )
    texts = Family.of(
        name,
        {pair: found.p_value if found else np.nan for pair, found in outputs.items()},
        {pair: found.p_floor for pair, found in outputs.items() if found},
    )
    both = Family.of(
        name,
        {pair: _both(seeds[pair], outputs[pair]) if tested[pair] else np.nan for pair in pairs},
        {pair: seeds[pair].p_floor for pair in pairs},
    )
    rows = []
    for pair in pairs:
        own = {"family": name, "family_size": family.size or texts.size}
        own |= _row(study, pair, seeds[pair], outputs[pair])
        own |= _across(pair, seeds[pair], family, both, alpha) | _of_texts(pair, outputs[pair], texts, alpha)
        rows.append(own | _of_twins(study, pair))
    return rows


def _across(pair: Pair, seeds: Across, family: Family, both: Family, alpha: float) -> dict[str, Any]:
    """The columns of other trainings, on this test set and on other sentences."""
    n = seeds.difference.n
    crossed = verdict(both.adjusted[pair], both.floors[pair], n, alpha)
    return {
        "p_seeds": family.raw[pair],
        "p_seeds_holm": family.adjusted[pair],
        "p_floor": seeds.p_floor,
        "p_floor_holm": family.floors[pair],
        "verdict": verdict(family.adjusted[pair], family.floors[pair], n, alpha),
        "p_both": both.raw[pair],
        "p_both_holm": both.adjusted[pair],
        "verdict_both": "" if np.isnan(both.raw[pair]) else crossed,
    }


def _of_texts(pair: Pair, outputs: PairedComparison | None, texts: Family, alpha: float) -> dict[str, Any]:
    """The columns of these models on other sentences, as corrected."""
    differing = outputs.differing if outputs else np.nan
    return {
        "p_outputs_holm": texts.adjusted[pair],
        "p_outputs_floor_holm": texts.floors[pair],
        "verdict_outputs": verdict_of_outputs(texts.adjusted[pair], texts.floors[pair], differing, alpha),
    }


def _both(seeds: Across, outputs: PairedComparison | None) -> float:
    """p of other trainings on other sentences; NaN where not every seed of the difference has outputs."""
    if outputs is None or outputs.seeds != seeds.difference.n:
        return np.nan
    return crossed_p(seeds.differences, outputs.variance, outputs.segments)


def _row(study: Study, pair: Pair, seeds: Across, outputs: PairedComparison | None) -> dict[str, Any]:
    (line, budget), other = pair.system, pair.baseline[0]
    budget = pair.baseline[1] if line == REFERENCE else budget  # that of the pruned one
    values = [study.values.get(pair.system, {}).get(seed, np.nan) for seed in seeds.seeds]
    own = study.baseline(pair)
    references = [float(np.mean(own[seed])) if seed in own else np.nan for seed in seeds.seeds]
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
        "flags": "; ".join([*study.flags(pair.system), *study.remarks(pair)]),
    }
    return row | (_of_outputs(outputs) if outputs else {})


def _of_twins(study: Study, pair: Pair) -> dict[str, Any]:
    """The columns of a row that tell of random twins; with too little freedom in the place of all that compares."""
    found = study.freedom(pair)
    if found is None:
        return {}
    told = {"twins_share": found.shared, "twins_expected": found.expected, "twins_masks": str(found.masks)}
    if not found.little:
        return told
    verdicts = {"verdict": str(found), "verdict_both": "", "verdict_outputs": ""}
    return told | dict.fromkeys(DIFFERENCE, float("nan")) | verdicts


def _of_outputs(found: PairedComparison) -> dict[str, Any]:
    """The columns of a row that tell of the paired test of outputs."""
    return {
        "outputs_improvement": found.difference,
        "outputs_low": found.low,
        "outputs_high": found.high,
        "p_outputs": found.p_value,
        "p_outputs_floor": found.p_floor,
        "outputs_test": found.test,
        "outputs_draws": found.resamples,
        "outputs_seeds": found.seeds,
        "segments": found.segments,
        "segments_differing": found.differing,
    }
