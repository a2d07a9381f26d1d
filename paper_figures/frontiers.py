"""The methods that reach the best quality at each cost, as frontiers.csv, .md and .tex.

python paper_figures/frontiers.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from captions import caption
from command import run
from common import GROUP, Results
from families import line_label
from tabling import Column, write

from headprune.analysis.drawings import Table
from headprune.analysis.fronts import fronts
from headprune.analysis.updates import TOTAL

NAME = "frontiers"
TABLE = Table("Fronts of quality against six costs, and their hypervolumes.")
TITLES = {
    "heads": "heads kept (share of all)",
    "parameters": "parameters (share of the unpruned model's)",
    "macs_per_token": "multiply-accumulates a token (share of the unpruned model's)",
    "latency_ms": "measured latency (share of the unpruned model's)",
    "pruning": "cost of pruning (thousand sentences through whole models)",
    TOTAL: "total updates (share of the unpruned model's)",
}
COLUMNS = [
    Column("method", right=False),
    Column("K"),
    Column("cost"),
    Column("quality [band]"),
    Column("on the front"),
    Column("n"),
]
OPENING = (
    "Pareto fronts of quality (share of the unpruned model's of the same seed, of perplexities of their logarithms) "
    "against cost, over all methods without treatment: the points on the front through the means over n seeds, by "
    "rising cost. In brackets a bootstrap band of the front at that cost, 95 %, seeds drawn as blocks; of two or three "
    "seeds it is much too narrow, of one there is none. On the front: share of the draws in which the point is. "
    "Hypervolume: area below the front as a share of the unpruned model's rectangle, or that of the dearest point "
    "where it costs more. Total updates: of the model that the method starts from, of finding the mask, in a search "
    "those of its sweep and of what this K added, and of all trials of a tuning; not of trainings that failed."
)


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables."""
    table = fronts(results)
    sections: dict[str, list[list[str]]] = {}
    for (*group, cost), own in table.groupby([*GROUP, "cost"], sort=False):
        sections[_heading(own.iloc[0], group, str(cost))] = [_cells(row) for row in own.itertuples(index=False)]
    lost = table.drop_duplicates([*GROUP, "cost"])
    known = set(lost[[*GROUP, "cost"]].itertuples(index=False, name=None))
    absent = [(group[3], TITLES[cost]) for group in results.groups() for cost in TITLES if (*group, cost) not in known]
    notes = [
        f"{row.without_cost} runs with a quality lack {row.cost}: {row.model}."
        for row in lost.itertuples(index=False)
        if row.without_cost
    ]
    notes += [f"No run of {model} has {title.partition(' (')[0]}: that front is absent." for model, title in absent]
    write(out_dir, NAME, table, COLUMNS, sections or {"": []}, caption(results, OPENING, notes))


def _heading(first: pd.Series, group: Sequence[Any], cost: str) -> str:
    low, high = first["hypervolume_low"], first["hypervolume_high"]
    interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
    name = ", ".join(part for part in group[1:] if part)
    return f"{name}: {TITLES[cost]}; hypervolume {first['hypervolume']:.3f}{interval}"


def _cells(row: Any) -> list[str]:
    band = "" if pd.isna(row.low) else f" [{row.low:.3f}, {row.high:.3f}]"
    return [
        line_label((row.method, row.arm)),
        f"{row.budget}",
        f"{row.at:.3f}" if row.cost != "pruning" else f"{row.at:.4g}",
        f"{row.quality:.3f}{band}".replace("-", "−"),
        "–" if pd.isna(row.on_front) else f"{row.on_front:.0%}".replace("%", " %"),
        f"{row.n_seeds}",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_times=True)


if __name__ == "__main__":
    sys.exit(main())
