"""Expected validation loss of the best of so many trials, and of so many passes: which methods are cheap to tune.

python paper_figures/tuning_curves.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from captions import write_caption
from command import run
from common import EmptyError, Line, Results, group_label
from families import line_label, ordered
from looks import DOUBLE, Look, legend_outside, looks, save, styled
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray
from pages import fitting, selection_note

from headprune.analysis.drawings import Drawing
from headprune.analysis.tables import line_of
from headprune.analysis.tuning import by_trial, expected_loss, read_tuning
from headprune.tasks import examples_of

NAME = "tuning_curves"
FIGURE = Drawing("Validation loss of the best of so many trials: which methods are cheap to tune.", needs=("tuning",))
MOST = 8  # methods
OPENING = (
    "Validation loss of pruned models by the effort of tuning: the expected loss of the best of n trials, drawn with "
    "replacement from all trials of a method (Dodge et al. 2019). Left: by n; open markers at 0: the method's own "
    "values, untuned, unless they failed. Right: the same by the passes that n trials take on average, forward and "
    "backward; markers at the same n. A trial that failed counts as the worst that did not. {trials}"
)
NOTHING = "No tuning in these results: tuning.csv is absent or holds no trial that has a result."


@dataclass(frozen=True)
class Row:
    """The tuned entries of one group that are shown: their trials in order, by line."""

    group: tuple[str, ...]
    trials: dict[Line, pd.DataFrame]
    every: int  # entries there were


def draw(results: Results, out_dir: Path) -> None:
    """Draw two panels per group; say so where nothing was tuned."""
    results = results.untreated()
    table = by_trial(read_tuning(results.folder))
    rows = [row for group in results.groups() if (row := row_of(results, group, table)).trials]
    if not rows:
        raise EmptyError(NAME, NOTHING)
    palette = looks({line for row in rows for line in row.trials})
    with styled():
        figure, grid = plt.subplots(len(rows), 2, figsize=(DOUBLE, 2.3 * len(rows)), squeeze=False, sharey="row")
        for (left, right), row in zip(grid, rows, strict=True):
            draw_group(left, right, row, palette)
            left.set_title(group_label(results, row.group), loc="left")
        legend_outside(figure, list(grid.flat), columns=4)
        save(figure, out_dir, NAME)
    notes = [note for row in rows for note in selection_note(len(row.trials), row.every)]
    opening = OPENING.format(trials=" ".join(sentence(results, row) for row in rows))
    shown = {line for row in rows for line in row.trials}
    write_caption(results.only(shown), out_dir, NAME, opening, notes, with_metric=False)


def row_of(results: Results, group: tuple[str, ...], table: pd.DataFrame) -> Row:
    """The entries of a group of which a trial has a result, as many as there is room for."""
    own = table[(table["profile"] == group[0]) & (table["model"] == group[3])]
    found = {line_of(entry): part for entry, part in own.groupby("entry") if part["loss"].notna().any()}
    found = {line: part for line, part in found.items() if line in results.lines()}
    shown = fitting(results, group, list(found), MOST)
    return Row(group, {line: found[line] for line in ordered(shown)}, len(found))


def draw_group(left: Axes, right: Axes, row: Row, palette: dict[Line, Look]) -> None:
    """The curves of a group: by trials, and by passes."""
    costs = []
    for line, trials in row.trials.items():
        look, losses = palette[line], expected_loss(trials["loss"])
        number = np.arange(1, len(losses) + 1)
        costs.append(number * trials["passes"].mean())
        left.plot(number, losses, **look.line, label=line_label(line), zorder=3)
        right.plot(costs[-1], losses, **look.line, zorder=3)
        untuned = {"marker": look.marker, "color": look.color, "markersize": look.size}
        left.plot(0, trials["loss"].iloc[0], linestyle="", markerfacecolor="white", **untuned, zorder=3)
    cost_axis(right, np.concatenate(costs))
    left.set_xlim(-0.5, max(map(len, row.trials.values())) + 0.5)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_xlabel("trials")
    left.set_ylabel("validation loss (nats per token)")
    right.set_xlabel(f"forward + backward passes ({examples_of(row.group[1])})")


def cost_axis(ax: Axes, costs: NDArray[np.float64]) -> None:
    """Powers of ten, and beside them 0, as some methods need no pass; marks at both alone."""
    positive = costs[costs > 0]
    if not positive.size:
        return
    low, high = np.floor(np.log10(positive.min())), np.ceil(np.log10(positive.max()))
    powers = 10.0 ** np.arange(low, high + 1)
    ax.set_xscale("symlog", linthresh=powers[0], linscale=0.3)
    ax.set_xticks([0.0] * bool((costs == 0).any()) + list(powers))
    ax.xaxis.set_minor_locator(NullLocator())


def sentence(results: Results, row: Row) -> str:
    """A sentence on the trials of one group: how many, and how many of them failed."""
    where = f"{group_label(results, row.group)}: " if len(results.groups()) > 1 else ""
    numbers = []
    for line, trials in row.trials.items():
        failed = int(trials["loss"].isna().sum())
        numbers.append(f"{line_label(line)} {len(trials)}" + (f", {failed} of them failed" if failed else ""))
    return f"{where}Trials: {'; '.join(numbers)}."


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
