"""Quality between random heads (0) and the unpruned model (1), with what is odd, as normalised.csv, .md and .tex.

python paper_figures/normalised.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from captions import caption
from command import run
from common import GROUP, Line, Results, in_group, quality_of
from families import line_label, ordered
from tabling import Column, write

from headprune.analysis.drawings import Table
from headprune.analysis.study import RANDOM, REFERENCE, Study
from headprune.statistics.normalised import ABOVE_UNPRUNED, BELOW_RANDOM, UNCERTAIN

NAME = "normalised"
TABLE = Table("Quality with the unpruned model at 1 and random heads at 0; what lies outside is flagged.")
ABSENT, NO_SCALE = "–", "no scale"
MARKS = {BELOW_RANDOM: "†", ABOVE_UNPRUNED: "‡"}
OPENING = (
    "Test quality{scale} on a scale from random heads at the same K (0) to the unpruned model (1), of means over the n "
    "seeds that all three have, with Fieller's interval at 95 %, which is left out where it has no end or n is 1; no "
    "scale: random heads are as good as the unpruned model. Quality control: † below matched random, ‡ above "
    "unpruned, beyond the interval of the difference within seeds ((†), (‡): by one seed, which has no interval); of a "
    "method with random twins of its own masks, below these. {flagged} of {points} points are flagged. – marks what "
    "was not planned."
)


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables."""
    table = pd.concat([points(results, group) for group in results.groups()], ignore_index=True)
    budgets = sorted(table["budget"].unique(), reverse=True)
    columns = [Column("method", right=False), *(Column(f"K = {budget}") for budget in budgets)]
    sections = {}
    for group, own in table.groupby(GROUP, sort=False):
        texts = {(row.method, row.arm, row.budget): _text(row) for row in own.itertuples(index=False)}
        lines: list[Line] = ordered(zip(own["method"], own["arm"], strict=True))
        heading = ", ".join(part for part in group[1:] if part)
        sections[heading] = [[line_label(x), *(texts.get((*x, k), ABSENT) for k in budgets)] for x in lines]
    flagged = int((table["flags"] != "").sum())
    text = caption(results, OPENING.format(flagged=flagged, points=len(table), scale=scale_note(results)))
    write(out_dir, NAME, table, columns, sections, text)


def scale_note(results: Results) -> str:
    """A sentence on what stands for quality where it is not the metric itself."""
    found = {quality_of(in_group(results.cells, group)) for group in results.groups()}
    metrics = sorted(quality.metric for quality in found if quality.scale == "log")
    return f" (of {', '.join(metrics)} the logarithm)" if metrics else ""


def points(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """One row per pruned line and budget: normalised, low, high, n_seeds, without_result, flags."""
    study = Study(results, group)
    rows = []
    for line, budget in study.points:
        if line in (REFERENCE, RANDOM):
            continue
        found = study.normalised((line, budget))
        named = [flag for flag in study.flags((line, budget)) if flag.removesuffix(UNCERTAIN) in MARKS]
        rows.append(
            dict(zip(GROUP, group, strict=True))
            | {"method": line[0], "arm": line[1], "budget": budget}
            | {"normalised": found.value, "low": found.low, "high": found.high, "n_seeds": found.n}
            | {"without_result": study.lost[line, budget], "flags": "; ".join(named)}
        )
    columns = ["method", "arm", "budget", "normalised", "low", "high", "n_seeds", "without_result", "flags"]
    return pd.DataFrame(rows, columns=[*GROUP, *columns])


def _text(row: Any) -> str:
    """`0.73 [0.60, 0.85] (3) †, 1 without a result`"""
    marks = "".join(f" {_mark(flag)}" for flag in row.flags.split("; ") if flag)
    lost = f", {row.without_result} without a result" if row.without_result else ""
    if not row.n_seeds:
        return f"no common seed{marks}{lost}"
    if pd.isna(row.normalised):
        return f"{NO_SCALE} ({row.n_seeds}){marks}{lost}"
    interval = "" if pd.isna(row.low) else f" [{row.low:.2f}, {row.high:.2f}]"
    return f"{row.normalised:.2f}{interval} ({row.n_seeds})".replace("-", "−") + marks + lost


def _mark(flag: str) -> str:
    mark = MARKS[flag.removesuffix(UNCERTAIN)]
    return f"({mark})" if flag.endswith(UNCERTAIN) else mark


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
