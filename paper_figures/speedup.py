"""Realised against theoretical speed-up: measured latency and throughput over what the multiply-accumulates promise.

python paper_figures/speedup.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from captions import write_caption
from command import run
from common import (
    CELL,
    LINE,
    UNPRUNED,
    EmptyError,
    Line,
    Results,
    group_label,
    in_group,
    lines_of,
    measured,
    outcomes,
    quality_of,
)
from families import MANY, line_label, ordered
from looks import BLACK, DOUBLE, GREY, Look, legend_outside, looks, save, styled
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from headprune.analysis.drawings import Drawing
from headprune.tasks import latency_of

NAME = "speedup"
FIGURE = Drawing("Measured speed-up against what the multiply-accumulates promise.")
THEORY = "macs_per_token"
OPENING = (
    "Realised against theoretical speed-up of physically pruned models over the unpruned model of the same seed. "
    "Theoretical: ratio of multiply-accumulates per token. Realised: ratio of median latencies at batch size 1 (left, "
    "of what the title names) and of median throughputs at the batch size named (right). One point per method and "
    "number of heads kept: mean over runs; bars: from the lower to the upper quartile of the measurements of the "
    "pruned model, averaged over runs; diagonal: realised = theoretical; numbers: heads asked for, at the mean of the "
    "methods. The hardware stands in the signature of each row."
)
NOTHING = "No measured speed of pruned models in these results: nothing to compare with the multiply-accumulates."
MANY_LINES = "Grey: all {} methods; black: their mean at each number of heads asked for."


@dataclass(frozen=True)
class Speed:
    """A measured speed, and whether less of it is faster."""

    metric: str
    title: str
    less_is_faster: bool


SPEEDS = (Speed("latency_ms", "latency", True), Speed("throughput", "throughput", False))


def draw(results: Results, out_dir: Path) -> None:
    """Draw one row of two panels per group; say so where nothing was measured."""
    results = results.untreated()
    panels = [(group, speed, ratios(results, group, speed)) for group in results.groups() for speed in SPEEDS]
    if all(runs.empty for _, _, runs in panels):
        raise EmptyError(NAME, NOTHING)
    lines = [line for line in ordered(results.lines()) if line[0] != UNPRUNED]
    palette = looks(lines) if len(lines) <= MANY else {}
    rows = len(results.groups())
    with styled():
        figure, grid = plt.subplots(rows, 2, figsize=(DOUBLE, 2.5 * rows), squeeze=False)
        for ax, (group, speed, runs) in zip(grid.flat, panels, strict=True):
            draw_panel(ax, runs, palette)
            where = f"{group_label(results, group)}\n" if speed is SPEEDS[0] and rows > 1 else ""
            ax.set_title(where + title(speed, runs), loc="left")
            ax.set_xlabel("theoretical speed-up (MACs)")
            ax.set_ylabel("realised speed-up")
        legend_outside(figure, list(grid.flat), columns=4)
        save(figure, out_dir, NAME)
    notes = [MANY_LINES.format(len(lines))] if not palette else []
    write_caption(results, out_dir, NAME, OPENING, [*notes, *unmeasured(results, panels)], with_metric=False)


Panel = tuple[tuple[str, ...], Speed, pd.DataFrame]


def title(speed: Speed, runs: pd.DataFrame) -> str:
    """`throughput, batch size 32`, `latency per token, batch size 1`"""
    tracks = dict.fromkeys(runs["track"]) if speed.less_is_faster else {}
    per = "".join(f" per {latency_of(track)}" for track in tracks)
    sizes = sorted(runs["batch_size"].dropna().unique()) if "batch_size" in runs else []
    return speed.title + per + (f", batch size {', '.join(f'{size:g}' for size in sizes)}" if sizes else "")


def ratios(results: Results, group: tuple[str, ...], speed: Speed) -> pd.DataFrame:
    """Per pruned run: theoretical and realised speed-up over the unpruned model of its seed, and the quartiles."""
    cells = in_group(results.cells, group)
    batch = 1 if speed.less_is_faster else None
    found = measured(cells, speed.metric, batch_size=batch)
    columns = [*CELL, "line", "heads_kept", "value", "q25", "q75", "batch_size"]
    found = found.reindex(columns=columns)
    theory = measured(cells, THEORY).set_index(CELL)["value"].rename("macs")
    found = found.join(theory, on=CELL)
    dense = found[found["method"] == UNPRUNED].groupby("seed")[["value", "macs"]].mean().add_suffix("_unpruned")
    found = found[found["method"] != UNPRUNED].join(dense, on="seed")
    ends = found[["value", "q25", "q75"]].div(found["value_unpruned"], axis=0)
    ends = 1 / ends if speed.less_is_faster else ends
    found = found.assign(
        theoretical=found["macs_unpruned"] / found["macs"],
        realised=ends["value"],
        low=ends[["q25", "q75"]].min(axis=1),
        high=ends[["q25", "q75"]].max(axis=1),
    )
    return found[np.isfinite(found["theoretical"]) & np.isfinite(found["realised"])]


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means per (method, line, budget) over runs."""
    columns = ["theoretical", "realised", "low", "high", "heads_kept"]
    return runs.groupby([*LINE, "budget"])[columns].mean().reset_index()


def draw_panel(ax: Axes, runs: pd.DataFrame, palette: dict[Line, Look]) -> None:
    """The points over the diagonal. Without a palette: all points in grey, and their means per budget."""
    if runs.empty:
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", color=GREY)
        return
    found = points(runs)
    ends = np.array([min(1.0, found["theoretical"].min()), max(1.0, found["theoretical"].max())])
    ends += np.array([-0.04, 0.04]) * (ends[1] - ends[0] or 1.0)
    ax.plot(ends, ends, color=GREY, linestyle=(0, (5, 2)), linewidth=1.0, label="realised = theoretical", zorder=1.5)
    by_line = lines_of(found)
    for line, own in [(line, by_line[line]) for line in ordered(by_line)] if palette else [(None, found)]:
        look = palette[line] if line else Look("#999999", "o")
        ax.vlines(own["theoretical"], own["low"], own["high"], color=look.color, linewidth=0.8, alpha=0.6, zorder=2)
        ax.scatter(
            own["theoretical"],
            own["realised"],
            s=look.size**2 if line else 8,
            color=look.color,
            marker=look.marker,
            edgecolors="white",
            linewidths=0.4,
            label=line_label(line) if line else "one method at one K",
            zorder=3 if line else 2.5,
        )
    means = found.groupby("budget")[["theoretical", "realised", "high", "heads_kept"]].mean()
    if not palette:
        style = {"s": 20, "color": BLACK, "marker": "D", "edgecolors": "white", "linewidths": 0.4}
        ax.scatter(means["theoretical"], means["realised"], label="mean of the methods", zorder=4, **style)
    name_budgets(ax, found, means)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.margins(y=0.12)


def name_budgets(ax: Axes, found: pd.DataFrame, means: pd.DataFrame) -> None:
    """The numbers of heads along the upper edge, those that have room."""
    span = found["theoretical"].max() - found["theoretical"].min() or 1.0
    last = -np.inf
    for row in means.sort_values("theoretical").itertuples():
        if row.theoretical - last < 0.09 * span:
            continue
        last = row.theoretical
        ax.axvline(last, color="#DDDDDD", linewidth=0.5, zorder=1)
        ax.text(
            last,
            0.995,
            f"{row.Index:g}",
            transform=ax.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=7,
            color="#444444",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )


def unmeasured(results: Results, panels: Sequence[Panel]) -> list[str]:
    """Sentences on the pruned runs with a result that are in no panel, one a group that has such."""
    texts = []
    for group, speed, runs in panels:
        cells = in_group(results.cells, group)
        every = outcomes(cells, quality_of(cells))
        done = ((every["status"] == "ok") & (every["method"] != UNPRUNED)).sum()
        if done > len(runs):
            texts.append(f"{done - len(runs)} runs without {speed.metric} or {THEORY}: {', '.join(group)}.")
    return texts


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_times=True)


if __name__ == "__main__":
    sys.exit(main())
