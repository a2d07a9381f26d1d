"""The claims of the papers that the results bear out, as claims.csv, .md and .tex.

python paper_figures/claims.py RESULTS_DIR OUT_DIR
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from captions import caption
from command import run
from common import GROUP, Results, ResultsError
from tabling import ABSENT, Column, write

from headprune.analysis.claims import ELSEWHERE, ClaimsError, effect_text, elsewhere, evaluate, load
from headprune.analysis.drawings import Table
from headprune.analysis.registration import registered_in, sentence
from headprune.analysis.verdicts import HELD, NO_DATA, NOT_HELD, VERDICTS
from headprune.statistics.base import LEVEL
from headprune.statistics.seeds import ALPHA

NAME = "claims"
TABLE = Table(
    "Claims of the papers: held, not held, undecided, undecidable or without data, with the interval that decides.",
    target="claims",
)
FILE = Path(__file__).with_name("claims.yaml")
COLUMNS = [
    Column("claim", right=False, width=0.34),
    Column("source", right=False, width=0.14),
    Column("verdict", right=False, width=0.12),
    Column("effect [interval]"),
    Column("wanted"),
    Column("p"),
    Column("n"),
    Column("decided by", right=False, width=0.22),
]
OPENING = (
    "Claims of the papers as predicates over the results: {counts}. Held: over n seeds the effect lies on the side of "
    "the margin that is wanted, p ≤ {alpha:g} two-sided, the larger of the exact sign-flip test's and Student's, for "
    "every comparison of the claim; not held: one lies on the other side, by Bonferroni over them; undecided: "
    "neither, or a comparison cannot be made; undecidable: n seeds reach no such p. Not corrected over claims, "
    "but for registered contrasts, each at {alpha:g} over their number. What other trainings would not "
    "change, parameters and counts of cells, needs no seeds and says so. Effect: {units}, "
    "with Student's t interval at {level:g} %, at another level where one stands beside it; shown is the comparison "
    "that decides, and its p before any correction, the larger of two where it must lie within. Claims and margins: "
    "paper_figures/claims.yaml. {registered}{elsewhere}"
)
NOTHING = "None of the claims is about these results."


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables."""
    try:
        claims = load(FILE)
        every = evaluate(claims, results)
    except ClaimsError as error:
        raise ResultsError(str(error)) from error
    table = every[every["verdict"] != ELSEWHERE]
    found = table["verdict"].value_counts()
    told = [f"{found[verdict]} {verdict}" for verdict in VERDICTS if verdict in found]
    units = "; ".join(dict.fromkeys(table["unit"]))
    others = f" {elsewhere(every)}".rstrip()
    counts = ", ".join(told) or NOTHING.lower().removesuffix(".")
    told_before = sentence(claims, registered_in(results.folder))
    opening = OPENING.format(
        counts=counts, units=units or "–", registered=told_before, elsewhere=others, alpha=ALPHA, level=100 * LEVEL
    )
    text = caption(results, opening)
    sections = {
        ", ".join(part for part in group[1:] if part): [_cells(row) for row in own.itertuples(index=False)]
        for group, own in table.groupby(GROUP, sort=False)
    }
    write(out_dir, NAME, table, COLUMNS, sections or {"": []}, text)


def _cells(row: Any) -> list[str]:
    known = row.verdict != NO_DATA
    verdict = f"**{row.verdict}**" if row.verdict in (HELD, NOT_HELD) else row.verdict
    decided = "; ".join(part for part in (row.decided_by if known else "", row.note) if part)
    effect = effect_text(row._asdict()) if known else ABSENT
    wanted = f"{row.wanted.replace('-', '−')} ({row.margin_of})"
    stated = f"{verdict}, {row.registered}" if known else verdict
    p_value = ABSENT if pd.isna(row.p_value) else f"{row.p_value:.2g}"
    return [row.text, row.source, stated, effect, wanted, p_value, str(row.n), decided]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_masks=True, with_times=True)


if __name__ == "__main__":
    sys.exit(main())
