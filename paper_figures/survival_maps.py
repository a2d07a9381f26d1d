"""The heads that survive: one layer × head map per attention type, one row of maps per method and arm.

At most a page of rows: where there are more, the best arm of every family, then the next best (pages.py).

python paper_figures/survival_maps.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from captions import write_caption
from command import run
from common import CELL, UNPRUNED, EmptyError, Line, Results, group_label, lines_of, split_arm
from families import line_label, ordered
from looks import DOUBLE, save, styled
from masks import attention_types, usable_masks
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from pages import PAGE, fitting, selection_note

from headprune.analysis.drawings import Drawing

NAME = "survival_maps"
FIGURE = Drawing("How often each head is kept, layer by head.")
RANDOM = ("random", "random_balanced")  # a head is as likely to stay as any other of its module
SKIPPED = (UNPRUNED, *RANDOM)
COLORS = "Blues"
LABEL_WIDTH, LEAST, LARGEST = 1.35, 0.48, 0.3  # inches: for the row labels, of a row, of a head
NUMBERED = 15 / 72  # inches: the least side of a square that a number fits in
GAP, FRAME = 0.08, 0.4  # inches: between rows, and for ticks and titles
OPENING = (
    "Heads that survive pruning. Each square is one head, named by its row and column ({module} and .{index}: head "
    "{module}.{index}); {what}: percentage of the row's cells (budgets K and seeds, weighted equally) in which the "
    "head is kept."
)


@dataclass(frozen=True)
class MapRow:
    """The masks of one method and arm in one group."""

    group: str
    line: Line
    masks: pd.DataFrame

    @property
    def cells(self) -> int:
        return len(self.masks.drop_duplicates(CELL))

    @property
    def budgets(self) -> list[int]:
        return sorted(self.masks["budget"].unique(), reverse=True)

    @property
    def layers(self) -> int:
        return int(self.masks["layer"].max()) + 1

    def label(self) -> str:
        """The text left of the maps: method, budgets, number of cells."""
        budgets = self.budgets
        shown = ", ".join(f"{k:g}" for k in budgets)
        if len(budgets) > 5:
            shown = f"{budgets[0]:g} … {budgets[-1]:g} ({len(budgets)})"
        return f"K = {shown}\n{self.cells} cell{'s' * (self.cells != 1)}"


def draw(results: Results, out_dir: Path) -> None:
    """Draw one row of maps per group, method and arm."""
    every = list(map_rows(results.untreated()))
    if not every:
        raise EmptyError(NAME, "No mask in these results but random ones.")
    rows = on_one_page(results, every)
    with styled():
        draw_rows(rows)
        save(plt.gcf(), out_dir, NAME)
    notes = [*left_out(results), *selection_note(len(rows), len(every))]
    if len({tuple(row.budgets) for row in rows}) > 1:
        notes.append("The rows cover different budgets: compare patterns between them, not overall darkness.")
    results = results if len(rows) == len(every) else results.only({row.line for row in rows})
    write_caption(results, out_dir, NAME, opening(rows), notes, with_metric=False)


def opening(rows: list[MapRow]) -> str:
    """The first sentences of the caption: what these maps show, with a head of theirs for an example."""
    head = rows[-1].masks.iloc[-1]
    what = "colour and number" if side_of(rows) >= NUMBERED else "colour"
    text = OPENING.format(module=f"{head['type']}.{head['layer']}", index=head["index"], what=what)
    maps = (survival(own) for row in rows for _, own in row.masks.groupby("type"))
    return text + " Grey hatching: no such head." * any(kept.isna().any(axis=None) for kept in maps)


def left_out(results: Results) -> list[str]:
    """A sentence on the masks that no map is of: those of chance, and treated ones; none where there are none."""
    lines = ordered(results.lines())
    chance = dict.fromkeys(line_label((line[0], "")) for line in lines if line[0] in RANDOM)
    treated = any(split_arm(line[1])[1] for line in lines)
    names = [*[f"{', '.join(chance)} (heads chosen by chance)"] * bool(chance), *["treated masks"] * treated]
    return [f"Not drawn: {'; '.join(names)}."] if names else []


def on_one_page(results: Results, rows: list[MapRow]) -> list[MapRow]:
    """The rows that fit on a page with squares as large as its width allows; every group gets as many."""
    square = min(square_across(rows), LARGEST)
    height = max(max(row.layers for row in rows) * square, LEAST) + GAP
    groups = list(dict.fromkeys(row.group for row in rows))
    room = max(1, int((PAGE - FRAME) / height / len(groups)))
    kept: set[tuple[str, Line]] = set()
    for group in results.groups():
        label = group_label(results, group)
        lines = [row.line for row in rows if row.group == label]
        kept |= {(label, line) for line in fitting(results, group, lines, room)}
    return [row for row in rows if (row.group, row.line) in kept]


def side_of(rows: list[MapRow]) -> float:
    """Side of a head in inches, which all rows share."""
    down = (PAGE - FRAME - GAP * len(rows)) / sum(row.layers for row in rows)
    return min(square_across(rows), down, LARGEST)


def square_across(rows: list[MapRow]) -> float:
    """Side of a head in inches: the maps share what labels, names of modules and colour bar leave of the width."""
    widths = widths_of(rows)
    return (DOUBLE - LABEL_WIDTH - 0.65 * len(widths) - 0.7) / sum(widths.values())


def widths_of(rows: list[MapRow]) -> dict[str, int]:
    """Most heads of a layer, by attention type."""
    types = attention_types(pd.concat([row.masks["type"] for row in rows]))
    return {kind: max(_heads(row.masks, kind) for row in rows) for kind in types}


def map_rows(results: Results) -> Iterator[MapRow]:
    """The rows of the figure, group by group."""
    for group, masks in usable_masks(results):
        by_line = lines_of(masks[~masks["method"].isin(SKIPPED)])
        for line in ordered(by_line):
            yield MapRow(group_label(results, group), line, by_line[line])


def draw_rows(rows: list[MapRow]) -> None:
    """Lay the maps out on a common grid of square heads."""
    types, widths = list(widths_of(rows)), list(widths_of(rows).values())
    across, square = square_across(rows), side_of(rows)
    inches = [max(row.layers * square, LEAST) for row in rows]
    figure, grid = plt.subplots(
        len(rows),
        len(types) + 1,
        figsize=(DOUBLE - (across - square) * sum(widths), max(sum(inches) + GAP * len(rows) + FRAME, 1.5)),
        squeeze=False,
        width_ratios=[LABEL_WIDTH / square, *widths],
        height_ratios=inches,
        layout=ConstrainedLayoutEngine(h_pad=0.04, hspace=0),
    )
    meshes: list[QuadMesh | None] = []
    for number, (row, axes) in enumerate(zip(rows, grid, strict=True)):
        draw_label(axes[0], row, first_of_group=number == 0 or rows[number - 1].group != row.group)
        last = number == len(rows) - 1 or rows[number + 1].group != row.group
        for ax, kind, width in zip(axes[1:], types, widths, strict=True):
            meshes.append(draw_map(ax, row.masks[row.masks["type"] == kind], kind, last, square >= NUMBERED))
            ax.set_xlim(0, width)  # of all rows: their squares are of one size
            if number == 0:
                ax.set_title(kind)
    draw_color_bar(figure, grid, meshes)


def _heads(masks: pd.DataFrame, kind: str) -> int:
    of_kind = masks[masks["type"] == kind]
    return 1 if of_kind.empty else int(of_kind["index"].max()) + 1


def draw_label(ax: Axes, row: MapRow, first_of_group: bool) -> None:
    """Method, budgets and number of cells, left of the maps; above them the group where a new one starts."""
    ax.axis("off")
    ax.text(0, 0.5, row.label(), va="top", linespacing=1.3, color="#444444")
    ax.text(0, 0.56, textwrap.fill(line_label(row.line), 28), va="bottom", fontsize=8)
    if first_of_group and row.group:
        ax.set_title(row.group, loc="left", fontweight="bold", fontsize=7.5)


def draw_map(ax: Axes, masks: pd.DataFrame, kind: str, last: bool, numbers: bool) -> QuadMesh | None:
    """One map; hatching shows through where the model has no such head."""
    if masks.empty:
        ax.axis("off")
        return None
    kept = survival(masks)
    layers, heads = kept.shape
    if kept.isna().any(axis=None):
        ax.add_patch(Rectangle((0, 0), heads, layers, facecolor="#EEEEEE", edgecolor="#BBBBBB", hatch="///"))
    mesh = ax.pcolormesh(np.ma.masked_invalid(kept), cmap=COLORS, norm=Normalize(0, 1), zorder=2)
    mesh.set(edgecolor="white", linewidth=0.8)
    ax.set_aspect("equal", anchor="W")
    ax.invert_yaxis()
    ax.set_xticks(np.arange(heads) + 0.5, [f".{head}" for head in range(heads)])
    ax.set_yticks(np.arange(layers) + 0.5, [f"{kind}.{layer}" for layer in range(layers)])
    ax.tick_params(length=0, pad=2, labelbottom=last)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if numbers:
        for (layer, head), share in np.ndenumerate(kept.to_numpy()):
            if np.isfinite(share):
                ink = "white" if share > 0.6 else "black"
                label = ax.text(head + 0.5, layer + 0.5, f"{100 * share:.0f}", color=ink, fontsize=7)
                label.set(ha="center", va="center", in_layout=False)  # it stays inside its square
    return mesh


def survival(masks: pd.DataFrame) -> pd.DataFrame:
    """Share of the cells that keep each head of one type; (layers, heads), NaN where a layer has fewer."""
    kept = masks.groupby(["layer", "index"])["kept"].mean().unstack()
    return kept.reindex(index=range(int(kept.index.max()) + 1), columns=range(int(kept.columns.max()) + 1))


def draw_color_bar(figure: Figure, grid: np.ndarray, meshes: Sequence[QuadMesh | None]) -> None:
    """One colour bar for all maps."""
    mesh = next(mesh for mesh in meshes if mesh is not None)
    shrink = min(1.0, 1.6 / figure.get_figheight())
    bar = figure.colorbar(mesh, ax=grid, fraction=0.025, aspect=18, shrink=shrink)
    bar.set_ticks([0, 0.5, 1], labels=["0", "50", "100"])
    bar.set_label("cells that keep the head (%)")
    bar.ax.spines[:].set_visible(False)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_masks=True)


if __name__ == "__main__":
    sys.exit(main())
