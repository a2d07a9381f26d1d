"""Share of the encoder, cross and decoder heads that each method keeps, against the number of heads kept.

At most a page of panels: where there are more, the best arm of every family, then the next best (pages.py).

python paper_figures/kept_by_type.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from captions import write_caption
from command import run
from common import CELL, UNPRUNED, EmptyError, Line, Results, group_label, lines_of
from families import line_label, ordered
from looks import (
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SINGLE,
    VERMILLION,
    Look,
    draw_range,
    legend_outside,
    save,
    styled,
    ticks,
)
from masks import attention_types, usable_masks
from matplotlib.axes import Axes
from pages import PAGE, fitting, selection_note

from headprune.analysis.drawings import Drawing

NAME = "kept_by_type"
FIGURE = Drawing("Heads kept by attention type: encoder, cross, decoder.")
COLUMNS, HEIGHT = 4, 1.4  # panels in a row, and inches of a row
LOOKS = {
    "encoder": Look(BLUE, "o"),
    "cross": Look(VERMILLION, "s", (0, (4, 1.2))),
    "decoder": Look(GREEN, "^", (0, (2, 1))),
}
OTHERS = [Look(PURPLE, "D"), Look(ORANGE, "v")]
OPENING = (
    "Share of the heads of each attention type that is kept, against the number of heads kept overall. "
    "Lines: mean over runs; bands: lowest to highest run. Dotted: what a method blind to the type keeps on "
    "average, K of N heads of every type."
)
Panel = tuple[str, Line, pd.DataFrame]  # label of the group, line, shares


def draw(results: Results, out_dir: Path) -> None:
    """Draw one panel per group, method and arm; a group starts on a new row."""
    results = results.untreated()
    panels: list[Panel] = []
    notes = []
    for group, masks in usable_masks(results):
        found = dict(by_line(masks))
        room = COLUMNS * max(1, int((PAGE - 0.5) / HEIGHT / len(results.groups())))
        shown = fitting(results, group, list(found), room)
        panels += [(group_label(results, group), line, found[line]) for line in shown]
        notes += selection_note(len(shown), len(found))
    if not panels:
        raise EmptyError(NAME, "No mask of a pruned model in these results.")
    columns = min(COLUMNS, max(sum(other[0] == panel[0] for other in panels) for panel in panels))
    rows = layout(panels, columns)
    width = SINGLE if columns <= 2 else DOUBLE
    with styled():
        figure, grid = plt.subplots(
            len(rows), columns, figsize=(width, HEIGHT * len(rows) + 0.3), sharey=True, squeeze=False
        )
        for number, (axes, row) in enumerate(zip(grid, rows, strict=True)):
            for ax, (group, line, shares) in zip(axes, row, strict=False):
                draw_panel(ax, shares)
                drawn = pd.concat([shares for other, _, shares in panels if other == group])
                ax.set_xticks(ticks(_heads(drawn), gap=0.13))
                ax.set_title(line_label(line))
            if row[0][0] and (number == 0 or rows[number - 1][0][0] != row[0][0]):
                axes[0].set_title(f"{row[0][0]}\n ", loc="left", fontweight="bold", fontsize=7.5)
            for ax in axes[len(row) :]:
                ax.axis("off")
        figure.supxlabel("heads kept", fontsize=8)
        figure.supylabel("share of the type's heads kept", fontsize=8)
        legend_outside(figure, list(grid.flat), columns=4, above=True)
        save(figure, out_dir, NAME)
    results = results.only({line for _, line, _ in panels}) if notes else results
    write_caption(results, out_dir, NAME, OPENING, notes, with_metric=False)


def by_line(masks: pd.DataFrame) -> list[tuple[Line, pd.DataFrame]]:
    """Per line of one group: `share` kept per cell and type, with the cell's `heads` kept and `n_heads`."""
    masks = masks[masks["method"] != UNPRUNED]
    shares = masks.groupby([*CELL, "line", "type"])["kept"].mean().rename("share").reset_index()
    totals = masks.groupby(CELL)["kept"].agg(heads="sum", n_heads="count")
    shares = shares.join(totals, on=CELL)
    found = lines_of(shares)
    return [(line, found[line]) for line in ordered(found)]


def _heads(shares: pd.DataFrame) -> pd.Series:
    """The budgets that were met; where none was, the numbers of heads achieved."""
    met = shares.loc[shares["heads"] == shares["budget"], "budget"]
    return shares.groupby("budget")["heads"].mean() if met.empty else met


def layout(panels: list[Panel], columns: int) -> list[list[Panel]]:
    """Fill rows from left to right; a new group starts a new row."""
    rows: list[list[Panel]] = []
    for panel in panels:
        if not rows or len(rows[-1]) == columns or rows[-1][-1][0] != panel[0]:
            rows.append([])
        rows[-1].append(panel)
    return rows


def draw_panel(ax: Axes, shares: pd.DataFrame) -> None:
    """One method: a line with its band per attention type, and the proportional share."""
    total = shares["n_heads"].max()
    ax.plot([0, total], [0, 1], ":", color=GREY, linewidth=1.0, label="proportional (K of N)", zorder=1)
    types = attention_types(shares["type"])
    unknown = [kind for kind in types if kind not in LOOKS]
    palette = LOOKS | {kind: OTHERS[i % len(OTHERS)] for i, kind in enumerate(unknown)}
    for kind in types:
        of_kind = shares[shares["type"] == kind].groupby("budget")
        points = of_kind["share"].agg(["mean", "min", "max"]).assign(heads=of_kind["heads"].mean())
        points = points.sort_values("heads")
        look = palette[kind]
        draw_range(ax, points["heads"], points["min"], points["max"], look.color)
        ax.plot(
            points["heads"],
            points["mean"],
            color=look.color,
            marker=look.marker,
            linestyle=look.dash,
            markersize=3.5,
            markeredgecolor="white",
            markeredgewidth=0.3,
            label=kind,
        )
    ax.set_xlim(0, total)
    ax.set_ylim(-0.04, 1.04)
    ax.set_yticks([0, 0.5, 1])


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_masks=True)


if __name__ == "__main__":
    sys.exit(main())
