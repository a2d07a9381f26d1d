"""One line of numbers per method: its whole curve over budgets, its front, its rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from headprune.analysis.evidence import Evidence
from headprune.analysis.study import RANDOM, REFERENCE, Study
from headprune.analysis.tables import GROUP, Line, Results
from headprune.statistics import Estimate
from headprune.statistics.frontiers import area_interval, budget_at_loss_interval, hypervolume_interval
from headprune.statistics.ranks import Ranks, friedman
from headprune.statistics.seeds import iqm_interval, probability_of_improvement

LOSSES = (0.01, 0.05)
COST = "parameters"
MEASURES = ["area", "iqm", "hypervolume", *(f"k_at_{loss:.0%}_loss" for loss in LOSSES), "beats_random"]
COLUMNS = [
    *GROUP,
    "method",
    "arm",
    "budgets",
    "n_seeds",
    "without_result",
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")),
    "mean_rank",
    "rank_blocks",
]


def summarise(results: Results) -> pd.DataFrame:
    """One row per pruned line of every model, with the columns COLUMNS; qualities are shares of the unpruned one.

    area: under the curve over the share of heads kept, from the line's smallest budget to all heads, over that span.
    iqm: interquartile mean over seeds and budgets. hypervolume: of the front against `parameters`, as a share of the
    unpruned model's. k_at_1%_loss: heads at which the curve loses more than 1 %. beats_random: probability that a run
    beats a run of random heads at the same budget. mean_rank: among the lines that have every budget, over budgets.
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
    """Friedman and Nemenyi over (track, budget) blocks, of the lines that have every block; None where too few do.

    The blocks are the budgets of each study that the most lines share; seeds are averaged before.
    """
    blocks: dict[tuple[int, int], dict[Line, float]] = {}
    for number, study in enumerate(studies):
        for (line, budget), values in study.values.items():
            if line != REFERENCE:
                blocks.setdefault((number, budget), {})[line] = float(np.mean(list(values.values())))
    most = max((len(own) for own in blocks.values()), default=0)
    full = [own for _, own in sorted(blocks.items()) if len(own) > most / 2]
    lines = sorted(set.intersection(*(set(own) for own in full))) if full else []
    if len(lines) < 3 or len(full) < 2:
        return None
    return friedman([[own[line] for line in lines] for own in full], lines)


def _row(evidence: Evidence, line: Line) -> dict[str, Any]:
    table = curve(evidence, line)
    own = [k for k in table.index if k != evidence.n_heads]
    row: dict[str, Any] = {
        "method": line[0],
        "arm": line[1],
        "budgets": " ".join(map(str, own)),
        "n_seeds": table.shape[1],
        "without_result": sum(n for (other, _), n in evidence.study.lost.items() if other == line),
    }
    if not own:
        return row
    heads, shares = table.index.to_numpy(dtype=float), table.to_numpy(dtype=float)
    strata = [values[~np.isnan(values)] for values in table.loc[own].to_numpy(dtype=float)]
    found = {"area": area_interval(heads / evidence.n_heads, shares), "iqm": iqm_interval(strata)}
    costs = pd.DataFrame({k: evidence.cost(COST, line, k) for k in own}).T.reindex(index=own, columns=table.columns)
    found["hypervolume"] = hypervolume_interval(
        costs.to_numpy(dtype=float), table.loc[own].to_numpy(dtype=float), (1, 0)
    )
    for loss in LOSSES:
        found[f"k_at_{loss:.0%}_loss"] = budget_at_loss_interval(heads, shares, loss)
    random = {k: list(evidence.quality(RANDOM, k).values()) for k in own}
    both = [(list(evidence.quality(line, k).values()), random[k]) for k in own if random[k]]
    if both and line != RANDOM:
        found["beats_random"] = probability_of_improvement([a for a, _ in both], [b for _, b in both])
    for name, estimate in found.items():
        row |= _columns(name, estimate)
    return row


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
