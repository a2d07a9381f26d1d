"""One line of numbers per method: its whole curve over budgets, its front, its rank."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from headprune.analysis.evidence import Evidence
from headprune.analysis.study import RANDOM, REFERENCE, Study, competes
from headprune.analysis.tables import GROUP, Line, Results
from headprune.statistics import Estimate
from headprune.statistics.blocks import iqm_interval, probability_of_improvement
from headprune.statistics.frontiers import area_interval, budget_at_loss_interval, hypervolume_interval
from headprune.statistics.ranks import Ranks, friedman

LOSSES = (0.01, 0.05)
COST = "parameters"
LEAST_SEEDS = 3  # of every model that is ranked
MEASURES = ["area", "iqm", "hypervolume", *(f"k_at_{loss:.0%}_loss" for loss in LOSSES), "beats_random"]
COLUMNS = [
    *GROUP,
    "method",
    "arm",
    "budgets",
    "n_seeds",
    "without_result",
    "competes",
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")),
    "mean_rank",
    "rank_blocks",
]


def summarise(results: Results) -> pd.DataFrame:
    """One row per pruned line of every model, with the columns COLUMNS; qualities are shares of the unpruned one.

    area: under the curve over the share of heads kept, from the line's smallest budget to all heads, over that span.
    iqm: interquartile mean over seeds and budgets. hypervolume: of the front against `parameters`, as a share of the
    unpruned model's. k_at_1%_loss: heads at which the curve loses more than 1 %. beats_random: probability that a run
    beats a run of random heads at the same budget. mean_rank: over seeds, see `ranking`.
    competes: for the best, being neither treated nor off K by more than a head at any budget.
    """
    rows = []
    for group in results.groups():
        evidence = Evidence(results, group)
        ranks = ranking([evidence.study])
        places = dict(zip(ranks.methods, ranks.mean_ranks.tolist(), strict=True)) if ranks else {}
        blocks = ranks.blocks if ranks else None
        for line in sorted({line for line, _ in evidence.study.points} - {REFERENCE}):
            row = dict(zip(GROUP, group, strict=True)) | _row(evidence, line)
            rows.append(row | {"mean_rank": places.get(line), "rank_blocks": blocks if line in places else None})
    return pd.DataFrame(rows, columns=COLUMNS)


def curve(evidence: Evidence, line: Line) -> pd.DataFrame:
    """Share of the unpruned quality, a row per budget and a column per seed, the unpruned model last."""
    points = {k: evidence.quality(line, k) for k in evidence.budgets(line, (0, 1))}
    points = {k: own for k, own in sorted(points.items()) if own}
    table = pd.DataFrame(points).T.sort_index(axis=1) if points else pd.DataFrame()
    if len(table) and evidence.n_heads not in table.index:
        table.loc[evidence.n_heads] = 1.0
    return table


def ranking(studies: list[Study]) -> Ranks | None:
    """Friedman and Nemenyi over blocks of (model, seed), of the lines that have every block; None where too few do.

    What is ranked in a block is the mean over the budgets that the most lines of the model share: budgets of one seed
    share its trainings, and are no blocks of their own. Treated masks, the unpruned model, and lines that miss one of
    these budgets by more than a head are left out. Every model needs three seeds.
    """
    blocks: list[dict[Line, float]] = []
    for study in studies:
        means = _means(study)
        shared = max((len(own) for own in means.values()), default=0)
        own = [means[seed] for seed in sorted(means) if len(means[seed]) > shared / 2]
        if len(own) < LEAST_SEEDS:
            return None
        blocks += own
    lines = sorted(set.intersection(*map(set, blocks))) if blocks else []
    return friedman([[own[line] for line in lines] for own in blocks], lines) if len(lines) >= 3 else None


def _means(study: Study) -> dict[int, dict[Line, float]]:
    """The mean of every line over the budgets that the most lines share, by seed."""
    found: dict[int, dict[Line, list[float]]] = {}
    competing = {at: own for at, own in study.values.items() if competes(at[0]) and at not in study.missed}
    sizes = Counter(budget for _, budget in competing)
    budgets = [budget for budget, size in sizes.items() if size > max(sizes.values()) / 2]
    for (line, budget), values in competing.items():
        for seed, value in values.items():
            if budget in budgets:
                found.setdefault(seed, {}).setdefault(line, []).append(value)
    return {
        seed: {line: float(np.mean(values)) for line, values in own.items() if len(values) == len(budgets)}
        for seed, own in found.items()
    }


def _row(evidence: Evidence, line: Line) -> dict[str, Any]:
    table = curve(evidence, line)
    own = [k for k in table.index if k != evidence.n_heads]
    row: dict[str, Any] = {
        "method": line[0],
        "arm": line[1],
        "budgets": " ".join(map(str, own)),
        "n_seeds": table.shape[1],
        "competes": competes(line) and not any(point[0] == line for point in evidence.study.missed),
        "without_result": sum(n for (other, _), n in evidence.study.lost.items() if other == line),
    }
    if not own:
        return row
    heads, shares = table.index.to_numpy(dtype=float), table.to_numpy(dtype=float)
    rows = table.loc[own].to_numpy(dtype=float)
    found = {"area": area_interval(heads / evidence.n_heads, shares), "iqm": iqm_interval(list(rows))}
    costs = pd.DataFrame({k: evidence.cost(COST, line, k) for k in own}).T.reindex(index=own, columns=table.columns)
    found["hypervolume"] = hypervolume_interval(costs.to_numpy(dtype=float), rows, (1, 0))
    for loss in LOSSES:
        found[f"k_at_{loss:.0%}_loss"] = budget_at_loss_interval(heads, shares, loss)
    if line != RANDOM and (wins := _beats_random(evidence.study, line)):
        found["beats_random"] = wins
    for name, estimate in found.items():
        row |= _columns(name, estimate)
    return row


def _beats_random(study: Study, line: Line) -> Estimate | None:
    """The probability that a run beats a run of random heads at the same budget, by the runs of all seeds."""
    runs = [(study.worths[point], study.worths.get((RANDOM, point[1]))) for point in study.worths if point[0] == line]
    both = [(ours, theirs) for ours, theirs in runs if theirs]
    seeds = sorted({seed for pair in both for own in pair for seed in own})
    ours, theirs = ([[own[side].get(seed, []) for seed in seeds] for own in both] for side in (0, 1))
    return probability_of_improvement(ours, theirs) if both else None


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
