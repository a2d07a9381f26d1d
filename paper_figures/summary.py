"""Every method in one line: its curve over budgets, its front, its rank, as summary.csv, .md and .tex.

python paper_figures/summary.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from captions import caption
from command import run
from common import Results, in_group
from families import line_label, ordered
from tabling import ABSENT, Column, write

from headprune.analysis.drawings import Table
from headprune.analysis.study import Study
from headprune.analysis.summary import ranking, summarise
from headprune.statistics.seeds import ALPHA

NAME = "summary"
TABLE = Table("Every method in one line: area under its curve, front, heads at 1 % and 5 % loss, mean rank.")
LINE_COLUMNS = ["method", "arm"]
SHOWN = {
    "area": "area",
    "iqm": "IQM",
    "hypervolume": "hypervolume",
    "k_at_1%_loss": "K at 1 %",
    "k_at_5%_loss": "K at 5 %",
}
COLUMNS = [
    Column("method", right=False),
    Column("budgets", right=False),
    Column("n"),
    *(Column(title) for title in SHOWN.values()),
    Column("beats random"),
    Column("rank"),
]
OPENING = (
    "Methods over all their budgets; qualities are shares of the unpruned model's of the same seed, of perplexities of "
    "their logarithms. Area under the "
    "quality curve from the smallest budget to all heads, over that span, so that methods are comparable with the "
    "same budgets only; interquartile mean over seeds and budgets; hypervolume of the front of quality against "
    "parameters (share of the unpruned model's square); number of heads at which the mean curve loses more than 1 % "
    "and 5 %, linear between budgets (the smallest budget where nothing is lost by then); probability that a run "
    "beats one of random heads at the same budget, of all pairs of runs. In brackets bootstrap intervals at 95 %, "
    "seeds drawn as blocks; of two or three seeds they are much too narrow, of one there is none. Bold: best of the "
    "methods with the usual budgets, without treated masks and what misses K by more than a head; no test. Mean rank "
    "among the same methods over seeds, by the mean over the budgets that most have. {ranks}"
)


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables."""
    table = summarise(results)
    sentences, sections = [], {}
    for group in results.groups():
        own = in_group(table, group)
        place = {line: i for i, line in enumerate(ordered(own[LINE_COLUMNS].itertuples(index=False, name=None)))}
        order = sorted(range(len(own)), key=lambda i, own=own, place=place: place[tuple(own.iloc[i][LINE_COLUMNS])])
        name = ", ".join(part for part in group[1:] if part)
        sections[name] = _rows(own.iloc[order]) if order else []
        sentences.append(f"{name}: {_friedman(results, group)}")
    opening = OPENING.format(ranks=" ".join(sentences))
    write(out_dir, NAME, table, COLUMNS, sections, caption(results, opening))


def _friedman(results: Results, group: tuple[str, ...]) -> str:
    found = ranking([Study(results, group)])
    if found is None:
        return "no ranks: Friedman's test needs three methods with three seeds."
    p = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
    return (
        f"Friedman χ² = {found.statistic:.2f}, {p}, {len(found.methods)} methods in {found.blocks} blocks; critical "
        f"difference of mean ranks (Nemenyi, α = {ALPHA:g}) {found.critical_difference:.2f}."
    )


def _rows(table: pd.DataFrame) -> list[list[str]]:
    common = table["budgets"] == table["budgets"].mode().iloc[0]  # others have curves of another span
    usual = table[common & table["competes"]]
    best = {name: usual[name].min() if name.startswith("k_at") else usual[name].max() for name in SHOWN}
    best["mean_rank"] = table["mean_rank"].min()
    rows = []
    for place, row in table.iterrows():
        rival = common[place] and row["competes"]
        texts = [_text(row, name, best[name] if rival else None) for name in SHOWN]
        rank = ABSENT if pd.isna(row["mean_rank"]) else f"{row['mean_rank']:.2f}"
        rank = f"**{rank}**" if row["mean_rank"] == best["mean_rank"] else rank
        label = line_label((row["method"], row["arm"]))
        lost = f", {row['without_result']} without a result" if row["without_result"] else ""
        rows.append([label, row["budgets"], f"{row['n_seeds']}{lost}", *texts, _text(row, "beats_random", None), rank])
    return rows


def _text(row: Any, name: str, best: float | None) -> str:
    """`0.81 [0.76, 0.85]`, the best in bold."""
    if pd.isna(row[name]):
        return ABSENT
    digits = 1 if name.startswith("k_at") else 2
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    text = f"{row[name]:.{digits}f}" + ("" if pd.isna(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")
    text = text.replace("-", "−")
    return f"**{text}**" if best is not None and f"{row[name]:.{digits}f}" == f"{best:.{digits}f}" else text


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
