"""Test quality against parameters and against measured latency, with the Pareto front of the pruned models.

With more than eight lines, only the points on the front are told apart; the others are grey.

python paper_figures/pareto.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from captions import write_caption
from common import (
    CELL,
    LINE,
    UNPRUNED,
    Line,
    Quality,
    Results,
    ResultsError,
    in_group,
    lines_of,
    measured,
    outcomes,
    quality_of,
    run,
)
from families import line_label, ordered
from looks import (
    DOUBLE,
    GREY,
    MANY,
    Look,
    group_label,
    legend_outside,
    looks,
    quality_axis,
    save,
    styled,
)
from matplotlib.axes import Axes

from headprune.statistics import pareto_front

NAME = "pareto"
OPENING = (
    "Quality against size (left) and against measured speed (right). One point per method, arm and number of "
    "heads kept K: the mean over runs. Horizontal bars: quartiles of the latency measurements, averaged over "
    "runs. Step line: Pareto front of all pruned models, drawn through the means; numbers along it: K. Star: "
    "the unpruned model. Latency is the median time per sentence at batch size 1, measured on physically "
    "pruned models; the hardware stands in the signature of each row."
)
DIMMED = "Grey dots: points off the front, of {} lines."


@dataclass(frozen=True)
class Cost:
    """A horizontal axis: a metric, the factor that brings it to the printed unit, and the label."""

    metric: str
    label: str
    scale: float = 1.0
    batch_size: int | None = None


COSTS = (
    Cost("parameters", "parameters (M)", 1e-6),
    Cost("latency_ms", "latency (ms per sentence)", batch_size=1),
)


def draw(results: Results, out_dir: Path) -> None:
    """Draw one row of two panels per group."""
    results = results.untreated()
    panels = [(group, cost, runs_with(results, group, cost)) for group in results.groups() for cost in COSTS]
    if all(runs["x"].isna().all() for _, _, runs in panels):
        raise ResultsError("no cell has both a test quality and a cost: nothing to trade off")
    lines = [line for line in results.lines() if line[0] != UNPRUNED]
    dim = len(lines) > MANY
    ahead = {line for group, _, runs in panels for line in front_lines(points(runs), sign_of(results, group))}
    palette = looks([*ahead, (UNPRUNED, "")] if dim else results.lines())
    rows = len(panels) // len(COSTS)
    with styled():
        figure, grid = plt.subplots(rows, 2, figsize=(DOUBLE, 2.5 * rows), sharey="row", squeeze=False)
        for ax, (group, cost, runs) in zip(grid.flat, panels, strict=True):
            quality = quality_of(in_group(results.cells, group))
            draw_panel(ax, points(runs), palette, quality, dim)
            ax.set_xlabel(cost.label)
            if cost is COSTS[0]:
                ax.set_title(group_label(results, group), loc="left")
        for (ax, *_), (group, _, _) in zip(grid, panels[:: len(COSTS)], strict=True):
            quality_axis(ax, quality_of(in_group(results.cells, group)))
        legend_outside(figure, list(grid.flat), columns=5)
        save(figure, out_dir, NAME)
    notes = [
        f"{runs['x'].isna().sum()} runs without {cost.metric}, absent from its panel: {', '.join(group)}."
        for group, cost, runs in panels
        if runs["x"].isna().any()
    ]
    write_caption(results, out_dir, NAME, OPENING, [DIMMED.format(len(lines)), *notes] if dim else notes)


def sign_of(results: Results, group: tuple[str, ...]) -> int:
    return quality_of(in_group(results.cells, group)).sign


def runs_with(results: Results, group: tuple[str, ...], cost: Cost) -> pd.DataFrame:
    """The runs of a group that have a quality `y`, with their cost `x` (NaN: not measured) and quartiles."""
    cells = in_group(results.cells, group)
    costs = measured(cells, cost.metric, batch_size=cost.batch_size).rename(columns={"value": "x"})
    costs = costs.set_index(CELL).reindex(columns=["x", "q25", "q75"])
    runs = outcomes(cells, quality_of(cells)).join(costs * cost.scale, on=CELL)
    return runs[runs["status"] == "ok"].rename(columns={"value": "y", "heads_kept": "heads"})


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means per (method, line, budget) over the runs that have both quality and cost."""
    complete = runs.dropna(subset=["x"])
    return complete.groupby([*LINE, "budget"])[["x", "y", "heads", "q25", "q75"]].mean().reset_index()


def draw_panel(ax: Axes, points: pd.DataFrame, palette: dict[Line, Look], quality: Quality, dim: bool) -> None:
    """The front under the points of every line; `dim`: under its own points only, the others in grey."""
    if points.empty:
        ax.set_xticks([])
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", color=GREY)
        return
    pruned = points[points["method"] != UNPRUNED].reset_index(drop=True)
    ax.margins(x=0.06, y=0.1)
    draw_front(ax, pruned, points["x"].max(), quality.sign)
    if dim:
        front = front_of(pruned, quality.sign)
        others = pruned.drop(front.index)
        ax.scatter(others["x"], others["y"], s=7, color="#B5B5B5", linewidths=0, label="off the front", zorder=2)
        points = pd.concat([points[points["method"] == UNPRUNED], front])
    by_line = lines_of(points)
    for line in ordered(by_line):
        own, look = by_line[line], palette[line]
        bars = own.dropna(subset=["q25", "q75"])
        ax.hlines(bars["y"], bars["q25"], bars["q75"], color=look.color, alpha=0.45, linewidth=0.8)
        size = 60 if line[0] == UNPRUNED else look.size**2
        ax.scatter(
            own["x"],
            own["y"],
            s=size,
            color=look.color,
            marker=look.marker,
            edgecolors="white",
            linewidths=0.4,
            label=line_label(line),
            zorder=3,
        )


def front_of(pruned: pd.DataFrame, sign: int) -> pd.DataFrame:
    """The points on the front, by rising cost."""
    return pruned.iloc[pareto_front(pruned["x"], sign * pruned["y"])]


def front_lines(points: pd.DataFrame, sign: int) -> set[Line]:
    """The lines that have a point on the front."""
    return set(lines_of(front_of(points[points["method"] != UNPRUNED], sign)))


def draw_front(ax: Axes, pruned: pd.DataFrame, right: float, sign: int) -> None:
    """The best quality that a pruned model reaches at each cost, as steps; the points named by their K."""
    front = front_of(pruned, sign)
    if front.empty:
        return
    xs, ys = [*front["x"], right], [*front["y"], front["y"].iloc[-1]]
    ax.step(xs, ys, where="post", color=GREY, linewidth=0.9, label="Pareto front (numbers: K)", zorder=1.5)
    # No pruned model lies on this side of the front, so labels cover none; the best point of each K has one.
    for row in spaced(front.drop_duplicates("budget", keep="last"), pruned):
        ax.annotate(
            f"{row.heads:.3g}",
            (row.x, row.y),
            xytext=(-3, 3 * sign),
            textcoords="offset points",
            ha="right",
            va="bottom" if sign > 0 else "top",
            fontsize=7,
            annotation_clip=False,
            color="#444444",
        )


def spaced(front: pd.DataFrame, pruned: pd.DataFrame) -> list[Any]:
    """The points of the front far enough apart for their labels to stand side by side."""
    wide, high = (pruned[axis].max() - pruned[axis].min() for axis in ("x", "y"))
    kept: list[Any] = []
    for row in front.itertuples(index=False):
        near = kept and abs(row.x - kept[-1].x) < 0.04 * wide and abs(row.y - kept[-1].y) < 0.06 * high
        if not near:
            kept.append(row)
    return kept


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
