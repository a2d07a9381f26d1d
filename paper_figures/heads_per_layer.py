"""Heads that every layer keeps: against the penalty λ where a search trained at several, and against K.

At most a page of panels: where there are more, the best arm of every family, then the next best (pages.py).

python paper_figures/heads_per_layer.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from captions import write_caption
from command import run
from common import UNPRUNED, EmptyError, Line, Results, group_label, lines_of, read_trial_masks
from families import line_label, ordered
from looks import DOUBLE, GREY, SINGLE, draw_shares, save, styled
from masks import attention_types, usable_masks
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from pages import PAGE, fitting, selection_note

from headprune.analysis.drawings import Drawing

NAME = "heads_per_layer"
FIGURE = Drawing("Heads that every layer keeps, against the penalty and against K.")
COLUMNS, ROW, FRAME = 3, 0.155, 0.62  # panels side by side; inches of a layer, and of title and ticks
MOST = 8  # penalties side by side; more are binned
OPENING = (
    "Heads that each layer keeps. Rows: the attention modules, type.layer from the input upwards, and all together; "
    "numbers: heads kept, mean over trainings; colour: share of the module's heads. {columns}"
)
BY_PENALTY = (
    "Panels over λ: every training of a search under its own mask, at the penalty per open head that it was trained "
    "with"
)
BY_BUDGET = "Panels over K: the masks of the cells, at the number of heads asked for."


@dataclass(frozen=True)
class Panel:
    """One method and arm of one group. `kept` and `share`: a row per module and one for all, a column per λ or K."""

    group: tuple[str, ...]
    line: Line
    axis: str
    kept: pd.DataFrame
    share: pd.DataFrame
    trainings: int


def draw(results: Results, out_dir: Path) -> None:
    """Draw the panels over λ, then those over K, group by group."""
    results = results.untreated()
    penalties = read_trial_masks(results.folder)
    panels, notes = [], []
    for group, masks in usable_masks(results):
        found = [*over_penalties(results, group, penalties), *over_budgets(group, masks)]
        room = COLUMNS * max(1, int((PAGE - 0.5) / height(found) / len(results.groups())))
        shown = chosen(results, group, found, room)
        panels += shown
        notes += selection_note(len(shown), len(found)) if len(shown) < len(found) else []
    if not panels:
        raise EmptyError(NAME, "No mask of a pruned model in these results.")
    with styled():
        draw_panels(results, panels)
        save(plt.gcf(), out_dir, NAME)
    axes = {panel.axis for panel in panels}
    if "λ" in axes:
        number = sum(panel.trainings for panel in panels if panel.axis == "λ")
        binned = any("–" in str(name) for panel in panels for name in panel.kept.columns)
        notes.insert(0, f"{BY_PENALTY}, {number} in all{BINNED if binned else '.'}")
    columns = BY_BUDGET if "K" in axes else ""
    results = results.only({panel.line for panel in panels}) if len(notes) > ("λ" in axes) else results
    write_caption(results, out_dir, NAME, OPENING.format(columns=columns).strip(), notes, with_metric=False)


BINNED = "; neighbouring penalties share a column, named by the lowest and the highest."


def chosen(results: Results, group: tuple[str, ...], found: Sequence[Panel], room: int) -> list[Panel]:
    """Panels over λ first; of the others as many as there is room for."""
    searched = [panel for panel in found if panel.axis == "λ"][:room]
    others = [panel for panel in found if panel.axis == "K"]
    left = room - len(searched)
    lines = fitting(results, group, [panel.line for panel in others], left) if left else []
    return searched + [panel for panel in others if panel.line in lines]


def over_penalties(results: Results, group: tuple[str, ...], trials: pd.DataFrame) -> Iterator[Panel]:
    """One panel per arm that ran trainings at several penalties."""
    own = trials[(trials["profile"] == group[0]) & (trials["model"] == group[3])]
    lines = [(method, str(label).partition(".")[2]) for method, label in zip(own["method"], own["label"], strict=True)]
    own = own.assign(
        line=[arm for _, arm in lines], training=own["seed"].astype(str) + "/" + own["coefficient"].astype(str)
    )
    asked = set(results.lines()) if results.asked else set(lines)
    for line in ordered(set(lines) & asked):
        masks = lines_of(own)[line]
        names = dict(binned(masks["coefficient"]))
        yield panel_of(
            group, line, "λ", masks.assign(column=masks["coefficient"].map(names)), list(dict.fromkeys(names.values()))
        )


def over_budgets(group: tuple[str, ...], masks: pd.DataFrame) -> Iterator[Panel]:
    """One panel per line with the masks of its cells."""
    by_line = lines_of(masks[masks["method"] != UNPRUNED])
    for line in ordered(by_line):
        own = by_line[line]
        training = own["arm"] + "/" + own["seed"].astype(str)
        budgets = sorted(own["budget"].unique(), reverse=True)
        names = {budget: f"{budget:g}" for budget in budgets}
        own = own.assign(training=training, column=own["budget"].map(names))
        yield panel_of(group, line, "K", own, list(names.values()))


def binned(penalties: pd.Series) -> Iterator[tuple[float, str]]:
    """Every penalty, rising, with the name of its column: itself, or the ends of its bin where they are too many."""
    every = sorted(penalties.unique())
    if len({f"{penalty:.2g}" for penalty in every}) <= MOST:
        yield from ((penalty, f"{penalty:.2g}") for penalty in every)
        return
    for part in np.array_split(np.arange(len(every)), MOST):
        low, high = (f"{every[place]:.1g}" for place in (part[0], part[-1]))
        yield from ((every[place], low if low == high else f"{low}–{high}") for place in part)


def panel_of(group: tuple[str, ...], line: Line, axis: str, masks: pd.DataFrame, columns: Sequence[str]) -> Panel:
    """Means over trainings of the heads of every module, and their sum.

    :param masks: with `training` and `column`
    """
    runs = masks.groupby(["type", "layer", "column", "training"])["kept"].agg(["sum", "count"])
    means = runs.groupby(["type", "layer", "column"]).mean()
    kept, heads = (means[name].unstack("column").reindex(columns=list(columns)) for name in ("sum", "count"))
    types = attention_types(kept.index.get_level_values("type"))
    order = sorted(kept.index, key=lambda module: (types.index(module[0]), module[1]))
    kept, heads = kept.loc[order], heads.loc[order]
    names = [f"{kind}.{layer:g}" for kind, layer in order]
    kept.index = heads.index = pd.Index(names)
    kept.loc["all"], heads.loc["all"] = kept.sum(), heads.sum()
    trainings = len(masks[["column", "training"]].drop_duplicates())
    return Panel(group, line, axis, kept, kept / heads, trainings)


def height(panels: Sequence[Panel]) -> float:
    """Inches of a row of panels."""
    return FRAME + ROW * max((len(panel.kept) for panel in panels), default=1)


def draw_panels(results: Results, panels: Sequence[Panel]) -> None:
    """Rows from left to right; a new group or a new axis starts a new row."""
    rows: list[list[Panel]] = []
    for panel in panels:
        last = rows[-1][-1] if rows else None
        if last is None or len(rows[-1]) == COLUMNS or (last.group, last.axis) != (panel.group, panel.axis):
            rows.append([])
        rows[-1].append(panel)
    columns = max(map(len, rows))
    heights = [height(row) for row in rows]
    size = (SINGLE if columns == 1 else DOUBLE, sum(heights) + 0.1)
    figure, grid = plt.subplots(len(rows), columns, figsize=size, squeeze=False, height_ratios=heights)
    mesh = None
    for number, (axes, row) in enumerate(zip(grid, rows, strict=True)):
        new = number == 0 or rows[number - 1][0].group != row[0].group
        for ax, panel in zip(axes, row, strict=False):
            mesh = draw_panel(ax, panel)
            label = group_label(results, panel.group) if new and panel is row[0] else ""
            ax.set_title(f"{label}\n{line_label(panel.line)}".lstrip("\n"), loc="left")
            ax.tick_params(labelleft=panel is row[0])
        for ax in axes[len(row) :]:
            ax.axis("off")
    assert mesh is not None
    bar = figure.colorbar(
        mesh, ax=grid, fraction=0.02, pad=0.01, aspect=18, shrink=min(1.0, 1.4 / figure.get_figheight())
    )
    bar.set_ticks([0, 0.5, 1], labels=["0", "50", "100"])
    bar.set_label("heads kept (%)")
    bar.ax.spines[:].set_visible(False)


def draw_panel(ax: Axes, panel: Panel) -> QuadMesh:
    """The table as coloured numbers, a line above the row of all."""
    mesh = draw_shares(ax, panel.share, panel.kept.map(number))
    ax.axhline(len(panel.kept) - 1, color=GREY, linewidth=0.8, zorder=3)
    long = max(map(len, panel.kept.columns)) > 3
    ax.tick_params(axis="x", labelrotation=90 if long else 0)
    ax.set_xlabel("penalty λ" if panel.axis == "λ" else "K", labelpad=4 if long else 1)
    return mesh


def number(value: float) -> str:
    """`3`, `3.3`, `12`"""
    return "" if np.isnan(value) else f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_masks=True)


if __name__ == "__main__":
    sys.exit(main())
