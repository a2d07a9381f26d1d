"""Test quality against heads kept: one line per method and arm, with its runs and the interval of their mean.

Up to eight lines share one panel; more are cut by family, one panel each, with the unpruned model and random in grey.
What papers report on the same set stands beside them, hollow.

python paper_figures/quality_vs_heads.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from captions import write_caption
from command import run
from common import (
    LEAST,
    LINE,
    UNPRUNED,
    EmptyError,
    Line,
    Quality,
    Results,
    group_label,
    in_group,
    lines_of,
    outcomes,
    over_seeds,
    quality_of,
)
from families import MANY, TWIN, by_family, line_label, ordered
from looks import (
    DOUBLE,
    GREY,
    SINGLE,
    Look,
    draw_range,
    draw_reference,
    entries_of,
    legend_outside,
    looks,
    quality_axis,
    save,
    styled,
    ticks,
)
from matplotlib.axes import Axes
from reported import draw_reported, reported, reported_notes

from headprune.analysis.adapted import adapted_in
from headprune.analysis.drawings import Drawing

NAME = "quality_vs_heads"
FIGURE = Drawing("Test quality against the number of heads kept, with the interval over seeds.")
OPENING = (
    "Quality against the number of heads kept. Lines: mean over seeds; bands: of three seeds and more the 95 % t "
    "interval of the mean, of two the lowest and the highest run; small points: single runs. Draws of a seed are "
    "averaged. Dashed horizontal line with its band: the unpruned model."
)
PANELS = "One panel per family of methods; grey in all of them: the unpruned model (dashed), random (dotted)."
SMALL = {"lines.linewidth": 1.0, "legend.handlelength": 2.3}  # of one panel among many
RANDOM = ("random", "")

Panel = tuple[tuple[str, ...], pd.DataFrame]  # a group and its runs


def draw(results: Results, out_dir: Path) -> None:
    """Draw one panel per group, or one per group and family."""
    results = results.untreated(besides=[TWIN])
    panels = [(group, _runs(results, group)) for group in results.groups()]
    shown = [(group, runs) for group, runs in panels if not runs.empty]
    if not any(_pruned(runs) for _, runs in shown):
        raise EmptyError(NAME, "No pruned model in these results has a test quality.")
    many = any(len(_pruned(runs)) > MANY for _, runs in shown)
    with styled(), plt.rc_context(SMALL if many else {}):
        (draw_families if many else draw_groups)(results, shown)
        save(plt.gcf(), out_dir, NAME)
    every = pd.concat([runs for _, runs in shown], ignore_index=True)
    notes = [f"Not drawn, no result: {', '.join(g)}." for g, runs in panels if runs.empty]
    notes += [*adapted_note(results, every), *missed_note(every)]
    notes += [note for group, _ in shown for note in reported_notes(reported(results, group))]
    write_caption(results, out_dir, NAME, OPENING, [PANELS, *notes] if many else notes)


def adapted_note(results: Results, runs: pd.DataFrame) -> list[str]:
    """A sentence on the lines whose weights were trained with their mask; none where there are none."""
    is_adapted = adapted_in(results.folder)
    labels = [line_label(line) for line in _pruned(runs) if is_adapted(line)]
    note = "the weights were trained with the mask, too; the other lines prune trained weights as they are."
    return [f"{', '.join(labels)}: {note}"] if labels else []


def missed_note(runs: pd.DataFrame) -> list[str]:
    """A sentence on the lines that keep other numbers of heads than K; none where all keep K."""
    off = (runs["heads_kept"] - runs["budget"]).abs()
    lines = lines_of(runs[(runs["method"] != UNPRUNED) & (off > 0)])
    most = [f"{line_label(line)} by up to {off[lines[line].index].max():g}" for line in ordered(lines)]
    return [f"Points stand at the heads kept, which miss the K asked for: {', '.join(most)}."] if most else []


def _runs(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    cells = in_group(results.cells, group)
    runs = outcomes(cells, quality_of(cells))
    return runs[runs["status"] == "ok"]


def _pruned(runs: pd.DataFrame) -> list[Line]:
    return [line for line in ordered(lines_of(runs)) if line[0] != UNPRUNED]


def draw_groups(results: Results, shown: Sequence[Panel]) -> None:
    """One panel per group with all its lines."""
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    size = (SINGLE, 2.4) if len(shown) == 1 else (DOUBLE, 2.3 * rows)
    palette = looks(results.lines())
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    axes = list(grid.flat)
    for ax, (group, runs) in zip(axes, shown, strict=False):
        quality = quality_of(in_group(results.cells, group))
        draw_panel(ax, runs, palette, quality)
        draw_reported(ax, reported(results, group), runs["n_heads"].max(), palette)
        quality_axis(ax, quality)
        label = group_label(results, group)
        ax.set_title("\n".join(filter(None, [label, seeds_label(runs)])))
    for ax in axes[len(shown) :]:
        ax.axis("off")
    legend_outside(figure, axes, columns=2 if len(shown) == 1 else 4)


def draw_panel(ax: Axes, runs: pd.DataFrame, palette: dict[Line, Look], quality: Quality) -> None:
    """All lines of one group; the unpruned reference lies under them."""
    by_line = lines_of(runs)
    for line in ordered(by_line):
        if line[0] == UNPRUNED:
            draw_reference(ax, by_line[line]["value"], quality, palette[line], line_label(line))
        else:
            draw_line(ax, by_line[line], palette[line], line_label(line), quality)
    if _pruned(runs):
        heads = met_budgets(runs)
        ax.set_xticks(ticks(heads))
        if heads.nunique() == 1:
            ax.set_xlim(heads.iloc[0] - 2, heads.iloc[0] + 2)
    ax.set_xlabel(heads_label(runs))


def met_budgets(runs: pd.DataFrame) -> pd.Series:
    """Numbers of heads kept that are those asked for; all of them where none is. Not all heads, if others are there."""
    pruned = runs[runs["method"] != UNPRUNED]
    less = pruned[pruned["budget"] < pruned["n_heads"]]
    achieved = (pruned if less.empty else less).groupby([*LINE, "budget"])["heads_kept"].mean()
    met = achieved[achieved == achieved.index.get_level_values("budget")]
    return achieved if met.empty else met


def heads_label(runs: pd.DataFrame) -> str:
    """The label of the axis of heads, with the number of heads of the models."""
    return f"heads kept (of {', '.join(f'{n:g}' for n in sorted(set(runs['n_heads'])))})"


def seeds_label(runs: pd.DataFrame) -> str:
    """The number of seeds behind the points, and what their bands are: `n = 12 seeds, bands: 95 % interval …`."""
    counts = runs.groupby([*LINE, "budget"])["seed"].nunique()
    least, most = int(counts.min()), int(counts.max())
    n = f"n = {most}" if least == most else f"n = {least} to {most}"
    if most < LEAST:
        return f"{n} seed{'s, bands: lowest to highest' if most > 1 else ''}"
    return f"{n} seeds, bands: 95 % interval of the mean"


def draw_families(results: Results, shown: Sequence[Panel]) -> None:
    """Two panels side by side, each with its legend to its right; the groups below each other."""
    panels = [list(family_panels(_pruned(runs))) for _, runs in shown]
    rows = [-(-len(found) // 2) for found in panels]
    figure = plt.figure(figsize=(DOUBLE, 1.6 * sum(rows) + 0.3))
    grid = figure.add_gridspec(sum(rows), 2)
    references: list[Axes] = []
    grey = [line_label((UNPRUNED, "")), line_label(RANDOM)]
    for number, ((group, runs), found) in enumerate(zip(shown, panels, strict=True)):
        first: Axes | None = None
        quality = quality_of(in_group(results.cells, group))
        for place, (family, lines) in enumerate(found):
            row = sum(rows[:number]) + place // 2
            ax = first = figure.add_subplot(grid[row, place % 2], sharex=first, sharey=first)
            references.append(ax)
            draw_family(ax, runs, lines, quality)
            grey += draw_reported(ax, reported(results, group), runs["n_heads"].max(), {})
            quality_axis(ax, quality)
            ax.set_xticks(ticks(met_budgets(runs), gap=0.1))
            ax.set_ylabel("" if place % 2 else quality.label)
            group_title = f"{group_label(results, group)}\n" if place == 0 and len(shown) > 1 else ""
            ax.set_title(f"{group_title}{family}", loc="left")
    every = pd.concat([runs for _, runs in shown])
    figure.supxlabel(f"{heads_label(every)}; {seeds_label(every)}", fontsize=8)
    legend_outside(figure, references[1:] or references, columns=2, above=True, only=grey)


def family_panels(lines: Sequence[Line]) -> Iterator[tuple[str, list[Line]]]:
    """Families with their lines; one of more lines than a panel holds is cut into panels of about equal size."""
    for family, members in by_family(lines).items():
        parts = -(-len(members) // MANY)
        size = -(-len(members) // parts)
        for number in range(parts):
            suffix = f" ({number + 1} of {parts})" if parts > 1 else ""
            yield family + suffix, members[number * size : (number + 1) * size]


def draw_family(ax: Axes, runs: pd.DataFrame, lines: Sequence[Line], quality: Quality) -> None:
    """The lines of one family over the references in grey, with a legend of these lines right of the panel."""
    by_line, palette = lines_of(runs), looks(lines)
    if (UNPRUNED, "") in by_line:
        look = Look(GREY, "", (0, (5, 2)))
        draw_reference(ax, by_line[UNPRUNED, ""]["value"], quality, look, line_label((UNPRUNED, "")))
    if RANDOM in by_line and RANDOM not in lines:
        points = over_seeds(by_line[RANDOM], quality).sort_values("heads")
        ax.plot(points["heads"], points["mean"], ":", color=GREY, linewidth=1.2, label=line_label(RANDOM), zorder=1.6)
    for line in lines:
        draw_line(ax, by_line[line], palette[line], line_label(line), quality)
    own = {label: handle for label, handle in entries_of([ax]).items() if label in map(line_label, lines)}
    ax.legend(own.values(), own.keys(), loc="center left", bbox_to_anchor=(1.0, 0.5))


def draw_line(ax: Axes, runs: pd.DataFrame, look: Look, label: str, quality: Quality) -> None:
    """One method: band, single runs, mean."""
    points = over_seeds(runs, quality).sort_values("heads")
    draw_range(ax, points["heads"], points["low"], points["high"], look.color)
    ax.scatter(runs["heads_kept"], runs["value"], s=4, color=look.color, alpha=0.55, linewidths=0, zorder=2.5)
    ax.plot(points["heads"], points["mean"], **look.line, label=label, zorder=3)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
