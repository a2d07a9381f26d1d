"""Test quality against non-embedding parameters: all models of a dataset on one plot, each with its pruned versions.

python paper_figures/size_vs_quality.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
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
    GROUP,
    LINE,
    UNPRUNED,
    EmptyError,
    Line,
    Quality,
    Results,
    in_group,
    lines_of,
    measured,
    outcomes,
    quality_of,
)
from families import MANY, line_label, ordered
from looks import (
    BLUE,
    DASHED,
    DOT_DASHED,
    DOUBLE,
    GREEN,
    GREY,
    PURPLE,
    SHORT,
    SINGLE,
    VERMILLION,
    Look,
    legend_outside,
    looks,
    quality_axis,
    save,
    styled,
    value_axis,
)
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from pages import fitting, selection_note
from steps import band_sentence, draw_band, front_steps

from headprune.analysis.drawings import Drawing

NAME = "size_vs_quality"
FIGURE = Drawing("Test quality against parameters: every model of a dataset with its pruned versions.")
METRIC, UNIT = "parameters_non_embedding", 1e-6
COLUMNS = 2
WORST = 3  # times the perplexity of the best unpruned model: the models are told apart well below
MODELS = (Look(BLUE, "", "-"), Look(VERMILLION, "", DASHED), Look(GREEN, "", SHORT), Look(PURPLE, "", DOT_DASHED))
OPENING = (
    "Test quality against parameters without embeddings, the models of a dataset together: colour and dashes by model, "
    "markers by method. Large stars: the unpruned models. Points: one per method and number of heads kept, mean over "
    "runs; steps: the best quality that the pruned versions of a model, or itself, reach with so many parameters. "
    "{band}.{edge} Descriptive: no test."
)
EDGE = " Open markers at the upper edge: more than three times the perplexity of the best unpruned model."
Dataset = tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """One dataset: its models in table order, with points per model."""

    dataset: Dataset
    quality: Quality
    models: dict[str, pd.DataFrame]


def draw(results: Results, out_dir: Path) -> None:
    """Draw one panel per dataset."""
    results = results.untreated()
    panels = [panel for dataset in datasets(results) if (panel := panel_of(results, dataset)).models]
    if not panels:
        raise EmptyError(NAME, f"No cell has both a test quality and {METRIC}.")
    every = [line for line in results.lines() if line[0] != UNPRUNED]
    lines = fitting(results, results.groups()[0], every, MANY)
    markers = looks(lines)
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = SINGLE if columns == 1 else DOUBLE
    with styled():
        figure, grid = plt.subplots(rows, columns, figsize=(width, 2.6 * rows), squeeze=False)
        for ax, panel in zip(grid.flat, panels, strict=False):
            draw_panel(ax, panel, markers)
            ax.set_title(dataset_label(panels, panel), loc="left")
        for ax in list(grid.flat)[len(panels) :]:
            ax.axis("off")
        legend_outside(figure, list(grid.flat), columns=2 if columns == 1 else 4)
        save(figure, out_dir, NAME)
    notes = [*savings(panels), *selection_note(len(lines), len(every))]
    if len(lines) < len(every):
        notes.append("Methods that are not shown count in the steps, and are small dots.")
    write_caption(results, out_dir, NAME, opening(results, panels), notes)


def opening(results: Results, panels: Sequence[Panel]) -> str:
    """The first sentences of the caption: what the figure shows, and what lies at its edge where something does."""
    edge = any((runs["y"] > edge_of(panel)).any() for panel in panels for runs in panel.models.values())
    return OPENING.format(band=band_sentence(results), edge=EDGE if edge else "")


def edge_of(panel: Panel) -> float:
    """The largest perplexity of the axis; nothing bounds other qualities."""
    runs = pd.concat(panel.models.values())
    best = runs.loc[runs["method"] == UNPRUNED].groupby("budget")["y"].agg(panel.quality.mean).min()
    return WORST * best if panel.quality.scale == "log" and np.isfinite(best) else np.inf


def datasets(results: Results) -> list[Dataset]:
    """The (profile, track, dataset) of the table."""
    return list(dict.fromkeys(group[:3] for group in results.groups()))


def dataset_label(panels: Sequence[Panel], panel: Panel) -> str:
    """The parts of a dataset's name that tell it from the others; the dataset where there is one only."""
    varying = [i for i in range(3) if len({other.dataset[i] for other in panels}) > 1]
    return ", ".join(panel.dataset[i] for i in varying or [2])


def panel_of(results: Results, dataset: Dataset) -> Panel:
    """The runs of a dataset's models that have both a quality and a size."""
    models = {}
    own = [group for group in results.groups() if group[:3] == dataset]
    for group in own:
        cells = in_group(results.cells, group)
        size = measured(cells, METRIC).set_index(CELL)["value"].rename("x") * UNIT
        runs = outcomes(cells, quality_of(cells)).join(size, on=CELL).rename(columns={"value": "y"})
        runs = runs[runs["y"].notna() & runs["x"].notna()]
        if len(runs):
            models[group[GROUP.index("model")]] = runs
    return Panel(dataset, quality_of(in_group(results.cells, own[0])), models)


def draw_panel(ax: Axes, panel: Panel, markers: dict[Line, Look]) -> None:
    """Every model: its front over its points, in its colour."""
    ends = [float(pick(pd.concat(panel.models.values())["x"])) for pick in (min, max)]
    ax.margins(x=0.06, y=0.08)
    for number, (model, runs) in enumerate(panel.models.items()):
        look = MODELS[number % len(MODELS)]
        steps = front_steps(runs, panel.quality, min(ends[1], runs["x"].max()))
        draw_band(ax, steps, look.color)
        ax.step(steps.at, steps.value, where="post", color=look.color, linestyle=look.dash, linewidth=1.1, zorder=2)
        ax.plot([], [], color=look.color, linestyle=look.dash, marker="*", markersize=8, label=model)
    edge = edge_of(panel)
    for number, runs in enumerate(panel.models.values()):
        draw_points(ax, runs, MODELS[number % len(MODELS)].color, markers, edge, panel.quality)
    ax.set_xlabel("parameters without embeddings (M)")
    quality_axis(ax, panel.quality)
    if ax.dataLim.y1 >= edge:
        low = min(runs["y"].min() for runs in panel.models.values())
        value_axis(ax, "y", panel.quality, (low, edge))
        ax.set_ylim(low * 0.95, edge * 1.08)


def points_of(runs: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """Means over runs per line and budget: size `x`, quality `y`."""
    return runs.groupby([*LINE, "budget"]).agg({"x": "mean", "y": quality.mean}).reset_index()


def draw_points(
    ax: Axes, runs: pd.DataFrame, color: str, markers: dict[Line, Look], edge: float, quality: Quality
) -> None:
    """One point per line and budget, means over runs; the legend names the markers in grey. Beyond the edge: open."""
    means = points_of(runs, quality)
    beyond, by_line = means["y"] > edge, lines_of(means)
    for line, far in lines_of(means[beyond]).items():
        marker = markers[line].marker if line in markers else "."
        top = [edge] * len(far)
        ax.scatter(far["x"], top, marker=marker, s=14, facecolors="none", edgecolors=color, linewidths=0.8, zorder=3)
    by_line = {line: own[own["y"] <= edge] for line, own in by_line.items()}
    for line in ordered(by_line):
        own, look = by_line[line], markers.get(line)
        style = {"color": color, "edgecolors": "white", "linewidths": 0.4}
        if line[0] == UNPRUNED:
            ax.scatter(own["x"], own["y"], marker="*", s=110, zorder=5, **style)
        elif look:
            ax.scatter(own["x"], own["y"], marker=look.marker, s=look.size**2, zorder=3, **style)
            ax.add_line(Line2D([], [], linestyle="", marker=look.marker, color=GREY, label=line_label(line)))
        else:
            ax.scatter(own["x"], own["y"], marker=".", s=8, color=color, linewidths=0, alpha=0.5, zorder=2.5)


def savings(panels: Sequence[Panel]) -> list[str]:
    """The headline in numbers: what share of its parameters each model can lose at how much quality."""
    found = []
    for panel in panels:
        for model, runs in panel.models.items():
            unpruned = runs[runs["method"] == UNPRUNED]
            dense = {"x": unpruned["x"].mean(), "y": panel.quality.mean(unpruned["y"])}
            if not np.isfinite(dense["x"]):
                continue
            means = points_of(runs[runs["method"] != UNPRUNED], panel.quality)
            as_good = means[panel.quality.sign * (means["y"] - dense["y"]) >= 0]
            least = as_good.loc[as_good["x"].idxmin()] if len(as_good) else None
            text = (
                f"{model}: {dense['x']:.3g} M parameters, {panel.quality.label} {dense['y']:.{panel.quality.digits}f}"
            )
            if least is None:
                found.append(f"{text}; no pruned version is as good in the mean.")
            else:
                name = line_label((least["method"], least["line"]))
                found.append(f"{text}; smallest pruned version as good in the mean: {least['x']:.3g} M ({name}).")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
