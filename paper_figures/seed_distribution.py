"""Every run as a point: test quality of each seed and draw, per method and budget, with the mean and its interval.

At most a page of rows: where there are more, the best arm of every family, then the next best (pages.py).

python paper_figures/seed_distribution.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from captions import count_statuses, write_caption
from command import run
from common import (
    LEAST,
    UNPRUNED,
    EmptyError,
    Line,
    Quality,
    Results,
    group_label,
    in_group,
    lines_of,
    outcomes,
    quality_of,
)
from families import line_label
from looks import BLACK, BLUE, DOUBLE, GREY, SKY, VERMILLION, legend_outside, save, some_budgets, styled, value_axis
from matplotlib.axes import Axes
from pages import PAGE, fitting, selection_note

from headprune.analysis.drawings import Drawing
from headprune.analysis.tables import by_seed

NAME = "seed_distribution"
FIGURE = Drawing("Every run as a point, with the mean and its interval.")
BUDGETS, ROW, FRAME = 3, 0.17, 0.62  # panels side by side at most; inches of a row, and of title and axis
OPENING = (
    "Test quality of every run, one panel per number of heads asked for. Circles: runs, one per seed, of random "
    "methods one per seed and draw; ticks: mean over n seeds, draws averaged before; bars: Student's t interval at 95 "
    "% over seeds, cut at the edge of the panel, absent with less than three seeds. Dashed: mean of the unpruned "
    "model, its runs in the top row. Red: cells without a result, left out of the means. Intervals are not corrected "
    "for their number."
)


@dataclass(frozen=True)
class Row:
    """The panels of one group."""

    group: tuple[str, ...]
    runs: pd.DataFrame
    lines: list[Line]
    budgets: list[int]
    quality: Quality

    @property
    def height(self) -> float:
        return FRAME + ROW * (len(self.lines) + 1)


def draw(results: Results, out_dir: Path) -> None:
    """Draw one row of panels per group, a line of points per method."""
    results = results.untreated()
    rows, notes, shown = [], [], set()
    for group in results.groups():
        cells = in_group(results.cells, group)
        runs = outcomes(cells, quality_of(cells))
        pruned = runs[runs["method"] != UNPRUNED]
        if pruned["value"].isna().all():
            continue
        every = list(lines_of(pruned))
        room = max(3, int((PAGE / len(results.groups()) - FRAME) / ROW) - 1)
        lines = fitting(results, group, every, room)
        notes += selection_note(len(lines), len(every))
        shown |= set(lines)
        budgets = some_budgets(pruned, BUDGETS)
        rows.append(Row(group, runs, lines, budgets, quality_of(cells)))
    if not rows:
        raise EmptyError(NAME, "No pruned model in these results has a test quality.")
    heights = [row.height for row in rows]
    columns = max(len(row.budgets) for row in rows)
    with styled():
        figure, grid = plt.subplots(
            len(rows), columns, figsize=(DOUBLE, sum(heights)), squeeze=False, sharey="row", height_ratios=heights
        )
        for axes, row in zip(grid, rows, strict=True):
            for ax, budget in zip(axes, row.budgets, strict=False):
                draw_panel(ax, row, budget)
            start = f"{group_label(results, row.group)}\n".lstrip("\n")
            axes[0].set_title(f"{start}K = {row.budgets[0]}", loc="left")
            for ax in axes[len(row.budgets) :]:
                ax.axis("off")
        legend_outside(figure, list(grid.flat), columns=4)
        save(figure, out_dir, NAME)
    write_caption(results.only(shown) if notes else results, out_dir, NAME, OPENING, notes)


def draw_panel(ax: Axes, row: Row, budget: int) -> None:
    """The runs of every method at one budget, the unpruned model on top."""
    lines: list[Line] = [(UNPRUNED, ""), *row.lines]
    runs = row.runs[(row.runs["budget"] == budget) | (row.runs["method"] == UNPRUNED)]
    by_line = lines_of(runs)
    unpruned = runs.loc[runs["method"] == UNPRUNED, "value"]
    if unpruned.notna().any():
        ax.axvline(
            row.quality.mean(unpruned),
            color=GREY,
            linestyle=(0, (5, 2)),
            linewidth=1.0,
            zorder=1.5,
            label="unpruned, mean",
        )
    values = runs["value"].dropna()
    low, high = values.min(), values.max()
    room = 0.08 * (high - low or abs(high) or 1.0)
    limits = (low / (high / low) ** 0.08, high * (high / low) ** 0.08) if log(row, low) else (low - room, high + room)
    for place, line in enumerate(lines):
        if line in by_line:
            draw_line(ax, by_line[line], place, row.quality)
    if limits[0] < limits[1]:
        ax.set_xlim(*limits)
    value_axis(ax, "x", row.quality, limits)
    ax.set_yticks(range(len(lines)), [line_label(line) for line in lines])
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_title(f"K = {budget}", loc="left")


def log(row: Row, low: float) -> bool:
    """Return whether the axis of a row is logarithmic."""
    return row.quality.scale == "log" and low > 0


def draw_line(ax: Axes, runs: pd.DataFrame, y: int, quality: Quality) -> None:
    """The runs of one method at one budget; how many of them have no result."""
    done = runs.dropna(subset=["value"])
    seeds = by_seed(runs, quality).dropna(subset=["value"])
    if len(done):
        style = {"s": 9, "facecolors": SKY, "edgecolors": BLACK, "linewidths": 0.4, "alpha": 0.9}
        ax.scatter(done["value"], [y] * len(done), zorder=4, label="run", **style)
        found = quality.estimate(seeds["value"])
        if found.n >= LEAST:
            ax.hlines(y, found.low, found.high, color=BLUE, linewidth=1.2, zorder=2, label="t interval at 95 %")
        ax.plot(found.value, y, "|", color=BLACK, markersize=8, markeredgewidth=1.3, zorder=3, label="mean")
    bad = runs.loc[runs["status"] != "ok", "status"]
    if len(bad):
        style = {"transform": ax.get_yaxis_transform(), "color": VERMILLION, "fontsize": 7}
        ax.text(1.0, y, count_statuses(bad), ha="right", va="center", zorder=5, **style)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
