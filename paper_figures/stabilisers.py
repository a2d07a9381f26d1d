"""The worth of each stabiliser of the layer-wise pruner: the whole method against itself without one of them.

Writes stabilisers.csv, .md and .tex: at every budget test perplexity and its difference to the whole method, seed by
seed; along the sweep the heads that a penalty leaves.

python paper_figures/stabilisers.py RESULTS_DIR OUT_DIR
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from captions import caption
from command import run
from common import LEAST, Line, Results, in_group, read_trials, spread
from numpy.typing import ArrayLike
from tabling import ABSENT, Column, write

from headprune.analysis.drawings import Table
from headprune.analysis.quality import Quality, of_track
from headprune.analysis.study import Pair, Study
from headprune.statistics import Family
from headprune.statistics.seeds import ALPHA, verdict

NAME = "stabilisers"
TABLE = Table(
    "Layer-wise pruning with each of its stabilisers and without it.", needs=("arms:layerwise_l0",), target="figures"
)
HEADS = Quality("heads_kept", "heads kept", digits=1, span=(0.0, float("inf")))
METHOD, WHOLE = "layerwise_l0", "continued"
ARMS = {
    WHOLE: "all three",
    "no_warmup": "without the growing penalty",
    "no_initialisation": "without open gates at the start",
    "no_scaling": "without scaling what is left",
}
COLUMNS = [
    Column("", right=False),
    Column("at"),
    Column("n"),
    Column("heads kept"),
    Column("perplexity"),
    Column("worse by"),
    Column("verdict", right=False),
]
KEYS = ["model", "arm", "at", "n_seeds", "heads_kept", "heads_low", "heads_high"]
KEYS += ["perplexity", "perplexity_low", "perplexity_high", "heads_text", "perplexity_text"]
KEYS += ["worse", "low", "high", "p_seeds", "p_seeds_holm", "verdict"]
OPENING = (
    "The layer-wise pruner with its three stabilisers (Shim et al. 2021) and without each. Above: test perplexity at "
    "budget K of the training that came nearest to it. Below: heads left and validation perplexity of every training "
    "of the sweep that has several seeds. Means over seeds, of perplexity geometric, in brackets with three seeds the "
    "95 % t interval (of the logarithm), with two both values. Worse by: mean difference of log-perplexity to the "
    "whole method with the same seeds, nats per token, and its 95 % t interval; verdict across seeds, Holm over the "
    "budgets of an arm. An arm "
    "that keeps more heads has it easier: compare where the counts are close."
)
NOTHING = "No ablation in these results: it needs the arm `continued` of layerwise_l0 and another one."


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables; where there is nothing to compare, tables that say so."""
    results = results.untreated()
    results = results.only([line for line in results.lines() if line[0] == METHOD])
    rows = [row for group in results.groups() for row in (*at_budgets(results, group), *along_sweep(results, group))]
    sections: dict[str, list[list[str]]] = {}
    for row in rows:
        part = "budgets" if row["at"].startswith("K") else "sweep"
        sections.setdefault(f"{row['model']}, {part}", []).append(_text(row))
    text = caption(results, OPENING) if rows else NOTHING + "\n"
    write(out_dir, NAME, pd.DataFrame(rows, columns=KEYS), COLUMNS, sections, text)


def arms_of(results: Results, group: tuple[str, ...]) -> list[str]:
    """The arms that are compared, the whole method first; none without it."""
    cells = in_group(results.cells, group)
    found = set(cells.loc[cells["method"] == METHOD, "line"])
    others = [arm for arm in (*ARMS, *sorted(found - set(ARMS))) if arm in found]
    return others if WHOLE in found and len(others) > 1 else []


def at_budgets(results: Results, group: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Every arm at every budget that has a result; the budgets of an arm are a family."""
    study = Study(results, group)
    budgets = sorted({k for line, k in study.points if line[0] == METHOD}, reverse=True)
    verdicts = {arm: _verdicts(study, (METHOD, arm), budgets) for arm in arms_of(results, group)}
    for budget in budgets:
        for arm, found in verdicts.items():
            values = study.values.get(((METHOD, arm), budget), {})
            if not values:
                continue
            row = {"model": group[3], "arm": arm, "at": f"K = {budget}", "n_seeds": len(values)}
            heads = study.heads[(METHOD, arm), budget]
            row |= {"heads_kept": heads, "heads_text": f"{heads:.1f}"}
            row |= _interval("perplexity", study.quality.value(list(values.values())), study.quality)
            yield row | found.get(budget, {})


def _verdicts(study: Study, line: Line, budgets: Sequence[int]) -> dict[int, dict[str, Any]]:
    """An arm against the whole method, by budget; nothing for the whole method itself."""
    if line == (METHOD, WHOLE):
        return {}
    tests = {k: study.across(Pair((line, k), ((METHOD, WHOLE), k))) for k in budgets if (line, k) in study.values}
    family = Family.of(
        line[1],
        {k: found.p_value if found.difference.n > 1 else np.nan for k, found in tests.items()},
        {k: found.p_floor for k, found in tests.items()},
    )
    rows = {}
    for k, found in tests.items():
        change = found.difference
        rows[k] = {"worse": -change.value, "low": -change.high, "high": -change.low, "n_pairs": change.n}
        rows[k] |= {"p_seeds": found.p_value, "p_seeds_holm": family.adjusted[k]}
        rows[k]["verdict"] = verdict(family.adjusted[k], family.floors[k], change.n, ALPHA)
    return rows


def along_sweep(results: Results, group: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Every arm at every penalty that several seeds were trained with."""
    trials = read_trials(results.folder)
    trials = trials[(trials["profile"] == group[0]) & (trials["model"] == group[3]) & (trials["method"] == METHOD)]
    for arm in arms_of(results, group):
        own = trials[trials["label"] == f"{METHOD}.{arm}"]
        for coefficient, part in own.groupby("coefficient"):
            if len(part) > 1:
                row = {"model": group[3], "arm": arm, "at": f"λ = {coefficient:g}", "n_seeds": len(part)}
                row |= _interval("heads", part["heads_kept"], HEADS)
                yield row | _interval("perplexity", part["perplexity"], of_track(group[1]))


def _interval(name: str, values: ArrayLike, quality: Quality) -> dict[str, Any]:
    """Mean, interval and text of a column."""
    array = np.asarray(values, dtype=float)
    found = quality.estimate(array)
    key = "heads_kept" if name == "heads" else name
    ends = {f"{name}_low": found.low, f"{name}_high": found.high}
    return {key: found.value, f"{name}_text": spread(array.tolist(), quality)} | ends


def _text(row: dict[str, Any]) -> list[str]:
    worse = ABSENT
    if "worse" in row:
        interval = (
            f" [{row['low']:+.3f}, {row['high']:+.3f}]" if pd.notna(row["low"]) and row["n_pairs"] >= LEAST else ""
        )
        worse = f"{row['worse']:+.3f}{interval}".replace("-", "−")
    numbers = [row["heads_text"], row["perplexity_text"]]
    return [
        ARMS.get(row["arm"], row["arm"]),
        row["at"],
        f"{row['n_seeds']}",
        *numbers,
        worse,
        row.get("verdict", ABSENT),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
