"""Test quality of every method and arm at every budget, as results.csv, .md and .tex, and results_long.csv.

With more than eight pruned lines, the Markdown has a table per family, and the LaTeX, there and with more than five
budgets, a longtable with a heading for each, without the usual number of runs (packages: booktabs, longtable).

python paper_figures/results_table.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from captions import caption, count_statuses
from command import run
from common import (
    GROUP,
    LINE,
    UNPRUNED,
    Quality,
    Results,
    group_label,
    in_group,
    outcomes,
    over_seeds,
    quality_in,
    write_text,
)
from families import ordered
from results_printing import latex, markdown, text_of
from tabling import ABSENT

from headprune.analysis.comparisons import may_be_the_best
from headprune.analysis.drawings import Table
from headprune.analysis.study import Point, Study, competes, missed
from headprune.statistics.best import least_p_of_best
from headprune.statistics.seeds import ALPHA

TABLE = Table(
    "Test quality of every method at every budget: mean ± half the 95 % t interval over seeds (number of runs). "
    "Cells without a result are counted beside the mean and never enter it.",
    name="results",
)
OPENING = (
    "Test quality by number of heads kept K: mean (n runs){intervals}. Cells without a result are counted beside the "
    "mean and never enter it; – marks what was not planned. Bold: best mean of a pruned model at that K, no test. "
    "{tied} {floor}"
)
TIED = (
    "Underlined: not told apart from the best: what may be the best of its column at a confidence of {level:.0%} "
    "(max-T over sign flips of seeds, draws of a seed averaged), not corrected over columns."
)
NOT_TIED = "Nothing is underlined: n = {n} seeds cannot tell the best from others at α = {alpha:g}, five could."
INTERVALS = (
    ", with three seeds and more in brackets the 95 % t interval over seeds, draws of a seed averaged, cut where the "
    "metric ends; two seeds have no interval worth the name: from the lowest to the highest run"
)
LOGARITHMIC = (
    " Perplexities: geometric means, intervals of the logarithm; ten times the unpruned one is a tenth of the quality."
)
FLOOR = (
    "Nothing is bold or underlined where the best has less than a tenth of the unpruned quality{least}: such models "
    "put out noise."
)
RIVALS = (
    "Bold leaves out treated masks, means over more heads than K, and what misses K by more than a head with any seed."
)


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables: results_long.csv holds the unrounded numbers, the others their text."""
    tables = [(group, summarise(results, group)) for group in results.groups()]
    seeds = max(int(points["n_seeds"].max()) for _, points in tables)
    opening = opening_of([quality_in(results, group) for group, _ in tables], seeds)
    others = any((points["outside"] & (points["method"] != UNPRUNED)).any() for _, points in tables)
    text = caption(results, opening, [RIVALS] if others else [])
    long = pd.concat([points for _, points in tables]).drop(columns=["text", "outside"])
    write_text(out_dir / "results_long.csv", long.rename(columns={"line": "arm"}).to_csv(index=False))
    write_text(out_dir / "results.csv", wide(pd.concat([p for _, p in tables])).to_csv(index=False))
    printed = [markdown(points, group_label(results, group)) for group, points in tables]
    write_text(out_dir / "results.md", "\n".join(printed) + "\n" + text.replace("\n", "  \n"))
    printed = [latex(points, group_label(results, group)) for group, points in tables]
    write_text(out_dir / "results.tex", "\n".join(printed))
    write_text(out_dir / "results_table.txt", text)


def opening_of(qualities: Sequence[Quality], seeds: int) -> str:
    """The rules of the table, those of its metrics only.

    :param seeds: the most of any cell
    """
    floors = dict.fromkeys(f"{round(q.floor, q.digits):g} {q.unit}" for q in qualities if q.floor is not None)
    least = f", or less than {' or '.join(floors)}" if floors else ""
    logarithmic = LOGARITHMIC if any(quality.scale == "log" for quality in qualities) else ""
    tied = NOT_TIED if least_p_of_best(seeds) > ALPHA else TIED
    return OPENING.format(
        intervals=INTERVALS,
        tied=tied.format(n=seeds, alpha=ALPHA, level=1 - ALPHA),
        floor=FLOOR.format(least=least) + logarithmic,
    )


def summarise(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """One row per (method, line, budget) of a group: mean, low, high, n, n_seeds, without_result, best, tied, text.

    outside: it does not compete for bold print, being treated, unpruned, over K in the mean, or off by two heads.
    low, high: of three seeds and more the t interval, of two the lowest and the highest run, of one NaN.
    """
    cells = in_group(results.cells, group)
    quality = quality_in(results, group)
    runs = outcomes(cells, quality)
    points = over_seeds(runs, quality)
    bad = runs.groupby([*LINE, "budget"])["status"].agg(count_statuses).rename("without_result")
    points = points.join(bad, on=[*LINE, "budget"])
    off = missed(runs)
    outside = [not competes(point[0]) or point in off for point in _points(points)]
    points["outside"] = (points["heads"] > points["budget"]) | pd.Series(outside, index=points.index)
    points["best"] = _best(points, quality)
    points["tied"] = _tied(points, Study(results, group))
    said = ~_noise(points, quality)
    points["best"], points["tied"] = points["best"] & said, points["tied"] & said
    points["text"] = [text_of(row, quality) for row in points.itertuples(index=False)]
    points["metric"] = quality.metric
    for key, value in reversed(list(zip(GROUP, group, strict=True))):
        points.insert(0, key, value)
    rank = {line: i for i, line in enumerate(ordered(zip(points["method"], points["line"], strict=True)))}
    order = points[LINE].apply(lambda row: rank[tuple(row)], axis=1)
    points = points.assign(order=order).sort_values(["order", "budget"], ascending=[True, False])
    return points.drop(columns="order")


def _best(points: pd.DataFrame, quality: Quality) -> pd.Series:
    """True for the best pruned mean of each budget; means that print alike are equally good."""
    shown = points["mean"].round(quality.digits).where(~points["outside"])
    best = shown.groupby(points["budget"]).transform("max" if quality.higher_is_better else "min")
    return shown.notna() & (shown == best)


def _noise(points: pd.DataFrame, quality: Quality) -> pd.Series:
    """True at budgets where even the best has less than a tenth of the unpruned quality, or than the metric's floor."""
    unpruned = quality.mean(points.loc[points["method"] == UNPRUNED, "mean"])
    best = points["mean"].where(points["best"]).groupby(points["budget"]).transform("max")
    return best.map(lambda value: quality.is_noise(value, unpruned)).astype(bool)


def _points(points: pd.DataFrame) -> list[Point]:
    return [((row.method, row.line), row.budget) for row in points.itertuples(index=False)]


def _tied(points: pd.DataFrame, study: Study) -> pd.Series:
    """True for what competes, is not the best of its budget, and may be it."""
    tied = pd.Series(False, index=points.index)
    rivals = points[~points["outside"] & points["mean"].notna()]
    for _, own in rivals.groupby("budget"):
        found = may_be_the_best(study, _points(own), ALPHA) or set()
        tied[own.index] = pd.Series([point in found for point in _points(own)], index=own.index) & ~own["best"]
    return tied


def wide(points: pd.DataFrame) -> pd.DataFrame:
    """Rows method and arm, columns the budgets, largest first."""
    rows = points.drop_duplicates([*GROUP, *LINE])[[*GROUP, *LINE, "metric"]].reset_index(drop=True)
    for budget in sorted(points["budget"].unique(), reverse=True):
        own = points[points["budget"] == budget].set_index([*GROUP, *LINE])["text"]
        keys = rows[[*GROUP, *LINE]].itertuples(index=False, name=None)
        rows[f"{budget:g}"] = [own.get(key, ABSENT) for key in keys]
    return rows.rename(columns={"line": "arm"})


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
