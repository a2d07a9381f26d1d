"""Numbers that papers report, each with its source, to stand beside those of this suite.

`results/published/papers.csv` holds them, a row for each; docs/papers.md says what stands there and what does not.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from headprune.naming import unknown
from headprune.results.schema import read_table
from headprune.system.bundled import bundled

FILE = "results/published/papers.csv"
COLUMNS = {
    "paper": "string",
    "set": "string",  # a corpus by the name that `headprune data` gives it, where it has one
    "model": "string",
    "method": "string",  # by the name that it has here, where it has one
    "quantity": "string",  # a metric by the name that results give it, where they have it
    "x": "string",  # where on its axis the value stands: a number, a head or a module
    "x_unit": "string",
    "value": "Float64",
    "spread": "string",  # as printed; empty: none is
    "source": "string",  # paper with its table, figure or page
    "mark": "string",
    "note": "string",
}
MARKS = {
    "printed table": "stands in a table of the paper, in the form that was read, or in the authors' README or code",
    "digitised figure": "was read off a figure",
    "third-party run": "was measured by others than the method's authors",
    "transcription": "was read in a transcription, an abstract or a leaderboard, and not compared with the paper",
}
NEEDED = ("paper", "set", "model", "method", "quantity", "value", "source", "mark")


def read_papers(path: Path | None = None) -> pd.DataFrame:
    """The numbers of papers, a row for each, with the columns of `COLUMNS`.

    :param path: of the table; absent: the one that comes along
    :raises ValueError: other columns, an empty field that no row may lack, or an unknown mark; names the line
    :raises FileNotFoundError: this installation has no such table
    """
    path = path or bundled(FILE)
    table = read_table(path, COLUMNS)
    for column in NEEDED:
        empty = table[column].isna() | (table[column].astype("string") == "")
        if empty.any():
            raise ValueError(f"{path}, line {int(empty.argmax()) + 2}: {column} is empty; every row must have one")
    for line, mark in enumerate(table["mark"], start=2):
        if mark not in MARKS:
            raise ValueError(f"{path}, line {line}: {unknown('mark', mark, MARKS)}")
    return table
