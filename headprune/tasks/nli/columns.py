"""The columns of files of judged pairs: as their first line names them, or as they always stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from headprune.data.splits import broken

COLUMNS = ("premise", "hypothesis", "label")
# The names that the columns have in files of MNLI, SNLI, RTE and others; case and signs do not count.
NAMES = {
    "premise": ("premise", "sentence1"),
    "hypothesis": ("hypothesis", "sentence2"),
    "label": ("label", "gold_label"),
}


def named(row: Sequence[str], path: Path) -> list[int] | None:
    """The places of the three columns in a first line that names them; None where it names none.

    :raises ValueError: it names some of them, or one of them twice.
    """
    words = [_bare(word) for word in row]
    found = {
        column: [place for place, word in enumerate(words) if word in map(_bare, names)]
        for column, names in NAMES.items()
    }
    if not any(found.values()):
        return None
    for column, places in found.items():
        told = " or ".join(NAMES[column])
        if not places:
            raise broken(path, 1, f"names columns, {' '.join(map(repr, row))[:120]}, but none for the {column}: {told}")
        if len(places) > 1:
            both = " and ".join(repr(row[place]) for place in places)
            raise broken(path, 1, f"names more than one column for the {column}, {both}: leave one")
    return [places[0] for places in found.values()]


def hint(row: Sequence[str]) -> str:
    """Words on what may be wrong with a line of another number of columns."""
    quoted = "; quotation marks do not protect a tab" if any('"' in cell for cell in row) else ""
    first = ", ".join(f"{column} ({names[-1]})" for column, names in NAMES.items())
    return f"; a first line that names {first} may have others beside them{quoted}"


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
