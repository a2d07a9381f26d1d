"""Every mask against random twins of it, which keep as many heads of every module, as twins.csv, .md and .tex.

python paper_figures/twins.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
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

from headprune.analysis.comparisons import COLUMNS as ROW
from headprune.analysis.comparisons import family_rows
from headprune.analysis.drawings import Table
from headprune.analysis.quality import Quality
from headprune.analysis.study import Pair, Study
from headprune.analysis.twins import twin_of
from headprune.statistics.freedom import FEWEST_MASKS, LARGEST_SHARE, in_words

NAME = "twins"
TABLE = Table(
    "Every mask against random heads, as many of every module, and how free these are.", needs=("treatments",)
)
COLUMNS = [
    Column("K"),
    Column("method", right=False),
    Column("quality"),
    Column("twins"),
    Column("improvement [interval]"),
    Column("n"),
    Column("across seeds", right=False, width=0.25),
    Column("heads shared"),
    Column("masks"),
]
OPENING = (
    "Test quality of masks less that of random twins, which keep as many heads of every module, seed by seed, and the "
    "verdict across seeds, Holm over the methods and budgets of a model. Heads shared: those of the mask that a twin "
    "keeps, too, mean over draws and seeds, in brackets the mean over all masks of these counts. Masks: all that keep "
    "these counts, of the seed with the fewest. Where that mean is above {share:.0%} of K, or the masks are fewer than "
    "{fewest}, twins have too little freedom to be a control, and nothing is compared."
)
NOTHING = "No random twins in these results: no treatment is `matched_random`, or no mask of it is known."


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables; where there are no twins, tables that say so."""
    rows, sections = [], {}
    for group in results.groups():
        own = _rows(Study(results, group))
        rows += own
        quality = quality_of(in_group(results.cells, group))
        if own:
            sections[", ".join(part for part in group[1:] if part)] = [_cells(row, quality) for row in own]
    opening = OPENING.format(share=LARGEST_SHARE, fewest=FEWEST_MASKS)
    text = caption(results, opening) if rows else f"{NOTHING}\n"
    write(out_dir, NAME, pd.DataFrame(rows, columns=ROW), COLUMNS, sections or {"": []}, text)


def _rows(study: Study) -> list[dict[str, Any]]:
    """All masks of a model that have twins, largest budget first, as one family."""
    points = sorted(study.points, key=lambda point: (-point[1], point[0]))
    pairs = [Pair(point, (twin_of(point[0]), point[1])) for point in points]
    name = f"{', '.join(part for part in study.group[1:] if part)}: against random twins"
    return family_rows(study, name, [pair for pair in pairs if pair.baseline in study.freedoms])


def _cells(row: dict[str, Any], quality: Quality) -> list[str]:
    digits = quality.difference_digits
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:+.{digits}f}, {row['high']:+.{digits}f}]"
    known = not pd.isna(row["improvement"])
    return [
        f"{row['budget']}",
        line_label((row["method"], row["arm"])),
        *(ABSENT if pd.isna(row[key]) else quality.text(row[key]) for key in ("value", "baseline_value")),
        f"{row['improvement']:+.{digits}f}{interval}".replace("-", "−") if known else ABSENT,
        f"{row['n_seeds']}",
        row["verdict"],
        f"{row['twins_share']:.1f} ({row['twins_expected']:.1f})",
        in_words(int(row["twins_masks"])),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
