"""Quality on a scale from random heads, 0, to the unpruned model, 1, with what the quality control flags.

Up to eight lines share a panel; more are cut by family, one panel each.

python paper_figures/normalised_quality.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
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
from common import EmptyError, Line, Results, group_label
from families import MANY, line_label, ordered
from looks import DOUBLE, GREY, SINGLE, Look, legend_outside, looks, save, styled, ticks
from matplotlib.axes import Axes
from normalised import scale_note
from quality_vs_heads import family_panels

from headprune.analysis.drawings import Drawing
from headprune.analysis.study import RANDOM, REFERENCE, Point, Study
from headprune.statistics.normalised import ABOVE_UNPRUNED, BELOW_RANDOM, normalised

NAME = "normalised_quality"
FIGURE = Drawing(
    "Quality on a scale from random heads, 0, to the unpruned model, 1.", needs=("method:random", "methods:2")
)
LIMITS = (-0.35, 1.25)  # of the axis; what lies beyond is drawn at the edge
HEIGHT = {True: 2.2, False: 1.6}  # inches of a row, with one panel per group or one per family
MOST_LISTED = 12
OPENING = (
    "Test quality{scale} on a scale on which random heads at the same K are 0 and the unpruned model is 1. Lines: mean "
    "over the seeds that all three have; small points: single seeds. Rings: points that the quality control flags, "
    "below matched random heads or above the unpruned model beyond the t interval at 95 % of the paired difference, "
    "uncorrected; with one seed by sign alone. Open triangles: beyond the panel. No point where random heads are as "
    "good as the unpruned model."
)
NOTHING = "No random heads beside other methods in these results: nothing to normalise quality with."
QUALITY_CONTROL = (BELOW_RANDOM, ABOVE_UNPRUNED)


@dataclass(frozen=True)
class Panel:
    """Some lines of one group."""

    group: tuple[str, ...]
    title: str
    lines: list[Line]
    points: pd.DataFrame


def draw(results: Results, out_dir: Path) -> None:
    """Draw one panel per group, or one per group and family; say so where nothing can be normalised."""
    results = results.untreated()
    tables = {group: table for group in results.groups() if len(table := points_of(results, group))}
    if not tables:
        raise EmptyError(NAME, NOTHING)
    panels = list(panels_of(results, tables))
    alone = len(panels) == len(tables)
    columns = min(3 if alone else 2, len(panels))
    rows = -(-len(panels) // columns)
    width = SINGLE if columns == 1 else DOUBLE
    palette = looks([line for panel in panels for line in panel.lines]) if alone else {}
    with styled():
        figure, grid = plt.subplots(rows, columns, figsize=(width, HEIGHT[alone] * rows + 0.2), squeeze=False)
        for number, (ax, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            draw_panel(ax, panel, palette or looks(panel.lines))
            ax.set_ylabel("" if number % columns else "normalised quality")
            ax.set_title(panel.title, loc="left")
            if alone or number >= len(panels) - columns:
                ax.set_xlabel("heads kept")
            if not alone:
                ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        for ax in list(grid.flat)[len(panels) :]:
            ax.axis("off")
        if alone:
            legend_outside(figure, list(grid.flat), columns=2 if columns == 1 else 4)
        save(figure, out_dir, NAME)
    opening = OPENING.format(scale=scale_note(results))
    write_caption(results, out_dir, NAME, opening, [flagged(results, tables), *beyond(tables)])


def points_of(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """One row per pruned line and budget that can be normalised: heads, value, by seed `single`, flags."""
    study = Study(results, group)
    rows = []
    for point in study.points:
        value = study.normalised(point).value
        if point[0] in (REFERENCE, RANDOM) or not np.isfinite(value):
            continue
        (method, line), budget = point
        flags = tuple(flag for flag in study.flags(point) if flag.startswith(QUALITY_CONTROL))
        row = {"method": method, "line": line, "budget": budget, "heads": study.heads[point], "value": value}
        rows.append(row | {"single": by_seed(study, point), "flags": flags})
    return pd.DataFrame(rows)


def by_seed(study: Study, point: Point) -> list[float]:
    """The normalised quality of every seed that the method, random heads and the unpruned model all have."""
    three = [
        study.values.get(at, {}) if at else {}
        for at in (point, study.at(REFERENCE, point[1]), study.at(RANDOM, point[1]))
    ]
    seeds = sorted(set.intersection(*(set(values) for values in three)))
    found = normalised(*([values[seed] for seed in seeds] for values in three))
    return [float(value) for value in found]


def panels_of(results: Results, tables: dict[tuple[str, ...], pd.DataFrame]) -> Iterator[Panel]:
    """One per group where all have few lines, else one per family."""
    lines = {
        group: ordered((str(m), str(a)) for m, a in table[["method", "line"]].to_numpy())
        for group, table in tables.items()
    }
    many = any(len(own) > MANY for own in lines.values())
    for group, table in tables.items():
        label = group_label(results, group)
        for family, own in family_panels(lines[group]) if many else [("", lines[group])]:
            yield Panel(group, "\n".join(part for part in (label, family) if part), own, table)


def draw_panel(ax: Axes, panel: Panel, palette: dict[Line, Look]) -> None:
    """The lines between the two levels."""
    for level in (0, 1):
        ax.axhline(level, color=GREY, linestyle=":" if level == 0 else (0, (5, 2)), linewidth=1.0, zorder=1.5)
    table = panel.points
    for line in panel.lines:
        own = table[(table["method"] == line[0]) & (table["line"] == line[1])].sort_values("heads")
        draw_line(ax, own, palette[line], line_label(line))
    ax.set_ylim(*LIMITS)
    ax.set_yticks([0, 0.5, 1], ["0 random", "0.5", "1 unpruned"])
    ax.tick_params(axis="y", labelrotation=0)
    met = table.loc[table["heads"] == table["budget"], "heads"]
    ax.set_xticks(ticks(table["heads"] if met.empty else met, gap=0.12))


def draw_line(ax: Axes, points: pd.DataFrame, look: Look, label: str) -> None:
    """One method; rings around what is flagged, triangles at the edge for what lies beyond."""
    shown = points["value"].clip(*LIMITS)
    ax.plot(points["heads"], shown, **look.line, label=label, zorder=3)
    for row in points.itertuples():
        ax.scatter(
            [row.heads] * len(row.single), row.single, s=4, color=look.color, alpha=0.55, linewidths=0, zorder=2.5
        )
    flagged = points["flags"].map(len) > 0
    ring = {"s": 55, "facecolors": "none", "edgecolors": look.color, "linewidths": 0.9, "zorder": 4}
    ax.scatter(points["heads"][flagged], shown[flagged], **ring)
    for edge, marker in zip(LIMITS, ("v", "^"), strict=True):
        out = points["value"] < edge if edge < 0 else points["value"] > edge
        place = edge + 0.05 * (1 if edge < 0 else -1)
        ax.scatter(
            points["heads"][out],
            [place] * int(out.sum()),
            s=16,
            marker=marker,
            facecolors="white",
            edgecolors=look.color,
            zorder=5,
        )


def flagged(results: Results, tables: dict[tuple[str, ...], pd.DataFrame]) -> str:
    """The sentence of the caption that names what is flagged."""
    texts = []
    for group, table in tables.items():
        where = f"{group_label(results, group)}, " if len(tables) > 1 else ""
        for row in table[table["flags"].map(len) > 0].itertuples():
            texts.append(f"{where}{line_label((row.method, row.line))} K = {row.budget} {', '.join(row.flags)}")
    total = sum(map(len, tables.values()))
    if not texts:
        return f"None of {total} points is flagged."
    more = f" and {len(texts) - MOST_LISTED} more" if len(texts) > MOST_LISTED else ""
    return f"{len(texts)} of {total} points are flagged: {'; '.join(texts[:MOST_LISTED])}{more}."


def beyond(tables: dict[tuple[str, ...], pd.DataFrame]) -> list[str]:
    """A sentence on the number of points that lie outside of the panels, where there are such."""
    number = sum(int(((table["value"] < LIMITS[0]) | (table["value"] > LIMITS[1])).sum()) for table in tables.values())
    return [f"{number} points lie beyond their panel."] if number else []


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
