"""Tables on a terminal that are read at any width: what does not fit is wrapped, left out or written as lines.

Names and numbers stay whole. Texts wrap between words. Where the names, the numbers and the longest words of the texts
do not fit side by side, spare columns go, the last one first; where that is not enough, a row becomes lines of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP = 2  # cells between columns
LEAST_TEXT = 24  # cells that a wrapped text gets at least, if it is as long


@dataclass(frozen=True)
class Column:
    """A column and what may happen to it where room is short.

    :param kind: a name stays whole; a number, too, and stands to the right; a text wraps between words
    :param spare: it may be left out
    """

    title: str
    kind: Literal["name", "number", "text"] = "text"
    spare: bool = False


def show(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Prints rows of plain text under their columns, as wide as the terminal allows."""
    kept = fitting(columns, rows, console.width)
    if kept is None:
        _lines(console, columns, rows, title)
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))  # the box adds a blank
    if title:
        say(console, title)
    for position in kept:
        column = columns[position]
        words = [columns[position].title, *(row[position] for row in rows)]
        table.add_column(
            Text(column.title),
            justify="right" if column.kind == "number" else "left",
            no_wrap=column.kind != "text",
            overflow="fold",
            min_width=_least(column, words),
        )
    for row in rows:
        table.add_row(*(Text(row[position]) for position in kept))
    console.print(table)


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Positions of the columns that fit side by side; None if not even those do that must stay."""
    least = [_least(column, [column.title, *(row[i] for row in rows)]) for i, column in enumerate(columns)]
    kept = list(range(len(columns)))
    while sum(least[i] + GAP for i in kept) - GAP > width:
        spare = [i for i in kept if columns[i].spare]
        if not spare:
            return None
        kept.remove(spare[-1])
    return kept


def say(console: Console, text: str) -> None:
    """Prints a line as it is: the terminal breaks it where it must, so that what is copied stays whole."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _least(column: Column, words: Sequence[str]) -> int:
    """Cells that a column needs."""
    whole = max(cell_len(word) for word in words)
    if column.kind != "text":
        return whole
    longest = max((cell_len(part) for word in words for part in word.split()), default=0)
    return max(longest, min(whole, LEAST_TEXT))


def _lines(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> None:
    """A row at a time: its first cell, and the others that are not empty below it with their titles."""
    wrapper = textwrap.TextWrapper(
        console.width, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    if title:
        say(console, title)
    for row in rows:
        say(console, row[0] if columns[0].kind == "name" else f"{columns[0].title}: {row[0]}")
        cells = [f"{column.title}: {cell}" for column, cell in zip(columns[1:], row[1:], strict=True) if cell]
        for line in wrapper.wrap("; ".join(cells)):
            say(console, line)
