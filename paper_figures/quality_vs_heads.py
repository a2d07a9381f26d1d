"""Test quality against heads kept: one line per method and arm, with its runs and their range.

python paper_figures/quality_vs_heads.py RESULTS_DIR OUT_DIR
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from captions import write_caption
from common import (
    LINE,
    UNPRUNED,
    Line,
    Results,
    ResultsError,
    in_group,
    lines_of,
    outcomes,
    pool,
    quality_of,
    run,
)
from looks import (
    DOUBLE,
    SINGLE,
    Look,
    draw_range,
    group_label,
    legend_outside,
    line_label,
    looks,
    ordered,
    quality_axis,
    save,
    styled,
    ticks,
)
from matplotlib.axes import Axes

NAME = "quality_vs_heads"
OPENING = (
    "Quality against the number of heads kept. Lines: mean over runs; bands: lowest to highest run; "
    "small points: single runs. Repeated draws of the random method are pooled into one line. "
    "Dashed horizontal line: the unpruned model, its band the range over seeds."
)


def draw(results: Results, out_dir: Path) -> None:
    """Draw one panel per group."""
    panels = [(group, _runs(results, group)) for group in results.groups()]
    shown = [(group, runs) for group, runs in panels if not runs.empty]
    if not shown:
        raise ResultsError("no cell has a test quality: every cell failed or was not evaluated")
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    size = (SINGLE, 2.4) if len(shown) == 1 else (DOUBLE, 2.3 * rows)
    palette = looks(results.lines())
    with styled():
        figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
        axes = list(grid.flat)
        for ax, (group, runs) in zip(axes, shown, strict=False):
            draw_panel(ax, runs, palette)
            quality_axis(ax, quality_of(in_group(results.cells, group)))
            ax.set_title(group_label(results, group))
        for ax in axes[len(shown) :]:
            ax.axis("off")
        legend_outside(figure, axes, columns=2 if len(shown) == 1 else 4)
        save(figure, out_dir, NAME)
    notes = [f"Not drawn, no result: {', '.join(g)}." for g, runs in panels if runs.empty]
    write_caption(results, out_dir, NAME, OPENING, notes)


def _runs(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    cells = in_group(results.cells, group)
    runs = outcomes(cells, quality_of(cells))
    return runs[runs["status"] == "ok"]


def draw_panel(ax: Axes, runs: pd.DataFrame, palette: dict[Line, Look]) -> None:
    """All lines of one group; the unpruned reference lies under them."""
    by_line = lines_of(runs)
    for line in ordered(by_line):
        if line[0] == UNPRUNED:
            draw_reference(ax, by_line[line]["value"], palette[line], line_label(line))
        else:
            draw_line(ax, by_line[line], palette[line], line_label(line))
    pruned = runs[runs["method"] != UNPRUNED]
    if not pruned.empty:
        budgets = pruned.groupby([*LINE, "budget"])["heads_kept"].mean()
        ax.set_xticks(ticks(budgets))
        if budgets.nunique() == 1:
            ax.set_xlim(budgets.iloc[0] - 2, budgets.iloc[0] + 2)
    ax.set_xlabel(f"heads kept (of {', '.join(f'{n:g}' for n in sorted(set(runs['n_heads'])))})")


def draw_reference(ax: Axes, values: pd.Series, look: Look, label: str) -> None:
    """The unpruned model: a dashed line at its mean on a band from its lowest to its highest seed."""
    ax.axhspan(values.min(), values.max(), color=look.color, alpha=0.12, linewidth=0, zorder=1)
    ax.axhline(values.mean(), color=look.color, linestyle=look.dash, linewidth=1.0, label=label, zorder=1.5)


def draw_line(ax: Axes, runs: pd.DataFrame, look: Look, label: str) -> None:
    """One method: band, single runs, mean."""
    points = pool(runs).sort_values("heads")
    draw_range(ax, points["heads"], points["low"], points["high"], look.color)
    ax.scatter(runs["heads_kept"], runs["value"], s=4, color=look.color, alpha=0.55, linewidths=0, zorder=2.5)
    ax.plot(
        points["heads"],
        points["mean"],
        color=look.color,
        marker=look.marker,
        markersize=look.size,
        linestyle=look.dash,
        markeredgecolor="white",
        markeredgewidth=0.4,
        label=label,
        zorder=3,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
