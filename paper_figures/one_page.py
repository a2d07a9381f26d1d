"""The whole of a results folder on one page (A4): counts, quality, Pareto front, surviving heads, verdicts of claims.

python paper_figures/one_page.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pareto
import quality_vs_heads
import speedup
from captions import count_statuses, write_caption
from claims import FILE
from command import run
from common import (
    UNPRUNED,
    EmptyError,
    Line,
    Results,
    ResultsError,
    group_label,
    in_group,
    lines_of,
    on_lines,
    outcomes,
    quality_of,
)
from families import MANY, line_label, ordered
from looks import draw_shares, entries_of, looks, quality_axis, save, styled
from mask_agreement import draw_between_seeds
from masks import agreements, attention_types, usable_masks
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from pages import fitting
from verdict_lines import ROW, draw_claims, tally, text_axes

from headprune.analysis.claims import ELSEWHERE, ClaimsError, evaluate, load
from headprune.analysis.drawings import Drawing
from headprune.analysis.study import competes, methods_of

NAME = "one_page"
FIGURE = Drawing("The whole of the results on one page: counts, quality, front, surviving heads, verdicts of claims.")
PAPER = (8.27, 11.69)  # inches: A4
GROUPS = 3  # models with a row of pictures; the counts and claims are of all
MARGIN, PICTURES = 0.45, 2.5  # inches: round the page, of a row of pictures
OPENING = (
    "The results on one page. Per model, left: test quality against the number of heads kept, mean over seeds with the "
    "95 % interval (of two seeds the range); middle: against parameters, with the Pareto front of the methods shown "
    "and its bootstrap band over seeds; right: share of the cells of one method (all its K and seeds) that keep each "
    "head. {more}{shown}Below: what the results say to the claims of the papers, by the interval of the comparison "
    "that decides (t over seeds at 95 %, but where another level stands beside it; Bonferroni within a claim, not "
    "corrected over claims); claims.md has them in full. {counts}"
)
MORE = (
    "Second row: the same over measured latency; realised against theoretical speed-up in large batches; agreement of "
    "the masks of two seeds (Jaccard; dotted: of random masks). "
)
SHOWN = "Up to eight methods of each model: the best of every family, then the next best. "


@dataclass(frozen=True)
class Row:
    """The pictures of one group."""

    group: tuple[str, ...]
    runs: pd.DataFrame
    masks: pd.DataFrame
    best: Line


def draw(results: Results, out_dir: Path) -> None:
    """Draw the page."""
    every, results = results, results.untreated()
    rows = [row for group, masks in usable_masks(results) if (row := row_of(results, group, masks))]
    if not rows:
        raise EmptyError(NAME, "No pruned model in these results has a test quality.")
    try:
        verdicts = evaluate(load(FILE), every)  # some are about treated masks
    except ClaimsError as error:
        raise ResultsError(str(error)) from error
    verdicts = verdicts[verdicts["verdict"] != ELSEWHERE]
    counts = pd.DataFrame([counted(results, group, every) for group in results.groups()])
    pictures = rows[:GROUPS]
    with styled():
        figure, left_out = draw_page(results, pictures, counts, verdicts)
        save(figure, out_dir, NAME)
    notes = [f"Pictures of {len(pictures)} of {len(rows)} models."] if len(rows) > len(pictures) else []
    notes += [f"{left_out} claims have no room on the page."] if left_out else []
    most = max(len(lines_of(row.runs)) for row in rows) - 1
    opening = OPENING.format(
        more=MORE if len(rows) == 1 else "", shown=SHOWN if most > MANY else "", counts=tally(verdicts)
    )
    write_caption(results, out_dir, NAME, opening, notes)


def draw_page(
    results: Results, rows: Sequence[Row], counts: pd.DataFrame, verdicts: pd.DataFrame
) -> tuple[Figure, int]:
    """The parts of the page from top to bottom; also how many claims have no room."""
    top, bands = 0.5 + ROW * (len(counts) + 1), len(rows) if len(rows) > 1 else 2
    below = PAPER[1] - 2 * MARGIN - top - PICTURES * bands
    figure = plt.figure(figsize=PAPER)
    page = figure.subfigures(1, 3, width_ratios=[MARGIN, PAPER[0] - 2 * MARGIN, MARGIN])[1]
    parts = page.subfigures(bands + 4, 1, height_ratios=[MARGIN, top, *[PICTURES] * bands, below, MARGIN])
    draw_counts(parts[1], counts, top)
    for part, row in zip(parts[2:], rows, strict=False):
        draw_pictures(part, results, row)
    if len(rows) == 1:
        draw_more_pictures(parts[3], results, rows[0])
    return figure, draw_claims(parts[-2], results, verdicts, below)


def row_of(results: Results, group: tuple[str, ...], masks: pd.DataFrame) -> Row | None:
    """The runs and masks of the methods that are shown; None where no run has a result."""
    cells = in_group(results.cells, group)
    runs = outcomes(cells, quality_of(cells))
    runs = runs[runs["status"] == "ok"]
    lines = [line for line in lines_of(runs) if line[0] != UNPRUNED]
    if not lines:
        return None
    shown = {(UNPRUNED, ""), *fitting(results, group, lines, MANY)}
    candidates = [line for line in shown if not line[0].startswith(("random", UNPRUNED))] or lines
    (best,) = fitting(results, group, candidates, 1)
    return Row(group, on_lines(runs, shown), on_lines(masks, {best}), best)


def counted(results: Results, group: tuple[str, ...], every: Results) -> dict[str, str]:
    """A line of the table of cells, which are all that there are: those of treated masks, too."""
    cells = in_group(results.cells, group)
    quality = quality_of(cells)
    runs = outcomes(cells, quality)
    lines = [line for line in lines_of(runs) if competes(line)]
    pruned = on_lines(runs, lines)
    unpruned = runs.loc[runs["method"] == UNPRUNED, "value"].dropna()
    budgets = sorted(pruned["budget"].unique(), reverse=True)
    cells = outcomes(in_group(every.cells, group), quality)
    without = count_statuses(cells["status"])
    return {
        "model": ", ".join(part for part in group[1:] if part),
        "methods": count_methods(lines),
        "K": " ".join(map(str, budgets[:7])) + (" …" if len(budgets) > 7 else ""),
        "of N": f"{runs['n_heads'].max():g}",
        "seeds": f"{runs['seed'].nunique()}",
        "cells": f"{len(cells)}",
        "without a result": without or "0",
        "unpruned": f"{quality.label.removeprefix('test ')} {quality.mean(unpruned):.{quality.digits}f}"
        if len(unpruned)
        else "–",
    }


def count_methods(lines: Sequence[Line]) -> str:
    """`4 (6 arms)`, or `3` where every method has one."""
    methods, arms = len(methods_of(lines)), len(lines)
    return f"{methods}" if methods == arms else f"{methods} ({arms} arms)"


def draw_counts(part: SubFigure, counts: pd.DataFrame, height: float) -> None:
    """The title and the table of cells."""
    ax = text_axes(part, height)
    ax.text(0, 0.0, "Pruning attention heads: results at a glance", fontsize=11, fontweight="bold", va="top")
    places = (0.0, 0.325, 0.425, 0.58, 0.635, 0.695, 0.745, 0.88)
    for x, name in zip(places, counts.columns, strict=True):
        ax.text(x, 0.34, name, va="top", fontweight="bold", fontsize=7)
        for number, text in enumerate(counts[name]):
            ax.text(x, 0.34 + ROW * (number + 1), text, va="top", fontsize=7)


def draw_pictures(part: SubFigure, results: Results, row: Row) -> None:
    """Quality, Pareto front and surviving heads of one model, a legend below."""
    quality = quality_of(in_group(results.cells, row.group))
    lines = list(lines_of(row.runs))
    palette = looks(lines)
    left, middle, right = part.subplots(1, 3, width_ratios=[1.15, 1.0, 0.75])
    quality_vs_heads.draw_panel(left, row.runs, palette, quality)
    quality_axis(left, quality)
    label = group_label(results, row.group)
    left.set_title(label or ", ".join(name for name in row.group[1:] if name), loc="left", fontweight="bold")
    cost = next(cost for cost in pareto.COSTS if cost.metric == "parameters")
    pareto.draw_panel(
        middle, on_lines(pareto.runs_with(results, row.group, cost), set(lines)), palette, quality, dim=False
    )
    middle.set_xlabel(cost.label_of(row.group[1]))
    quality_axis(middle, quality)
    middle.set_ylabel("")
    draw_survival(right, row)
    entries = entries_of([left])
    part.legend(list(entries.values()), list(entries), loc="outside lower left", ncols=5)


def draw_more_pictures(part: SubFigure, results: Results, row: Row) -> None:
    """Draw what there is room for with one model: measured latency, speed-up, agreement of masks between seeds."""
    quality = quality_of(in_group(results.cells, row.group))
    lines = ordered(lines_of(row.runs))
    pruned = [line for line in lines if line != (UNPRUNED, "")]
    palette = looks(lines)
    left, middle, right = part.subplots(1, 3)
    cost = next(cost for cost in pareto.COSTS if cost.metric == "latency_ms")
    pareto.draw_panel(left, on_lines(pareto.runs_with(results, row.group, cost), lines), palette, quality, dim=False)
    left.set_xlabel(cost.label_of(row.group[1]))
    quality_axis(left, quality)
    fast = speedup.SPEEDS[-1]
    ratios = speedup.ratios(results, row.group, fast)
    speedup.draw_panel(middle, on_lines(ratios, lines), palette)
    middle.set(xlabel="theoretical speed-up (MACs)", ylabel="realised speed-up")
    middle.set_title(speedup.title(fast, ratios), loc="left")
    masks = dict(usable_masks(results))[row.group]
    draw_between_seeds(right, agreements(on_lines(masks, pruned)), pruned, palette)
    right.set_title("masks", loc="left")


def draw_survival(ax: Axes, row: Row) -> None:
    """Share of the cells that keep each head: modules × heads."""
    ax.set_title(f"heads kept (%)\n{line_label(row.best)}", loc="left")
    if row.masks.empty:
        ax.axis("off")
        return
    shares = row.masks.groupby(["type", "layer", "index"])["kept"].mean().unstack("index")
    types = attention_types(shares.index.get_level_values("type"))
    shares = shares.loc[sorted(shares.index, key=lambda module: (types.index(module[0]), module[1]))]
    shares.index = pd.Index([f"{kind}.{layer:g}" for kind, layer in shares.index])
    few = len(shares) <= 12 and shares.shape[1] <= 8
    texts = shares.map(lambda share: f"{100 * share:.0f}" if few and np.isfinite(share) else "")
    draw_shares(ax, shares, texts, size=7 if shares.shape[1] <= 6 else 5)
    ax.set_xticks(ax.get_xticks(), [f".{index:g}" for index in shares.columns])


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_masks=True, with_times=True)


if __name__ == "__main__":
    sys.exit(main())
