"""The effect of a penalty on open gates: every training of a search, at the number of heads it ended with.

python paper_figures/penalty_frontier.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from captions import write_caption
from command import run
from common import (
    UNPRUNED,
    EmptyError,
    Line,
    Quality,
    Results,
    group_label,
    in_group,
    lines_of,
    measured,
    outcomes,
    pool,
    quality_of,
    read_trials,
)
from families import line_label, ordered
from looks import DOUBLE, GREY, Look, draw_reference, legend_outside, looks, quality_axis, save, styled
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm

from headprune.analysis.drawings import Drawing

NAME = "penalty_frontier"
FIGURE = Drawing("Heads kept and quality against the penalty of methods that do not choose a count.", needs=("trials",))
COLORS = "viridis_r"  # also in grey, more penalty is darker
PERPLEXITY = Quality("perplexity", "validation perplexity", higher_is_better=False)
OPENING = (
    "Searching for a penalty. Left: one point per training of the search (marker: the arm, as on the right), at the "
    "number of heads that its gates left open and its validation perplexity under that mask; white: without a "
    "penalty; thin lines join the trainings of one seed. Right: test quality of the cells that the searches ended in, "
    "at the number of heads achieved; a hair leads to the number K that was asked for. Grey: the unpruned model "
    "(dashed), random (dotted, mean over runs)."
)
NOTHING = "No trials in these results: no method of the profile searches for a penalty."
RANDOM = ("random", "")


def draw(results: Results, out_dir: Path) -> None:
    """Draw one row of two panels per group with trials; say so where there are none."""
    trials = read_trials(results.folder)
    chosen = {(method, label(method, arm)) for method, arm in results.lines()}
    asked = [pair in chosen for pair in zip(trials["method"], trials["label"], strict=True)]
    trials = trials[asked] if results.asked else trials
    found = [(group, of_group(trials, group)) for group in results.groups()]
    found = [(group, rows) for group, rows in found if not rows.empty]
    if not found:
        raise EmptyError(NAME, NOTHING)
    with styled():
        figure, grid = plt.subplots(len(found), 2, figsize=(DOUBLE, 2.8 * len(found)), squeeze=False, sharex="row")
        norm = scale(trials["coefficient"])
        for axes, (group, rows) in zip(grid, found, strict=True):
            cells = in_group(results.untreated().cells, group)
            palette = looks([*searched(rows), *lines_beside(rows, cells)])
            draw_trials(axes[0], rows, cells, norm, palette)
            draw_cells(axes[1], cells, palette)
            axes[0].set_title(group_label(results, group), loc="left")
            for ax in axes:
                ax.set_xlabel(f"heads kept (of {cells['n_heads'].max():g})")
        bar = figure.colorbar(ScalarMappable(norm, COLORS), ax=grid[:, 0], aspect=30, location="top")
        bar.set_label("penalty coefficient")
        bar.outline.set_visible(False)
        legend_outside(figure, list(grid.flat), columns=4)
        save(figure, out_dir, NAME)
    write_caption(results, out_dir, NAME, OPENING, [counts(found)])


def scale(coefficients: pd.Series) -> LogNorm:
    """The colour scale from the smallest to the largest penalty; none at all has no place on it, and no colour."""
    positive = coefficients[coefficients > 0]
    return LogNorm(positive.min(), positive.max() * 1.0001) if len(positive) else LogNorm(0.1, 1)


def label(method: str, arm: str) -> str:
    """The label of an arm, as the trials name it: `l0.continued`."""
    return f"{method}.{arm}" if arm else method


def of_group(trials: pd.DataFrame, group: tuple[str, ...]) -> pd.DataFrame:
    """The trials of one group; they know only its profile and its model."""
    profile, _, _, model = group
    return trials[(trials["profile"] == profile) & (trials["model"] == model)]


def counts(found: Sequence[tuple[tuple[str, ...], pd.DataFrame]]) -> str:
    """A sentence on the number of trainings that the left panels show."""
    rows = pd.concat([rows for _, rows in found])
    return f"{len(rows)} trainings, {rows['seed'].nunique()} seeds, of {', '.join(sorted(rows['label'].unique()))}."


def searched(trials: pd.DataFrame) -> dict[Line, pd.DataFrame]:
    """The trials by the arm that ran them."""
    found = {}
    for name, own in trials.groupby("label"):
        method, _, arm = str(name).partition(".")
        found[method, arm] = own
    return found


def lines_beside(trials: pd.DataFrame, cells: pd.DataFrame) -> list[Line]:
    """The lines of the methods that have trials; an arm may use those of another."""
    return [line for line in lines_of(cells) if line[0] in set(trials["method"])]


def draw_trials(ax: Axes, trials: pd.DataFrame, cells: pd.DataFrame, norm: LogNorm, palette: dict[Line, Look]) -> None:
    """The trainings: marker by arm, as in the other panel, colour by penalty."""
    unpruned = measured(cells[cells["method"] == UNPRUNED], "perplexity", "valid")["value"]
    if len(unpruned):
        draw_reference(ax, unpruned, PERPLEXITY, Look(GREY, "", (0, (5, 2))), "unpruned")
    for line, own in searched(trials).items():
        for _, one in own.groupby("seed"):
            path = one.sort_values("coefficient")
            ax.plot(path["heads_kept"], path["perplexity"], color="#BBBBBB", linewidth=0.6, zorder=2)
        drawn = {"marker": palette[line].marker, "s": 20, "linewidths": 0.4, "zorder": 3}
        free, some = own[own["coefficient"] == 0], own[own["coefficient"] > 0]
        ax.scatter(free["heads_kept"], free["perplexity"], facecolors="white", edgecolors=GREY, **drawn)
        colors = {"c": some["coefficient"], "cmap": COLORS, "norm": norm}
        ax.scatter(some["heads_kept"], some["perplexity"], edgecolors="white", **colors, **drawn)
        if line not in lines_of(cells):
            ax.scatter([], [], color=palette[line].color, marker=palette[line].marker, label=line_label(line))
    quality_axis(ax, PERPLEXITY)


def draw_cells(ax: Axes, cells: pd.DataFrame, palette: dict[Line, Look]) -> None:
    """The cells of the methods with trials, where they ended and where they were meant to."""
    quality = quality_of(cells)
    runs = outcomes(cells, quality)
    by_line = lines_of(runs[runs["status"] == "ok"])
    if (UNPRUNED, "") in by_line:
        draw_reference(ax, by_line[UNPRUNED, ""]["value"], quality, Look(GREY, "", (0, (5, 2))), "unpruned")
    if RANDOM in by_line:
        points = pool(by_line[RANDOM], quality).sort_values("heads")
        ax.plot(points["heads"], points["mean"], ":", color=GREY, label="random", zorder=1.6)
    for line in ordered(set(palette) & set(by_line)):
        own, look = by_line[line], palette[line]
        ax.hlines(own["value"], own["heads_kept"], own["budget"], color=look.color, linewidth=0.7, alpha=0.6)
        ax.plot(own["budget"], own["value"], "|", color=look.color, markersize=4, alpha=0.6)
        ax.scatter(
            own["heads_kept"],
            own["value"],
            color=look.color,
            marker=look.marker,
            s=look.size**2,
            edgecolors="white",
            linewidths=0.4,
            label=line_label(line),
            zorder=3,
        )
    quality_axis(ax, quality)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
