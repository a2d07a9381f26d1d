"""Test quality against what finding the mask cost: passes over examples, seconds, and all updates that it took.

python paper_figures/pruning_cost.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from captions import write_caption
from command import run
from common import (
    UNPRUNED,
    EmptyError,
    Quality,
    Results,
    group_label,
    in_group,
    outcomes,
    quality_of,
)
from families import FAMILIES, family_of, line_label
from looks import (
    BLACK,
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Look,
    legend_outside,
    quality_axis,
    save,
    some_budgets,
    styled,
)
from mask_costs import SECONDS, SENTENCES, UPDATES, costed, costed_runs
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Bbox
from pages import PAGE
from steps import band_sentence, draw_band, front_steps

from headprune.analysis.drawings import Drawing
from headprune.analysis.updates import pretrained_updates, trained_updates
from headprune.statistics import pareto_front
from headprune.tasks import examples_of

NAME = "pruning_cost"
FIGURE = Drawing("Quality against what it cost to find the heads to remove, and against all updates.")
BUDGETS = 3  # at most, for each group
HEIGHT, LEAST = 2.2, 1.5  # inches of a row
LOOKS = dict(
    zip(
        FAMILIES,
        (
            Look(GREY, "o"),
            Look(SKY, "^"),
            Look(PURPLE, "v"),
            Look(ORANGE, "s"),
            Look(GREEN, "D"),
            Look(VERMILLION, "P"),
            Look(BLUE, "X"),
            Look(PURPLE, "p"),
            Look(BLACK, "h"),
            Look(BLACK, "d"),
        ),
        strict=True,
    )
)
PLACES = [  # of a name beside its point: right-aligned, offset in points, over the point
    (False, 2, 4, True),
    (True, -2, 4, True),
    (True, -5, 0, False),
    (False, 5, 0, False),
    (True, -2, 12, True),
    (False, 2, 12, True),
    (True, -8, 6, True),
]
OPENING = (
    "Test quality of a pruned model against the cost of finding its mask, at some of the budgets K. One point per "
    "method and arm: the mean over runs. Steps: the best mean quality at each cost or below, the Pareto front. {band}. "
    "Named: the points that no cheaper one equals, as far as there is room. Open "
    "marker: the number of heads achieved is not K. A score method finds the masks of all budgets at the cost shown, "
    "a gate method trains for each, a search counts all its trials. Joint training, which needs no trained model to "
    "start from, counts as a whole. Total updates, where equal ones compare: of the model that the method starts from, "
    "of finding the mask, in a search those of its sweep and of what this K added, and of all trials of a tuning; of "
    "trainings that failed they are not known. Dashed: the unpruned model."
)


@dataclass(frozen=True)
class Row:
    """One row of panels: a group and a kind of cost; `points` has it as `x`, masks that cost nothing at `floor`."""

    group: tuple[str, ...]
    cost: str
    runs: pd.DataFrame
    points: pd.DataFrame
    budgets: list[int]
    quality: Quality
    unpruned: float

    @property
    def label(self) -> str:
        """The label of the axis; a model reads a sentence in one track and a window of text in another."""
        if self.cost == SENTENCES:
            return f"forward + backward passes ({examples_of(self.group[1])})"
        return f"{UPDATES} (start, mask and tuning)" if self.cost == UPDATES else self.cost

    @property
    def floor(self) -> float:
        """The place of 0 on the logarithmic axis: left of everything else."""
        positive = self.points.loc[self.points[self.cost] > 0, self.cost]
        return float(positive.min()) / 30 if len(positive) else 0.1

    def at(self, budget: int, table: pd.DataFrame | None = None) -> pd.DataFrame:
        """The points of one budget, or the runs."""
        table = self.points if table is None else table
        points = table[table["budget"] == budget]
        return points.assign(x=points[self.cost].clip(lower=self.floor)).dropna(subset=["x"])


def draw(results: Results, out_dir: Path) -> None:
    """One row of panels per group and kind of cost, one column per budget."""
    results = results.untreated()
    rows = [row for group in results.groups() for row in rows_of(results, group)]
    if not rows:
        raise EmptyError(NAME, "No cell has both a test quality and a cost of pruning.")
    columns = max(len(row.budgets) for row in rows)
    size = (DOUBLE, max(LEAST, min(HEIGHT, PAGE / len(rows))) * len(rows))
    with styled():
        figure, grid = plt.subplots(len(rows), columns, figsize=size, squeeze=False, sharey="row", sharex="row")
        for number, (row, axes) in enumerate(zip(rows, grid, strict=True)):
            new = number == 0 or rows[number - 1].group != row.group
            for ax, budget in zip(axes, row.budgets, strict=False):
                draw_panel(ax, row, budget)
                first = new and budget == row.budgets[0] and len(results.groups()) > 1
                title = f"{group_label(results, row.group)}\n" if first else ""
                ax.set_title(f"{title}K = {budget}", loc="left")
            axes[len(row.budgets) // 2].set_xlabel(row.label)
            for ax in axes[len(row.budgets) :]:
                ax.axis("off")
        legend_outside(figure, list(grid.flat), columns=3)
        figure.draw_without_rendering()  # names are placed on the settled layout
        figure.set_layout_engine("none")
        for row, axes in zip(rows, grid, strict=True):
            for ax, budget in zip(axes, row.budgets, strict=False):
                name_front(ax, row.at(budget), row.quality.sign)
        save(figure, out_dir, NAME)
    write_caption(
        results, out_dir, NAME, OPENING.format(band=band_sentence(results)), [fronts(results, row) for row in rows]
    )


def fronts(results: Results, row: Row) -> str:
    """The sentence of the caption that names the front of every panel of a row, by rising cost."""
    names = []
    for budget in row.budgets:
        points = row.at(budget)
        front = points.iloc[pareto_front(list(points["x"]), list(row.quality.sign * points["value"]))]
        lines = zip(front["method"], front["line"], strict=True)
        names.append(f"K = {budget}: {', '.join(line_label(line) for line in lines)}")
    where = f", {group_label(results, row.group)}" if len(results.groups()) > 1 else ""
    return f"Not equalled by a cheaper mask, {row.label}{where}: {'; '.join(names)}."


def rows_of(results: Results, group: tuple[str, ...]) -> Iterator[Row]:
    """The kinds of cost that the table of a group knows."""
    cells = in_group(results.cells, group)
    quality, folder = quality_of(cells), results.folder
    runs = costed_runs(cells, trained_updates(folder), pretrained_updates(folder))
    points = costed(runs, quality)
    unpruned = outcomes(cells[cells["method"] == UNPRUNED], quality)["value"]
    for cost in (SENTENCES, SECONDS, UPDATES):
        if points[cost].notna().any():
            budgets = some_budgets(points, BUDGETS)
            yield Row(group, cost, runs, points, budgets, quality, quality.mean(unpruned))


def draw_panel(ax: Axes, row: Row, budget: int) -> None:
    """The points of one budget, in the looks of their families, over their front."""
    points = row.at(budget)
    draw_steps(ax, row, budget)
    if np.isfinite(row.unpruned):
        ax.axhline(row.unpruned, color=GREY, linestyle=(0, (5, 2)), linewidth=1.0, label="unpruned", zorder=1.5)
    lines = zip(points["method"], points["line"], strict=True)
    families = pd.Series([family_of(line) for line in lines], index=points.index, dtype=object)
    for family, look in LOOKS.items():
        own = points[families == family]
        exact = own["heads_kept"] == own["budget"]
        if own.empty:
            continue
        style = {"s": look.size**2, "marker": look.marker, "zorder": 3, "label": family}
        met, missed = own[exact], own[~exact]
        ax.scatter(met["x"], met["value"], color=look.color, edgecolors="white", linewidths=0.4, **style)
        ax.scatter(missed["x"], missed["value"], facecolors="white", edgecolors=look.color, linewidths=1.0, **style)
    quality_axis(ax, row.quality)
    ax.set_ylabel(row.quality.label if ax.get_subplotspec().is_first_col() else "")
    ax.margins(y=0.12)
    cost_axis(ax, row)


def draw_steps(ax: Axes, row: Row, budget: int) -> None:
    """The best quality that a search of at most this cost found, as steps, and its band over seeds."""
    runs = row.at(budget, row.runs).rename(columns={"value": "y"})
    if runs.empty:
        return
    steps = front_steps(runs, row.quality, float(row.points[row.cost].max()) * 3)
    draw_band(ax, steps, GREY)
    ax.step(steps.at, steps.value, where="post", color=GREY, linewidth=0.9, label="Pareto front", zorder=1.5)


def cost_axis(ax: Axes, row: Row) -> None:
    """A logarithmic axis with a place for 0, the same in every panel of the row."""
    costs = row.points[row.cost].dropna()
    free, positive = (costs == 0).any(), costs[costs > 0]
    ax.set_xscale("log")
    if positive.empty:
        ax.set_xticks([row.floor], ["0"])
        return
    powers = range(math.ceil(math.log10(positive.min()) - 0.3), math.floor(math.log10(positive.max()) + 0.3) + 1)
    ticks = {10.0**power: f"$10^{{{power}}}$" for power in powers[:: 1 + len(powers) // 5]}
    left, right = (row.floor if free else positive.min()) / 3, positive.max() * 3
    if len(powers) < 2:
        ticks = {place: f"{place:g}" for place in between(positive.min() / 3, right)}
    ax.set_xticks([*([row.floor] if free else []), *ticks], [*(["0"] if free else []), *ticks.values()])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(left, right)


def between(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten that lie between two costs."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    places = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [place for place in places if low <= place <= high]


def name_front(ax: Axes, points: pd.DataFrame, sign: int) -> None:
    """Name the points that no cheaper one equals, dearest first, wherever the name covers no point and no name."""
    front = points.iloc[pareto_front(list(points["x"]), list(sign * points["value"]))]
    figure = ax.figure
    centres = ax.transData.transform(points[["x", "value"]].to_numpy())
    radius = 2.5 * figure.dpi / 72
    taken = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in centres]
    for point in front.iloc[::-1].itertuples(index=False):
        for right, dx, dy, up in PLACES:
            text = ax.annotate(
                line_label((point.method, point.line)),
                (point.x, point.value),
                xytext=(dx, dy * sign),
                textcoords="offset points",
                ha="right" if right else "left",
                va=("bottom" if sign > 0 else "top") if up else "center",
                fontsize=7,
                color="#333333",
                zorder=2.5,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.4},
            )
            box = text.get_window_extent()
            free = not any(box.overlaps(other) for other in taken)
            if free and ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1:
                taken.append(box)
                break
            text.remove()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_times=True)


if __name__ == "__main__":
    sys.exit(main())
