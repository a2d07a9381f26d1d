"""Test quality against every cost of running a model, with the Pareto front of the pruned models and its band.

Heads, parameters, multiply-accumulates, measured latency and throughput; the cost of finding a mask is pruning_cost.py.
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
import numpy as np
import pandas as pd
from captions import measured_notes, write_caption
from command import run
from common import (
    CELL,
    LINE,
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
    quality_of,
)
from families import MANY, line_label, ordered
from looks import DOUBLE, GREY, Look, entries_of, legend_outside, looks, quality_axis, save, styled
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import PAGE
from steps import band_sentence, draw_band, front_steps

from headprune.analysis.drawings import Drawing
from headprune.analysis.quality import of_track
from headprune.statistics import pareto_front
from headprune.tasks import latency_of

NAME = "pareto"
FIGURE = Drawing("Quality against parameters and measured latency; the steps are what no other model beats.")
OPENING = (
    "Quality against what running a model costs: heads kept, parameters, multiply-accumulates, and measured on "
    "physically pruned models the median latency {latency} and the time per token in large batches; "
    "cheaper is left. One point per method, arm and number of heads kept K: the mean over runs. Horizontal bars: "
    "quartiles of the measurements, averaged over runs. Step line: Pareto front of all pruned models, drawn through "
    "the means; numbers along it: K. {band}. Star: the unpruned model. The hardware stands in the signature of each "
    "row."
)
DIMMED = "Grey dots: points off the front, of {} lines."
COLUMNS, HEIGHT, LEAST = 3, 2.1, 1.5  # panels in a row, and inches of a row
MOST_LISTED = 15  # entries of a legend in the place of a panel


@dataclass(frozen=True)
class Cost:
    """A horizontal axis: a metric, the factor that brings it to the printed unit, and the label.

    :param inverse: the metric is a rate; the cost is the time for one
    """

    metric: str
    label: str  # with a place for what a latency is of
    scale: float = 1.0
    batch_size: int | None = None
    inverse: bool = False

    @property
    def name(self) -> str:
        """The label without its unit."""
        return self.label.partition(" (")[0]

    def label_of(self, track: str) -> str:
        """The label of a track's axis: a language model's latency is that of a token, another's of a sentence."""
        return self.label.format(latency=latency_of(track))


def latency_sentence(results: Results) -> str:
    """A sentence on what a latency is the time of, in every track of the results."""
    tracks = dict.fromkeys(group[1] for group in results.groups())
    several = {track: f" (track {track})" if len(tracks) > 1 else "" for track in tracks}
    return " and ".join(f"per {latency_of(track)} at batch size 1{several[track]}" for track in tracks)


COSTS = (
    Cost("heads_kept", "heads kept"),
    Cost("parameters", "parameters (M)", 1e-6),
    Cost("macs_per_token", "multiply-accumulates (M per token)", 1e-6),
    Cost("latency_ms", "latency (ms per {latency})", batch_size=1),
    Cost("throughput", "time in large batches (µs per token)", 1e6, inverse=True),
)


def draw(results: Results, out_dir: Path) -> None:
    """Draw the panels of every group in rows, the legend in the place that they leave, or below."""
    results = results.untreated()
    panels = [(group, cost, runs_with(results, group, cost)) for group in results.groups() for cost in COSTS]
    if all(runs["x"].isna().all() for _, _, runs in panels):
        raise EmptyError(NAME, "No cell has both a test quality and a cost: nothing to trade off.")
    lines = [line for line in results.lines() if line[0] != UNPRUNED]
    dim = len(lines) > MANY
    ahead = {line for group, _, runs in panels for line in own_front(group, runs)}
    palette = looks([*ahead, (UNPRUNED, "")] if dim else results.lines())
    groups = results.groups()
    known = {cost for _, cost, runs in panels if runs["x"].notna().any()}  # what no run has gets no panel
    rows = -(-len(known) // COLUMNS) * len(groups)
    with styled():
        high = max(LEAST, min(HEIGHT, PAGE / rows))
        figure, grid = plt.subplots(rows, COLUMNS, figsize=(DOUBLE, high * rows), squeeze=False)
        cells = list(grid.flat)
        size = len(cells) // len(groups)
        for number, group in enumerate(groups):
            axes = cells[number * size : (number + 1) * size]
            own = [(cost, runs) for other, cost, runs in panels if other == group and cost in known]
            draw_group(axes, own, palette, group[1], dim)
            axes[0].set_title(group_label(results, group), loc="left")
        by_group = [cells[number * size : (number + 1) * size] for number in range(len(groups))]
        draw_legends(figure, by_group, len(known))
        save(figure, out_dir, NAME)
    notes = []
    for group in groups:
        own = [(cost.name, runs) for other, cost, runs in panels if other == group]
        notes += measured_notes(", ".join(filter(None, group[1:])), own)
    write_caption(
        results,
        out_dir,
        NAME,
        OPENING.format(band=band_sentence(results), latency=latency_sentence(results)),
        [DIMMED.format(len(lines)), *notes] if dim else notes,
    )


def draw_group(
    axes: Sequence[Axes],
    panels: Sequence[tuple[Cost, pd.DataFrame]],
    palette: dict[Line, Look],
    track: str,
    dim: bool,
) -> None:
    """The panels of one group on one scale of quality, named on the left."""
    quality = of_track(track)
    for number, (ax, (cost, runs)) in enumerate(zip(axes, panels, strict=False)):
        draw_panel(ax, runs, palette, quality, dim)
        ax.set_xlabel(cost.label_of(track))
        if number:
            ax.sharey(axes[0])
    for number, ax in enumerate(axes[: len(panels)]):
        quality_axis(ax, quality)
        if number % COLUMNS:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)


def draw_legends(figure: Figure, groups: Sequence[Sequence[Axes]], panels: int) -> None:
    """Each group's beside its last panel; one under all panels where there is no place, or too little."""
    for ax in (ax for axes in groups for ax in axes[panels:]):
        ax.axis("off")
    found = [entries_of(axes) for axes in groups]
    if panels == len(groups[0]) or max(map(len, found)) > MOST_LISTED:
        legend_outside(figure, [ax for axes in groups for ax in axes], columns=5)
        return
    for axes, entries in zip(groups, found, strict=True):
        axes[-1].legend(list(entries.values()), list(entries), loc="center left", borderaxespad=0)


def runs_with(results: Results, group: tuple[str, ...], cost: Cost) -> pd.DataFrame:
    """The runs of a group that have a quality `y`, with their cost `x` (NaN: not measured) and quartiles."""
    cells = in_group(results.cells, group)
    runs = outcomes(cells, quality_of(cells))
    if cost.metric == "heads_kept":
        runs = runs.assign(x=runs["heads_kept"] * cost.scale, q25=np.nan, q75=np.nan)
    else:
        costs = measured(cells, cost.metric, batch_size=cost.batch_size).rename(columns={"value": "x"})
        costs = costs.set_index(CELL).reindex(columns=["x", "q25", "q75"])
        runs = runs.join(cost.scale / costs if cost.inverse else cost.scale * costs, on=CELL)
    return runs[runs["status"] == "ok"].rename(columns={"value": "y", "heads_kept": "heads"})


def points(runs: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """Means per (method, line, budget) over the runs that have both quality and cost."""
    complete = runs.dropna(subset=["x"])
    means = dict.fromkeys(["x", "heads", "q25", "q75"], "mean") | {"y": quality.mean}
    return complete.groupby([*LINE, "budget"]).agg(means).reset_index()


def draw_panel(ax: Axes, runs: pd.DataFrame, palette: dict[Line, Look], quality: Quality, dim: bool) -> None:
    """The front and its band under the points of every line; `dim`: under its own points only, the others in grey."""
    means = points(runs, quality)
    if means.empty:
        ax.set_xticks([])
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", color=GREY)
        return
    pruned = means[means["method"] != UNPRUNED].reset_index(drop=True)
    ax.margins(x=0.06, y=0.1)
    if runs["x"].isna().any():
        ax.set_title(f"measured on {runs['x'].notna().sum()} of {len(runs)} runs", loc="right", fontsize=7, color=GREY)
    draw_front(ax, runs[runs["method"] != UNPRUNED], pruned, means["x"].max(), quality)
    if dim:
        front = front_of(pruned, quality)
        others = pruned.drop(front.index)
        ax.scatter(others["x"], others["y"], s=7, color="#B5B5B5", linewidths=0, label="off the front", zorder=2)
        means = pd.concat([means[means["method"] == UNPRUNED], front])
    by_line = lines_of(means)
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
    low, high = ax.get_xlim()
    ax.set_xlim(low - 0.12 * (high - low), high)  # the labels of the first points keep clear of the axis


def front_of(pruned: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """The points on the front, by rising cost."""
    return pruned.iloc[pareto_front(pruned["x"], quality.worth(pruned["y"]))]


def own_front(group: tuple[str, ...], runs: pd.DataFrame) -> set[Line]:
    """The lines on the front of a group."""
    quality = of_track(group[1])
    return front_lines(points(runs, quality), quality)


def front_lines(points: pd.DataFrame, quality: Quality) -> set[Line]:
    """The lines that have a point on the front."""
    return set(lines_of(front_of(points[points["method"] != UNPRUNED], quality)))


def draw_front(ax: Axes, runs: pd.DataFrame, pruned: pd.DataFrame, right: float, quality: Quality) -> None:
    """The best quality that a pruned model reaches at each cost, as steps; the points named by their K."""
    front, sign = front_of(pruned, quality), quality.sign
    if front.empty:
        return
    draw_band(ax, front_steps(runs, quality, right), GREY)
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
        near = kept and abs(row.x - kept[-1].x) < 0.075 * wide and abs(row.y - kept[-1].y) < 0.08 * high
        if not near:
            kept.append(row)
    return kept


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_times=True)


if __name__ == "__main__":
    sys.exit(main())
