"""Agreement of masks: between the seeds of one method, and between methods, as Jaccard indices.

Where there are more methods than fit, the best arm of every family, then the next best (pages.py).

python paper_figures/mask_agreement.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from captions import write_caption
from command import run
from common import UNPRUNED, EmptyError, Line, Results, group_label, on_lines
from families import MANY, line_label, ordered
from looks import DOUBLE, GREY, Look, draw_shares, legend_outside, looks, save, styled, ticks
from masks import agreements, expected_jaccard, usable_masks
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import fitting, selection_note

from headprune.analysis.drawings import Drawing

NAME = "mask_agreement"
FIGURE = Drawing("How much masks agree, between seeds and between methods, as Jaccard indices.")
MOST = 14  # methods in a matrix
OPENING = (
    "Agreement of masks: heads that both keep over heads that one of them keeps (Jaccard). Left: between the seeds of "
    "one method, lines: mean over pairs of runs, small points: pairs; dotted: expected of two random masks of K "
    "heads. Right: at the K named, between the methods at the same seed, and on the diagonal between the seeds of "
    "one; numbers in per cent, mean over pairs of runs; dotted on the colour bar: two random masks. Descriptive: no "
    "test."
)
CURVES = "The left panel shows {shown} of {all} methods, the best of every family and the next best."
ONE_SEED = "One seed: no method can be compared with itself."
NOTHING = "No two masks to compare: one method and one seed."


def draw(results: Results, out_dir: Path) -> None:
    """Draw one row of two panels per group."""
    results = results.untreated()
    rows, notes, shown_lines, alone = [], [], set(), False
    for group, masks in usable_masks(results):
        masks = masks[masks["method"] != UNPRUNED]
        if masks.empty:
            continue
        every = [(str(m), str(a)) for m, a in masks[["method", "line"]].drop_duplicates().to_numpy()]
        lines = fitting(results, group, every, MOST)
        notes += selection_note(len(lines), len(every))
        kept = set(lines)
        pairs = agreements(on_lines(masks, kept))
        if pairs.empty:
            alone = True
            continue
        few = fitting(results, group, lines, MANY)
        notes += [CURVES.format(shown=len(few), all=len(lines))] if len(few) < len(lines) else []
        rows.append((group, pairs, lines, few))
        shown_lines |= kept
    if not rows and alone:
        raise EmptyError(NAME, NOTHING)
    if not rows:
        raise EmptyError(NAME, "No mask of a pruned model in these results.")
    with styled():
        draw_rows(results, rows)
        save(plt.gcf(), out_dir, NAME)
    notes += [f"Middle K shown: {'; '.join(f'K = {middle(pairs)}' for _, pairs, _, _ in rows)}."]
    if not any(pairs["between_seeds"].any() for _, pairs, _, _ in rows):
        notes.append(ONE_SEED)
    write_caption(results.only(shown_lines), out_dir, NAME, OPENING, notes, with_metric=False)


Row = tuple[tuple[str, ...], pd.DataFrame, list[Line], list[Line]]


def draw_rows(results: Results, rows: Sequence[Row]) -> None:
    """The rows below each other; the legend of the left panels under all."""
    most = max(len(lines) for _, _, lines, _ in rows)
    high = max(1.9, 0.18 * most + 0.6)
    figure, grid = plt.subplots(
        len(rows), 2, figsize=(DOUBLE, high * len(rows)), squeeze=False, width_ratios=[0.42, 0.58]
    )
    palette = looks({line for _, _, _, few in rows for line in few})
    for (left, right), (group, pairs, lines, few) in zip(grid, rows, strict=True):
        draw_between_seeds(left, pairs, few, palette)
        left.set_title(group_label(results, group), loc="left")
        draw_matrix(figure, right, pairs, lines)
    legend_outside(figure, list(grid[:, 0]), columns=4)


def middle(pairs: pd.DataFrame) -> int:
    """The middle one of the budgets that the most methods have."""
    methods = pairs.groupby("budget")[["method", "line"]].apply(lambda own: len(own.drop_duplicates()))
    budgets = sorted(methods[methods == methods.max()].index)
    return int(budgets[(len(budgets) - 1) // 2])


def draw_between_seeds(ax: Axes, pairs: pd.DataFrame, lines: Sequence[Line], palette: dict[Line, Look]) -> None:
    """One curve over K per method, and what chance gives."""
    own = pairs[pairs["between_seeds"]]
    if pairs.empty:
        ax.axis("off")
        ax.text(0.5, 0.5, "one method, one seed:\nno pairs", transform=ax.transAxes, ha="center", color=GREY)
        return
    total = int(pairs["n_heads"].max())
    at = np.arange(1, total + 1)
    ax.plot(at, [expected_jaccard(total, k) for k in at], ":", color=GREY, label="two random masks", zorder=1.5)
    for line in lines:
        of_line = own[(own["method"] == line[0]) & (own["line"] == line[1])]
        points = of_line.groupby("budget").agg(heads=("heads", "mean"), mean=("jaccard", "mean"))
        points = points.dropna().sort_values("heads")
        if points.empty:
            continue
        look = palette[line]
        ax.scatter(of_line["heads"], of_line["jaccard"], s=3, color=look.color, alpha=0.35, linewidths=0, zorder=2)
        ax.plot(points["heads"], points["mean"], **look.line, label=line_label(line), zorder=3)
    if own.empty:
        ax.text(0.5, 0.9, "one seed: no pairs", transform=ax.transAxes, ha="center", color=GREY)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xticks(ticks([*pairs["budget"].unique(), total], gap=0.1))
    ax.set_xlabel(f"heads kept (of {total})")
    ax.set_ylabel("Jaccard of two seeds")


def matrix(pairs: pd.DataFrame, budget: int, lines: Sequence[Line]) -> pd.DataFrame:
    """Mean agreement, methods × methods; the diagonal between seeds, the rest at equal seeds; NaN: no pair."""
    at = pairs[pairs["budget"] == budget]
    table = pd.DataFrame(np.nan, index=range(len(lines)), columns=range(len(lines)))
    place = {line: number for number, line in enumerate(lines)}
    means = at.groupby(["method", "line", "other_method", "other_line"])["jaccard"].mean()
    for (method, line, other_method, other_line), value in means.items():
        one, other = place[method, line], place[other_method, other_line]
        table.loc[max(one, other), min(one, other)] = value
    return table


def draw_matrix(figure: Figure, ax: Axes, pairs: pd.DataFrame, lines: Sequence[Line]) -> None:
    """The lower triangle as coloured numbers; a mark on the colour bar where chance lies."""
    budget = middle(pairs)
    at = pairs[pairs["budget"] == budget]
    present = {(m, a) for m, a in at[["method", "line"]].to_numpy()} | {
        (m, a) for m, a in at[["other_method", "other_line"]].to_numpy()
    }
    lines = [line for line in ordered(lines) if line in present]
    table = matrix(pairs, budget, lines)
    texts = table.map(lambda share: "" if np.isnan(share) else f"{100 * share:.0f}")
    numbers = [str(number) for number in range(1, len(lines) + 1)]
    labels = [f"{line_label(line)}  {number}" for line, number in zip(lines, numbers, strict=True)]
    mesh = draw_shares(ax, table.set_axis(labels, axis=0).set_axis(numbers, axis=1), texts, bold_diagonal=True)
    chance = expected_jaccard(int(at["n_heads"].max()), budget)
    ax.set_title(f"K = {budget}; two random masks: {100 * chance:.0f}", loc="left")
    bar = figure.colorbar(mesh, ax=ax, fraction=0.035, aspect=18, pad=0.02)
    bar.set_ticks([0, 0.5, 1], labels=["0", "50", "100"])
    bar.ax.axhline(chance, color="black", linewidth=1.0, linestyle=(0, (1, 1)))
    bar.set_label("Jaccard (%)")
    bar.ax.spines[:].set_visible(False)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_masks=True)


if __name__ == "__main__":
    sys.exit(main())
