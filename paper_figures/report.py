"""The whole run as one page, report.html: summary, claims, results, figures, and a view of every cell.

Figures and tables are taken from OUT_DIR/figures and OUT_DIR/tables, or else from those of RESULTS_DIR.

python paper_figures/report.py RESULTS_DIR OUT_DIR
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from headprune.analysis.tables import ResultsError
from headprune.report import write


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns 2 when there are no results to report, or no place to write to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results_dir", type=Path, help="folder with cells.parquet; all else may be absent")
    parser.add_argument("out_dir", type=Path, help="folder to write report.html into; made when absent")
    arguments = parser.parse_args(argv)
    try:
        print(write(arguments.results_dir, arguments.out_dir))
    except (ResultsError, OSError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
