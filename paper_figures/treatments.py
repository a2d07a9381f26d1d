"""The gain of treating the pruned models: fine-tuning, distillation, compensation, twins, training anew.

One panel per method and arm, its treated masks beside the untreated ones at the same budgets.

python paper_figures/treatments.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from captions import write_caption
from command import run
from common import (
    GROUP,
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
    split_arm,
)
from families import TREATMENT_NAMES, line_label, treatment_label
from looks import (
    BLACK,
    BLUE,
    DASHED,
    DOT_DASHED,
    DOTTED,
    DOUBLE,
    GREEN,
    GREY,
    LONG,
    ORANGE,
    PURPLE,
    SHORT,
    SINGLE,
    SKY,
    VERMILLION,
    Look,
    draw_range,
    draw_reference,
    legend_outside,
    quality_axis,
    save,
    styled,
    ticks,
)
from matplotlib.axes import Axes
from pages import PAGE, fitting, selection_note

from headprune.analysis.drawings import Drawing
from headprune.analysis.study import Study

NAME = "treatments"
FIGURE = Drawing(
    "Pruned models as they were found, and after fine-tuning, distillation and other treatments.", needs=("treatments",)
)
COLUMNS, HEIGHT = 3, 1.75
LOOKS = {
    "": Look(BLACK, "o"),
    "ft": Look(BLUE, "s", DASHED),
    "distil": Look(GREEN, "^", SHORT),
    "bc": Look(ORANGE, "D", DOT_DASHED),
    "scratch": Look(VERMILLION, "P", LONG),
    "twin": Look(GREY, "X", DOTTED),
}
OTHERS = [Look(PURPLE, "v", DASHED), Look(SKY, "h", SHORT)]
OPENING = (
    "What treating a pruned model changes: one panel per method and arm, its masks as they were found (black) and "
    "treated afterwards. Lines: mean over seeds; bands: of three seeds and more the 95 % t interval of the mean, of "
    "two the lowest and the highest run. Random twin: random heads, as many of every module as the mask keeps. From "
    "scratch: the pruned architecture trained from new weights. Grey dashes: the unpruned model, and, shorter, the "
    "same trained on as long as the fine-tuned ones, where there is one."
)
NOTHING = "No treated masks in these results: no treatment is configured, or none has a result."
PAIR = [*GROUP, "method", "base", "budget", "seed"]


def draw(results: Results, out_dir: Path) -> None:
    """Draw one panel per group and treated line; say so where there is none."""
    rows = max(1, int((PAGE - 0.8) / HEIGHT / len(results.groups())))
    panels: list[tuple[tuple[str, ...], Line, pd.DataFrame]] = []
    notes = []
    for group in results.groups():
        runs = treated_runs(results, group)
        if runs.empty:
            continue
        found = lines_of(runs.rename(columns={"line": "full_line", "base_line": "line"}))
        shown = fitting(results, group, list(found), rows * COLUMNS)
        panels += [(group, line, found[line]) for line in shown]
        notes += [*gains(results, group, runs), *selection_note(len(shown), len(found))]
    if not panels:
        raise EmptyError(NAME, NOTHING)
    with styled():
        draw_panels(results, panels)
        save(plt.gcf(), out_dir, NAME)
    results = results.only({(method, arm) for _, (method, _), runs in panels for arm in runs["full_line"]})
    write_caption(results, out_dir, NAME, OPENING, notes)


def treated_runs(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """Completed runs of one group, treated or not, of the lines that were treated: `base`, `base_line`, `treatment`."""
    cells = in_group(results.cells, group)
    runs = outcomes(cells, quality_of(cells))
    runs = runs[(runs["status"] == "ok") & (runs["method"].str.partition("+")[0] != UNPRUNED)]
    if runs.empty:
        return runs
    runs = runs.assign(
        base=runs["arm"].map(lambda arm: split_arm(arm)[0]),
        base_line=runs["line"].map(lambda arm: split_arm(arm)[0]),
        treatment=runs["line"].map(lambda arm: split_arm(arm)[1]),
    )
    touched = runs[runs["treatment"] != ""].groupby(["method", "base_line"]).groups
    pairs = zip(runs["method"], runs["base_line"], strict=True)
    return runs[[pair in touched for pair in pairs]]


def differences(runs: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """Per treated run, `difference`: by how much it is better than the same mask, budget and seed untreated."""
    base = runs[runs["treatment"] == ""].set_index(PAIR)["value"].rename("untreated")
    treated = runs[runs["treatment"] != ""].join(base, on=PAIR, how="inner")
    return treated.assign(difference=quality.worth(treated["value"]) - quality.worth(treated["untreated"]))


def gains(results: Results, group: tuple[str, ...], runs: pd.DataFrame) -> list[str]:
    """One sentence of the caption: mean paired difference of every treatment."""
    quality = quality_of(in_group(results.cells, group))
    bound = {point: found for point, found in Study(results, group).freedoms.items() if found.little}
    points = zip(zip(runs["method"], runs["line"], strict=True), runs["budget"], strict=True)
    pairs = differences(runs[[point not in bound for point in points]], quality)
    texts = []
    for treatment in treatments(pairs["treatment"]):
        found = pairs.loc[pairs["treatment"] == treatment, "difference"]
        better = int((found > 0).sum())
        mean = f"{found.mean():+.{quality.difference_digits}f}"
        texts.append(f"{treatment_label(treatment)} {mean} ({better} of {len(found)} better)")
    start = f"{group_label(results, group)}: " if len(results.groups()) > 1 else ""
    listed = "; ".join(texts)
    what = f"{quality.label} in {quality.unit}"
    left_out = f" Left out are twins with too little freedom at {len(bound)} points (table `twins`)." if bound else ""
    return [f"{start}Mean improvement over the same mask untreated, {what}: {listed}.{left_out}"] if texts else []


def treatments(found: Iterable[str]) -> list[str]:
    """The treatments in print order; unknown ones last."""
    names = set(found)
    return [name for name in TREATMENT_NAMES if name in names] + sorted(names - {"", *TREATMENT_NAMES})


def draw_panels(results: Results, panels: Sequence[tuple[tuple[str, ...], Line, pd.DataFrame]]) -> None:
    """Panels from left to right, the legend above all of them."""
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    size = (SINGLE if columns == 1 else DOUBLE, HEIGHT * rows + 0.2)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey=len(results.groups()) == 1)
    unknown = treatments(pd.concat([runs["treatment"] for _, _, runs in panels]))
    unknown = [name for name in unknown if name not in LOOKS]
    palette = LOOKS | {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(unknown)}
    for number, (ax, (group, line, runs)) in enumerate(zip(grid.flat, panels, strict=False)):
        cells = in_group(results.cells, group)
        for method, dash in (UNPRUNED, (0, (5, 2))), (f"{UNPRUNED}+ft", (0, (2, 2))):
            values = outcomes(cells[cells["method"] == method], quality_of(cells))["value"].dropna()
            if len(values):
                draw_reference(ax, values, quality_of(cells), Look(GREY, "", dash), line_label((method, "")))
        draw_panel(ax, runs, palette, quality_of(cells))
        quality_axis(ax, quality_of(cells))
        ax.set_ylabel("" if number % columns else quality_of(cells).label)
        title = f"{group_label(results, group)}\n" if number == 0 or panels[number - 1][0] != group else ""
        ax.set_title(title.lstrip("\n") + line_label(line), loc="left")
    for ax in list(grid.flat)[len(panels) :]:
        ax.axis("off")
    figure.supxlabel("heads kept", fontsize=8)
    legend_outside(figure, list(grid.flat), columns=4, above=True)


def draw_panel(ax: Axes, runs: pd.DataFrame, palette: dict[str, Look], quality: Quality) -> None:
    """One arm: untreated and treated."""
    for treatment in ["", *treatments(runs["treatment"])]:
        own = runs[runs["treatment"] == treatment]
        points, look = over_seeds(own.assign(line=""), quality).sort_values("heads"), palette[treatment]
        draw_range(ax, points["heads"], points["low"], points["high"], look.color)
        label = treatment_label(treatment) or "untreated"
        ax.plot(points["heads"], points["mean"], **look.line, label=label, zorder=4 if treatment else 3)
    ax.set_xticks(ticks(runs.groupby("budget")["heads_kept"].mean(), gap=0.1))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
