"""Test quality of every method and arm at every budget, as results.csv, .md and .tex, and results_long.csv.

python paper_figures/results_table.py RESULTS_DIR OUT_DIR
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from captions import caption, count_statuses
from common import (
    GROUP,
    LINE,
    UNPRUNED,
    Quality,
    Results,
    in_group,
    outcomes,
    pool,
    quality_of,
    run,
    write_text,
)
from looks import group_label, line_label, ordered

ABSENT = "–"  # not planned: neither a result nor a failure
OPENING = (
    "Test quality by number of heads kept K: mean ± half the range over runs (n runs). Cells without a "
    "result are counted beside the mean and never enter it; – marks what was not planned. Bold: best mean of "
    "a pruned model at that K, not a claim of significance."
)


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables: results_long.csv holds the unrounded numbers, the others their text."""
    tables = [(group, summarise(results, group)) for group in results.groups()]
    text = caption(results, OPENING)
    long = pd.concat([points for _, points in tables]).drop(columns="text")
    write_text(out_dir / "results_long.csv", long.rename(columns={"line": "arm"}).to_csv(index=False))
    write_text(out_dir / "results.csv", wide(pd.concat([p for _, p in tables])).to_csv(index=False))
    markdown = [_markdown(points, group_label(results, group)) for group, points in tables]
    write_text(out_dir / "results.md", "\n".join(markdown) + "\n" + text.replace("\n", "  \n"))
    latex = [_latex(points, group_label(results, group)) for group, points in tables]
    write_text(out_dir / "results.tex", "\n".join(latex))
    write_text(out_dir / "results_table.txt", text)


def summarise(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """One row per (method, line, budget) of a group: mean, half_range, n, without_result, best, text."""
    cells = in_group(results.cells, group)
    quality = quality_of(cells)
    runs = outcomes(cells, quality)
    points = pool(runs)
    points["half_range"] = (points.pop("high") - points.pop("low")) / 2
    bad = runs.groupby([*LINE, "budget"])["status"].agg(count_statuses).rename("without_result")
    points = points.join(bad, on=[*LINE, "budget"])
    points["best"] = _best(points, quality)
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
    shown = points["mean"].round(quality.digits).where(points["method"] != UNPRUNED)
    best = shown.groupby(points["budget"]).transform("max" if quality.higher_is_better else "min")
    return shown.notna() & (shown == best)


def _text(row: Any, quality: Quality) -> str:
    """`27.31 ± 0.12 (2), 1 failed`; one run has no range to show."""
    parts = []
    if row.n:
        spread = f" ± {row.half_range:.{quality.digits}f}" if row.n > 1 else ""
        parts.append(f"{row.mean:.{quality.digits}f}{spread} ({row.n})")
        if row.heads != row.budget:
            parts.append(f"{row.heads:.1f} heads")
    return ", ".join([*parts, row.without_result] if row.without_result else parts)


def wide(points: pd.DataFrame) -> pd.DataFrame:
    """Rows method and arm, columns the budgets, largest first."""
    rows = points.drop_duplicates([*GROUP, *LINE])[[*GROUP, *LINE, "metric"]].reset_index(drop=True)
    for budget in sorted(points["budget"].unique(), reverse=True):
        own = points[points["budget"] == budget].set_index([*GROUP, *LINE])["text"]
        keys = rows[[*GROUP, *LINE]].itertuples(index=False, name=None)
        rows[f"{budget:g}"] = [own.get(key, ABSENT) for key in keys]
    return rows.rename(columns={"line": "arm"})


def _rows(points: pd.DataFrame, bold: str) -> tuple[list[str], list[list[str]]]:
    """Header and body of a printed table; `bold` is a format with one place."""
    budgets = sorted(points["budget"].unique(), reverse=True)
    texts: dict[tuple, str] = {
        (row.method, row.line, row.budget): bold.format(row.text) if row.best else str(row.text)
        for row in points.itertuples(index=False)
    }
    lines = ordered(zip(points["method"], points["line"], strict=True))
    body = [[line_label(line), *(texts.get((*line, budget), ABSENT) for budget in budgets)] for line in lines]
    return ["method", *(f"K = {budget:g}" for budget in budgets)], body


def _markdown(points: pd.DataFrame, title: str) -> str:
    header, body = _rows(points, "**{}**")
    rule = ["---", *["---:"] * (len(header) - 1)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *body])
    return (f"## {title}\n\n" if title else "") + table + "\n"


def _latex(points: pd.DataFrame, title: str) -> str:
    """A booktabs tabular."""
    header, body = _rows(points, r"\textbf{{{}}}")
    lines = [" & ".join(cells) + r" \\" for cells in [header, *body]]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}"
    table = [begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}", ""]
    text = "\n".join(table)
    text = text.replace("±", r"$\pm$").replace(ABSENT, "--").replace("_", r"\_").replace("%", r"\%")
    return (f"% {title}\n" if title else "") + text


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
