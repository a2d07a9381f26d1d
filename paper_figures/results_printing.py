"""The results table as Markdown and LaTeX: the text of its cells, its rows, families and long pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from common import LEAST, UNPRUNED, Line, Quality, quality_of
from families import MANY, by_family, line_label, ordered
from tabling import ABSENT, escape, tabular

WIDEST = 5  # columns of budgets that fit a page in normal print
SHORT = "{} runs unless given in parentheses."
Texts = dict[tuple[str, str, int], str]


def text_of(row: Any, quality: Quality) -> str:
    """`27.31 [27.19, 27.43] (3), 1 failed`; of two seeds `6.37 (2: 4.59 to 8.15)`; one has no spread to show."""
    parts = []
    if row.n:
        parts.append(f"{quality.text(row.mean)}{_interval(row, quality)} ({row.n}{_range(row, quality)})")
        if row.heads != row.budget:
            parts.append(f"{row.heads:.1f} heads")
    return ", ".join([*parts, row.without_result] if row.without_result else parts)


def _interval(row: Any, quality: Quality) -> str:
    """The printed interval of three seeds and more; empty for fewer, and for seeds that are all equal."""
    if row.n_seeds < LEAST or pd.isna(row.low):
        return ""
    return f" [{quality.text(row.low)}, {quality.text(row.high)}]"


def _range(row: Any, quality: Quality) -> str:
    """The printed range of two seeds; empty for another number."""
    if row.n_seeds != LEAST - 1:
        return ""
    return f": {quality.text(row.low)} to {quality.text(row.high)}"


def _brief(row: Any, quality: Quality, usual: int) -> str:
    """`27.31 [27.19, 27.43], 13.0 heads`: the number of runs only where it is not the usual one."""
    if not row.n:
        return row.without_result
    spread = _range(row, quality)
    runs = f" ({row.n}{spread})" if row.n != usual or spread else ""
    heads = "" if row.heads == row.budget else f", {row.heads:.1f} heads"
    return f"{quality.text(row.mean)}{_interval(row, quality)}{runs}{heads}"


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


def markdown(points: pd.DataFrame, title: str) -> str:
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


def latex(points: pd.DataFrame, title: str) -> str:
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
