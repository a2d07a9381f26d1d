"""Every arm against the unpruned model and against random heads, tested, as comparisons.csv, .md and .tex.

python paper_figures/comparisons.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from captions import caption
from command import run
from common import Results, in_group, quality_of
from families import line_label
from tabling import ABSENT, Column, write

from headprune.analysis.comparisons import compare
from headprune.analysis.drawings import Table
from headprune.analysis.quality import Quality
from headprune.statistics.seeds import ALPHA

NAME = "comparisons"
TABLE = Table(
    "Every method against the unpruned model and against random heads: difference, interval, p-values by Holm."
)
COLUMNS = [
    Column("K"),
    Column("method", right=False, width=0.17),
    Column("quality"),
    Column("improvement [interval]"),
    Column("n"),
    Column("p, seeds (floor)"),
    Column("across seeds", right=False, width=0.15),
    Column("p, both"),
    Column("p, outputs (floor)"),
    Column("flags", right=False, width=0.17),
]
OPENING = (
    "Differences in test quality, seed by seed; improvement: positive is better, {units}. Across seeds: t interval at "
    "95 % and p over n seeds (draws of a seed averaged), the larger of the exact sign-flip test's and Student's. "
    "Outputs: paired test of the same segments pooled within seeds, which knows nothing of other trainings; {outputs}. "
    "Both: Student's t with the spread of seeds and that of segments, for other trainings on other sentences. "
    "All p are corrected by Holm within the families {families}, for the tests that can reach them (Tarone 1990); "
    "* p ≤ α. In brackets behind both the smallest p that could have come out, corrected likewise; where that is above "
    "α = {alpha:g} the comparison is undecidable, with n seeds or with the segments that differ. Quality control: "
    "flags of what lies below random heads, or above the unpruned model, beyond the interval, and of what differs in "
    "more than the heads: their number, weights trained with the mask."
)


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables."""
    table = compare(results)
    tests = [f"{test} of {n:g} segments" for test, n in _pairs(table, "outputs_test", "segments")]
    families = "; ".join(f"{name} ({n})" for name, n in _pairs(table, "family", "family_size"))
    outputs = "; ".join(tests) or f"{ABSENT}: these results hold no segments"
    opening = OPENING.format(alpha=ALPHA, outputs=outputs, families=families or "(none)", units=units_of(results))
    sections = {}
    for name, own in table.groupby("family", sort=False):
        quality = quality_of(in_group(results.cells, tuple(own.iloc[0][:4])))
        own = own.sort_values("budget", ascending=False, kind="stable")
        sections[str(name)] = [_cells(row, quality) for row in own.itertuples(index=False)]
    write(out_dir, NAME, table, COLUMNS, sections or {"": []}, caption(results, opening))


def _pairs(table: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return list(table[list(columns)].dropna().drop_duplicates().itertuples(index=False, name=None))


def units_of(results: Results) -> str:
    """A sentence on the units of the improvements, by metric."""
    found = dict.fromkeys(quality_of(in_group(results.cells, group)) for group in results.groups())
    texts = [f"in {q.unit}" + f", of {q.metric} by its logarithm" * (q.scale == "log") for q in found]
    logarithmic = any(quality.scale == "log" for quality in found)
    return "; ".join(texts) + ("; means of perplexities are geometric" if logarithmic else "")


def _outputs(row: Any) -> str:
    """`0.031* (<0.001)`: p with its floor."""
    if pd.isna(row.p_outputs_holm):
        return ABSENT
    star = "*" * (row.verdict_outputs == "significant")
    return f"{_p(row.p_outputs_holm)}{star} ({_p(row.p_outputs_floor_holm)})"


def _both(row: Any) -> str:
    """`0.031*`"""
    return ABSENT if pd.isna(row.p_both_holm) else _p(row.p_both_holm) + "*" * (row.verdict_both == "significant")


def _cells(row: Any, quality: Quality) -> list[str]:
    digits = quality.difference_digits
    if row.n_seeds == 0:
        improvement = "no common seed"
    else:
        interval = "" if pd.isna(row.low) else f" [{row.low:+.{digits}f}, {row.high:+.{digits}f}]"
        improvement = f"{row.improvement:+.{digits}f}{interval}"
    flags = [row.flags, f"{row.without_result} without a result" if row.without_result else ""]
    return [
        f"{row.budget}",
        line_label((row.method, row.arm)),
        ABSENT if pd.isna(row.value) else quality.text(row.value),
        improvement.replace("-", "−"),
        f"{row.n_seeds}",
        ABSENT if pd.isna(row.p_seeds_holm) else f"{_p(row.p_seeds_holm)} ({_p(row.p_floor_holm)})",
        row.verdict,
        _both(row),
        _outputs(row),
        "; ".join(flag for flag in flags if flag),
    ]


def _p(value: float) -> str:
    """`0.031`, `<0.001`"""
    return "<0.001" if value < 0.001 else f"{value:.3f}".rstrip("0").rstrip(".")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
