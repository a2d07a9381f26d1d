"""Learning curves: the perplexity of unpruned models and of trainings with gates, and what the gates go through.

Per model, left the perplexity on train and valid, beside it every quantity that a method changes while it trains: a
temperature, the weight of a penalty, the heads it asks for. Up to eight methods, the best of every family first.

python paper_figures/training_curves.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
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
    Line,
    Quality,
    Results,
    group_label,
    in_group,
    lines_of,
    on_lines,
    pooled_arm,
    read_curves,
    read_trials,
)
from families import line_label, ordered
from looks import (
    DOUBLE,
    SINGLE,
    Look,
    draw_range,
    legend_outside,
    looks,
    quality_axis,
    save,
    some_of,
    styled,
)
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from pages import fitting, selection_note

from headprune.analysis.drawings import Drawing

NAME = "training_curves"
FIGURE = Drawing("Perplexity while training, and what the gates go through.", needs=("curves",))
MOST = 8  # methods beside the unpruned model
QUANTITIES = ("temperature", "penalty", "heads asked for")
PERPLEXITY = Quality("perplexity", "perplexity", higher_is_better=False)
OPENING = (
    "Learning curves of the unpruned model and of trainings with gates, by the share of a training's updates that is "
    "done. Left: perplexity, 2 to the cross-entropy without label smoothing; thin: train, under the gates as sampled; "
    "with markers: valid, under the hard mask of the moment. Beside it: what a method changes while it trains; a tick "
    "where its gates have settled. Lines: mean over seeds; bands: lowest to highest seed. {trainings}"
)
NOTHING = "No learning curves in these results: curves.csv is absent or holds no training."


@dataclass(frozen=True)
class Row:
    """The curves of one group: rows of curves.csv with `line`, and the number of heads they were trained for."""

    group: tuple[str, ...]
    curves: dict[Line, pd.DataFrame]
    budget: int | None
    every: int  # methods there were

    @property
    def quantities(self) -> list[str]:
        found = {name for own in self.curves.values() for name in own.loc[own["level"].notna(), "scheduled"]}
        return [name for name in QUANTITIES if name in found] + sorted(found - {"", *QUANTITIES})


def draw(results: Results, out_dir: Path) -> None:
    """Draw one row of panels per group; say so where there are no curves."""
    results = results.untreated()
    curves, trials = read_curves(results.folder), read_trials(results.folder)
    rows = [row for group in results.groups() if (row := row_of(results, group, curves, trials)).curves]
    if not rows:
        raise EmptyError(NAME, NOTHING)
    columns = 1 + max(len(row.quantities) for row in rows)
    size = (SINGLE if columns == 1 else DOUBLE, 2.1 * len(rows))
    palette = looks({line for row in rows for line in row.curves})
    with styled():
        figure, grid = plt.subplots(
            len(rows), columns, figsize=size, squeeze=False, width_ratios=[1.5, *[1.0] * (columns - 1)]
        )
        for axes, row in zip(grid, rows, strict=True):
            draw_losses(axes[0], row, palette)
            axes[0].set_title(group_label(results, row.group), loc="left")
            for ax, quantity in zip(axes[1:], row.quantities, strict=False):
                draw_schedule(ax, row, quantity, palette)
            for ax in axes[1 + len(row.quantities) :]:
                ax.axis("off")
        legend_outside(figure, list(grid.flat), columns=4)
        save(figure, out_dir, NAME)
    shown = {line for row in rows for line in row.curves}
    notes = [
        note for row in rows for note in selection_note(len(row.curves) - ((UNPRUNED, "") in row.curves), row.every)
    ]
    opening = OPENING.format(trainings=" ".join(sentence(results, row) for row in rows))
    write_caption(results.only(shown), out_dir, NAME, opening, notes, with_metric=False)


def row_of(results: Results, group: tuple[str, ...], curves: pd.DataFrame, trials: pd.DataFrame) -> Row:
    """The trainings of one group at the middle one of their budgets; of a search, the one nearest to it."""
    known = set(results.lines())
    own = curves[(curves["profile"] == group[0]) & (curves["model"] == group[3])]
    own = own.assign(line=own["arm"].map(pooled_arm))
    own = on_lines(own, known)
    of_search = own["coefficient"].notna()
    budgets = sorted(own.loc[own["budget"].notna() & (own["method"] != UNPRUNED), "budget"].unique())
    if not budgets and of_search.any():
        budgets = sorted(in_group(results.cells, group).loc[lambda t: t["method"] != UNPRUNED, "budget"].unique())
    budget = some_of(budgets, 1)[0] if budgets else None
    nearest = nearest_trials(trials, group, budget)
    at = list(zip(own["label"], own["seed"], own["coefficient"], strict=True))
    searched = pd.Series([training in nearest for training in at], own.index, dtype=bool)
    wanted = (own["method"] == UNPRUNED) | (own["budget"] == budget) | searched
    found = lines_of(own[wanted])
    pruned = [line for line in found if line[0] != UNPRUNED]
    lines = fitting(results, group, pruned, MOST)
    return Row(
        group,
        {line: found[line] for line in ordered(found) if line[0] == UNPRUNED or line in lines},
        budget,
        len(pruned),
    )


def nearest_trials(trials: pd.DataFrame, group: tuple[str, ...], budget: int | None) -> set[tuple[str, int, float]]:
    """The training of every arm and seed that searched which kept nearest to `budget` heads."""
    own = trials[(trials["profile"] == group[0]) & (trials["model"] == group[3])]
    if own.empty or budget is None:
        return set()
    own = own.assign(distance=(own["heads_kept"] - budget).abs()).sort_values(["distance", "coefficient"])
    best = own.drop_duplicates(["label", "seed"])
    return set(zip(best["label"], best["seed"], best["coefficient"], strict=True))


def draw_losses(ax: Axes, row: Row, palette: dict[Line, Look]) -> None:
    """Perplexity over the share of updates: train thin, valid with markers."""
    for line, own in row.curves.items():
        look = palette[line]
        for split in ("train", "valid"):
            part = own[own["split"] == split]
            points = over_seeds(part.assign(value=np.exp2(part["nll_loss"])), PERPLEXITY.mean)
            if points.empty:
                continue
            if split == "train":
                ax.plot(points["share"], points["mean"], color=look.color, linewidth=0.7, alpha=0.6, zorder=2)
                continue
            draw_range(ax, points["share"], points["low"], points["high"], look.color)
            every = max(1, len(points) // 8)
            ax.plot(points["share"], points["mean"], **look.line, markevery=every, zorder=3)
        ax.add_line(style_of(look, line_label(line)))
    ax.set_xlabel("share of the training")
    ax.set_xlim(-0.02, 1.02)
    quality_axis(ax, PERPLEXITY)


def style_of(look: Look, label: str) -> Line2D:
    """The style that the legend shows, whether the training was validated or not."""
    return Line2D([], [], **look.line, label=label)


def draw_schedule(ax: Axes, row: Row, quantity: str, palette: dict[Line, Look]) -> None:
    """One quantity over the share of updates."""
    for line, own in row.curves.items():
        own = own[(own["scheduled"] == quantity) & own["level"].notna()]
        points = over_seeds(own.assign(value=own["level"]).drop_duplicates(["seed", "update"]))
        if points.empty:
            continue
        look = palette[line]
        draw_range(ax, points["share"], points["low"], points["high"], look.color)
        ax.plot(points["share"], points["mean"], color=look.color, linestyle=look.dash, zorder=3)
        settled = (own["cooldown"] / own["updates"]).mean()
        if settled < 1:
            level = np.interp(settled, points["share"], points["mean"])
            ax.plot(settled, level, "|", color=look.color, markersize=8, markeredgewidth=1.4, zorder=4)
    if quantity == "temperature" and ax.dataLim.intervaly[0] > 0:
        ax.set_yscale("log")
    else:
        ax.set_ylim(0, 1.08 * ax.dataLim.intervaly[1] or 1.0)
    ax.set_xlabel("share of the training")
    ax.set_ylabel("penalty λ" if quantity == "penalty" else quantity)
    ax.set_xlim(-0.02, 1.02)


def over_seeds(points: pd.DataFrame, mean: Callable[[pd.Series], float] | str = "mean") -> pd.DataFrame:
    """Mean, lowest and highest `value` at every update, by the share of updates done."""
    points = points.dropna(subset=["value", "updates"])
    points = points.assign(share=points["update"] / points["updates"])
    return points.groupby("share")["value"].agg(mean=mean, low="min", high="max").reset_index()


def sentence(results: Results, row: Row) -> str:
    """A sentence on the panels of one group: for how many heads, and updates."""
    where = f"{group_label(results, row.group)}: " if len(results.groups()) > 1 else ""
    at = f"trainings for K = {row.budget}, of a search the one that kept nearest to it" if row.budget else "no gates"
    updates = [
        f"{line_label(line)} {own['updates'].max():g}"
        for line, own in row.curves.items()
        if own["updates"].notna().any()
    ]
    text = f"{where}{at}; updates: {', '.join(updates)}."
    return text[0].upper() + text[1:]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
