"""Heads that stay open against the penalty: every training of a search, beside what papers report for the same set.

python paper_figures/heads_by_penalty.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from captions import write_caption
from command import run
from common import EmptyError, Line, Results, group_label, in_group, read_trials
from families import line_label
from looks import SINGLE, Look, legend_outside, looks, save, styled
from matplotlib.axes import Axes
from penalty_frontier import NOTHING, of_group, searched
from reported import draw_counts, reported_counts

from headprune.analysis.drawings import Drawing

NAME = "heads_by_penalty"
FIGURE = Drawing("Heads kept against the penalty of methods that do not choose a count.", needs=("trials",))
OPENING = (
    "Heads kept against the penalty λ: one point per training of a search, at the heads that its gates left open; "
    "lines join the means of the trainings at each λ."
)
UNPENALISED = "{} without a penalty, which has no place on the axis, kept {} heads."
PAPERS = "Hollow: what {} reports for the same set, with {}: {} values ({})."


def draw(results: Results, out_dir: Path) -> None:
    """Draw one panel per group with trials; say so where there are none."""
    trials = read_trials(results.folder)
    if results.asked:
        trials = trials[[line in results.lines() for line in _lines(trials)]]
    found = [(group, of_group(trials, group)) for group in results.groups()]
    found = [(group, rows) for group, rows in found if not rows.empty]
    if not found:
        raise EmptyError(NAME, NOTHING)
    notes = []
    with styled():
        figure, grid = plt.subplots(len(found), 1, figsize=(SINGLE, 2.6 * len(found)), squeeze=False)
        for ax, (group, rows) in zip(grid[:, 0], found, strict=True):
            n_heads = in_group(results.cells, group)["n_heads"].max()
            draw_trials(ax, rows, looks(list(searched(rows))))
            papers = reported_counts(results, group)
            draw_counts(ax, papers)
            for (source, model, mark), part in papers.groupby(["source", "model", "mark"], sort=False):
                notes.append(PAPERS.format(source, model, len(part), mark))
            ax.set_title(group_label(results, group), loc="left")
            ax.set(xscale="log", ylim=(0, 1.05 * n_heads))
            ax.set(xlabel="penalty λ", ylabel=f"heads kept (of {n_heads:g})")
        legend_outside(figure, list(grid.flat), columns=2)
        save(figure, out_dir, NAME)
    rows = pd.concat([rows for _, rows in found])
    free = rows.loc[rows["coefficient"] == 0, "heads_kept"]
    if len(free):
        notes.insert(0, UNPENALISED.format(len(free), ", ".join(f"{kept:g}" for kept in sorted(set(free)))))
    write_caption(results, out_dir, NAME, OPENING, notes, with_metric=False)


def draw_trials(ax: Axes, trials: pd.DataFrame, palette: dict[Line, Look]) -> None:
    """The trainings of every arm, and their means over λ."""
    for line, own in searched(trials[trials["coefficient"] > 0]).items():
        look = palette[line]
        mean = own.groupby("coefficient")["heads_kept"].mean()
        ax.plot(mean.index, mean, color=look.color, linewidth=0.8, zorder=2)
        style = {"color": look.color, "marker": look.marker, "s": 16, "edgecolors": "white", "linewidths": 0.4}
        ax.scatter(own["coefficient"], own["heads_kept"], label=line_label(line), zorder=3, **style)


def _lines(trials: pd.DataFrame) -> list[Line]:
    pairs = zip(trials["method"], trials["label"], strict=True)
    return [(method, str(label).partition(".")[2]) for method, label in pairs]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
