"""Test quality of every method and arm at every budget, as results.csv, .md and .tex, and results_long.csv.

With more than eight pruned lines, the Markdown has a table per family, and the LaTeX, there and with more than five
budgets, a longtable with a heading for each, without the usual number of runs (packages: booktabs, longtable).

python paper_figures/results_table.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from captions import caption, count_statuses
from command import run
from common import (
    GROUP,
    LINE,
    UNPRUNED,
    Line,
    Quality,
    Results,
    group_label,
    in_group,
    outcomes,
    pool,
    quality_of,
    split_arm,
    write_text,
)
from families import MANY, by_family, line_label, ordered
from spreads import LEAST

from headprune.analysis.comparisons import Point, Study, told_apart
from headprune.analysis.drawings import Table
from headprune.analysis.tables import by_seed, seed_values
from headprune.statistics import paired
from headprune.statistics.seeds import ALPHA

TABLE = Table(
    "Test quality of every method at every budget: mean ± half the 95 % t interval over seeds (number of runs). "
    "Cells without a result are counted beside the mean and never enter it.",
    name="results",
)
WIDEST = 5  # columns of budgets that fit a page in normal print
ABSENT = "–"  # not planned: neither a result nor a failure
OPENING = (
    "Test quality by number of heads kept K: mean (n runs){intervals}. Cells without a result are counted beside the "
    "mean and never enter it; – marks what was not planned. Bold: best mean of a pruned model at that K, no test. "
    "Underlined: not told apart from it at α = {alpha:g}, by the sign-flip test across seeds, or where n seeds cannot "
    "decide by the paired test of the outputs{outputs}, if at least {least} segments differ; Holm over the column. "
    "{floor}"
)
INTERVALS = (
    ", with three seeds and more in brackets the 95 % t interval over seeds, draws of a seed averaged, cut where the "
    "metric ends; two seeds have no interval worth the name: from the lowest to the highest run"
)
LOGARITHMIC = " Perplexities: geometric means, intervals of the logarithm."
FLOOR = (
    "Nothing is bold or underlined where the best has less than a tenth of the unpruned quality{least}: such models "
    "put out noise."
)
RIVALS = "Bold leaves out treated masks and means over more heads than K."
SHORT = "{} runs unless given in parentheses."


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables: results_long.csv holds the unrounded numbers, the others their text."""
    tables = [(group, summarise(results, group)) for group in results.groups()]
    has_outputs = any(Study(results, group).segments.exist for group in results.groups())
    opening = opening_of([quality_of(in_group(results.cells, group)) for group, _ in tables], has_outputs)
    text = caption(results, opening, [RIVALS] if any(_outside(points).any() for _, points in tables) else [])
    long = pd.concat([points for _, points in tables]).drop(columns="text")
    write_text(out_dir / "results_long.csv", long.rename(columns={"line": "arm"}).to_csv(index=False))
    write_text(out_dir / "results.csv", wide(pd.concat([p for _, p in tables])).to_csv(index=False))
    markdown = [_markdown(points, group_label(results, group)) for group, points in tables]
    write_text(out_dir / "results.md", "\n".join(markdown) + "\n" + text.replace("\n", "  \n"))
    latex = [_latex(points, group_label(results, group)) for group, points in tables]
    write_text(out_dir / "results.tex", "\n".join(latex))
    write_text(out_dir / "results_table.txt", text)


def opening_of(qualities: Sequence[Quality], has_outputs: bool) -> str:
    """The rules of the table, those of its metrics only."""
    floors = dict.fromkeys(f"{q.floor:g} {q.unit}" for q in qualities if q.floor is not None)
    least = f", or less than {' or '.join(floors)}" if floors else ""
    logarithmic = LOGARITHMIC if any(quality.scale == "log" for quality in qualities) else ""
    return OPENING.format(
        alpha=ALPHA,
        intervals=INTERVALS,
        outputs="" if has_outputs else " (not in these results)",
        least=paired.LEAST,
        floor=FLOOR.format(least=least) + logarithmic,
    )


def summarise(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """One row per (method, line, budget) of a group: mean, low, high, n, n_seeds, without_result, best, tied, text.

    low, high: of three seeds and more the t interval, of two the lowest and the highest run, of one NaN.
    """
    cells = in_group(results.cells, group)
    quality = quality_of(cells)
    runs = outcomes(cells, quality)
    points = pool(runs, quality)
    seeds = seed_values(by_seed(runs, quality))
    over_seeds = [quality.estimate(list(seeds.get(point, {}).values())) for point in _points(points)]
    several, pair = ([e.n >= LEAST for e in over_seeds], [e.n == LEAST - 1 for e in over_seeds])
    for name in ("low", "high"):
        points[name] = np.where(several, [getattr(e, name) for e in over_seeds], points[name].where(pair))
    points["mean"] = [e.value for e in over_seeds]
    points["n_seeds"] = [e.n for e in over_seeds]
    bad = runs.groupby([*LINE, "budget"])["status"].agg(count_statuses).rename("without_result")
    points = points.join(bad, on=[*LINE, "budget"])
    points["best"] = _best(points, quality)
    points["tied"] = _tied(points, Study(results, group))
    said = ~_noise(points, quality)
    points["best"], points["tied"] = points["best"] & said, points["tied"] & said
    points["text"] = [_text(row, quality) for row in points.itertuples(index=False)]
    points["metric"] = quality.metric
    for key, value in reversed(list(zip(GROUP, group, strict=True))):
        points.insert(0, key, value)
    rank = {line: i for i, line in enumerate(ordered(zip(points["method"], points["line"], strict=True)))}
    order = points[LINE].apply(lambda row: rank[tuple(row)], axis=1)
    points = points.assign(order=order).sort_values(["order", "budget"], ascending=[True, False])
    return points.drop(columns="order")


def _best(points: pd.DataFrame, quality: Quality) -> pd.Series:
    """True for the best pruned mean of each budget; means that print alike are equally good."""
    rivals = (points["method"] != UNPRUNED) & ~_outside(points)
    shown = points["mean"].round(quality.digits).where(rivals)
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
    """True for what competes and is not told apart from the best of its budget."""
    tied = pd.Series(False, index=points.index)
    rivals = points[(points["method"] != UNPRUNED) & ~_outside(points) & points["mean"].notna()]
    for _, own in rivals.groupby("budget"):
        first, *_ = _points(own[own["best"]])
        others = own[~own["best"]]
        if others.empty:  # all are the best
            continue
        apart = told_apart(study, first, _points(others), ALPHA)
        for row, point in zip(others.index, _points(others), strict=True):
            tied[row] = not apart[point]
    return tied


def _outside(points: pd.DataFrame) -> pd.Series:
    """True for what does not compete: treated masks, and means over more heads than were asked for."""
    return points["line"].map(lambda arm: split_arm(arm)[1] != "") | (points["heads"] > points["budget"])


def _text(row: Any, quality: Quality) -> str:
    """`27.31 [27.19, 27.43] (3), 1 failed`; of two seeds `6.37 (2: 4.59 to 8.15)`; one has no spread to show."""
    parts = []
    if row.n:
        parts.append(f"{quality.text(row.mean)}{_interval(row, quality)} ({row.n}{_range(row, quality)})")
        if row.heads != row.budget:
            parts.append(f"{row.heads:.1f} heads")
    return ", ".join([*parts, row.without_result] if row.without_result else parts)


def _interval(row: Any, quality: Quality) -> str:
    """Of three seeds and more."""
    if row.n_seeds < LEAST:
        return ""
    return f" [{quality.text(row.low)}, {quality.text(row.high)}]"


def _range(row: Any, quality: Quality) -> str:
    """Of two seeds."""
    if row.n_seeds != LEAST - 1:
        return ""
    return f": {quality.text(row.low)} to {quality.text(row.high)}"


def wide(points: pd.DataFrame) -> pd.DataFrame:
    """Rows method and arm, columns the budgets, largest first."""
    rows = points.drop_duplicates([*GROUP, *LINE])[[*GROUP, *LINE, "metric"]].reset_index(drop=True)
    for budget in sorted(points["budget"].unique(), reverse=True):
        own = points[points["budget"] == budget].set_index([*GROUP, *LINE])["text"]
        keys = rows[[*GROUP, *LINE]].itertuples(index=False, name=None)
        rows[f"{budget:g}"] = [own.get(key, ABSENT) for key in keys]
    return rows.rename(columns={"line": "arm"})


Texts = dict[tuple[str, str, int], str]


def _texts(points: pd.DataFrame, bold: str, underlined: str) -> Texts:
    """The printed cells; `bold` and `underlined` are formats with one place."""
    return {
        (row.method, row.line, row.budget): (bold if row.best else underlined if row.tied else "{}").format(row.text)
        for row in points.itertuples(index=False)
    }


def _rows(lines: Sequence[Line], budgets: Sequence[int], texts: Texts) -> tuple[list[str], list[list[str]]]:
    """Header and body of a printed table."""
    body = [[line_label(line), *(texts.get((*line, budget), ABSENT) for budget in budgets)] for line in lines]
    return ["method", *(f"K = {budget:g}" for budget in budgets)], body


def _lines(points: pd.DataFrame) -> list[Line]:
    return ordered(zip(points["method"], points["line"], strict=True))


def _budgets(points: pd.DataFrame) -> list[int]:
    return sorted(points["budget"].unique(), reverse=True)


def _is_long(points: pd.DataFrame) -> bool:
    return sum(method != UNPRUNED for method, _ in _lines(points)) > MANY


def _markdown(points: pd.DataFrame, title: str) -> str:
    """One table, or one for each family."""
    heading = f"## {title}\n\n" if title else ""
    texts = _texts(points, "**{}**", "<ins>{}</ins>")
    if not _is_long(points):
        return heading + _markdown_table(*_rows(_lines(points), _budgets(points), texts))
    unpruned = points["method"] == UNPRUNED
    tables = []
    for family, lines in by_family(_lines(points)).items():
        budgets = _budgets(points if (UNPRUNED, "") in lines else points[~unpruned])
        tables.append(f"### {family}\n\n{_markdown_table(*_rows(lines, budgets, texts))}")
    return heading + "\n".join(tables)


def _markdown_table(header: list[str], body: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *body]) + "\n"


def _latex(points: pd.DataFrame, title: str) -> str:
    """A booktabs tabular; a longtable in small print, with a heading for each family, for many lines or budgets."""
    start = f"% {title}\n" if title else ""
    if _is_long(points) or len(_budgets(points)) > WIDEST:
        return start + escape(_longtable(points))
    header, body = _rows(_lines(points), _budgets(points), _texts(points, r"\textbf{{{}}}", r"\underline{{{}}}"))
    return start + escape(tabular(header, body))


def _longtable(points: pd.DataFrame) -> str:
    """A page of many lines: in small print, the unpruned model in a line of its own instead of a column."""
    pruned = points[points["method"] != UNPRUNED]
    quality = quality_of(points)
    usual = int(pruned["n"].mode().iloc[0])
    brief = [_brief(row, quality, usual) for row in pruned.itertuples(index=False)]
    budgets, texts = _budgets(pruned), _texts(pruned.assign(text=brief), r"\textbf{{{}}}", r"\underline{{{}}}")
    width = len(budgets) + 1
    lines = [
        f"% {SHORT.format(usual)}",
        r"{\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{l{'r' * len(budgets)}}}",
        r"\toprule",
        " & ".join(_rows([], budgets, {})[0]) + r" \\",
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
    ]
    for row in points[points["method"] == UNPRUNED].itertuples(index=False):
        lines.append(rf"\multicolumn{{{width}}}{{l}}{{unpruned, K = {row.budget:g}: {row.text}}} \\")
    for family, members in by_family(_lines(pruned)).items():
        lines += [r"\addlinespace", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{family}}}}} \\*"]
        lines += [" & ".join(cells) + r" \\" for cells in _rows(members, budgets, texts)[1]]
    return "\n".join([*lines, r"\end{longtable}", "}", ""])


def _brief(row: Any, quality: Quality, usual: int) -> str:
    """`27.31 [27.19, 27.43], 13.0 heads`: the number of runs only where it is not the usual one."""
    if not row.n:
        return row.without_result
    spread = _range(row, quality)
    runs = f" ({row.n}{spread})" if row.n != usual or spread else ""
    heads = "" if row.heads == row.budget else f", {row.heads:.1f} heads"
    return f"{quality.text(row.mean)}{_interval(row, quality)}{runs}{heads}"


def tabular(header: list[str], body: list[list[str]]) -> str:
    """A booktabs tabular, not escaped yet."""
    lines = [" & ".join(cells) + r" \\" for cells in [header, *body]]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}"
    table = [begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(table)


def escape(text: str) -> str:
    """Signs that LaTeX reads otherwise; comments stay comments."""
    text = text.replace("±", r"$\pm$").replace(ABSENT, "--").replace("−", "$-$").replace("_", r"\_")
    return re.sub(r"(?<!^)%", r"\%", text, flags=re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
