"""Verdicts of claims as lines of text, as many as there is room for: the lower part of one_page.py."""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
from common import GROUP, Results, group_label
from looks import GREY
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from headprune.analysis.claims import effect_text
from headprune.analysis.verdicts import HELD, NO_DATA, NOT_HELD, VERDICTS

ROW = 0.148  # inches, of a line of text
TEXT, ALONE = 103, 130  # characters of a line: of a claim and its effect; of a claim without numbers to its right
CLAIM, EFFECT, WANTED = 0.085, 0.84, 0.945  # left end of the claims, right ends of the columns: shares of the page


def draw_claims(part: SubFigure, results: Results, verdicts: pd.DataFrame, height: float) -> int:
    """The claims that the results say something to, as far as there is room; how many have none."""
    ax = text_axes(part, height)
    known = verdicts.sort_values("verdict", key=lambda names: names == NO_DATA, kind="stable")
    room = int((height - 0.4) / ROW)
    ax.text(0, 0.12, f"Claims: {tally(verdicts)}", va="top", fontsize=7, fontweight="bold")
    for x, name in ((EFFECT, "effect [interval]"), (WANTED, "wanted")):
        ax.text(x, 0.12, name, va="top", ha="right", fontsize=7, fontweight="bold")
    shown = list(known.head(room).itertuples(index=False))
    spare, y = room - len(shown), 0.15 + ROW
    for row in shown:
        effect = "" if row.verdict == NO_DATA else effect_text(row._asdict(), digits=2)
        width = TEXT - len(effect) if effect else ALONE
        lines = wrapped(place(results, row) + row.text, width, 1 + (spare > 0))
        spare -= len(lines) - 1
        draw_claim(ax, y, row, lines, effect)
        y += ROW * len(lines)
    ax.text(0, height, f"Data: cells.parquet, {results.data}", va="top", fontsize=7, color=GREY)
    return max(0, len(known) - room)


def draw_claim(ax: Axes, y: float, row: Any, lines: list[str], effect: str) -> None:
    """One claim: its verdict, its text, and the numbers behind the verdict beside the first line."""
    decided = row.verdict in (HELD, NOT_HELD)
    weight = "bold" if decided else "normal"
    ax.text(0, y, row.verdict, va="top", fontsize=7, color="black" if decided else GREY, fontweight=weight)
    for number, line in enumerate(lines):
        ax.text(CLAIM, y + ROW * number, line, va="top", fontsize=7, color="black" if effect else GREY)
    if effect:
        ax.text(EFFECT, y, effect, va="top", fontsize=7, ha="right")
        ax.text(WANTED, y, row.wanted.replace("-", "−"), va="top", fontsize=7, ha="right")
        ax.text(1.0, y, f"n = {row.n}", va="top", fontsize=7, ha="right")


def place(results: Results, row: Any) -> str:
    """`transformer-2x4: `, the model that a claim was asked about; empty where there is one."""
    groups = results.groups()
    if len(groups) == 1:
        return ""
    group = tuple(getattr(row, key) for key in GROUP)
    alone = len({group[-1] for group in groups}) == len(groups)  # the name of the model tells them apart
    return f"{group[-1] if alone else group_label(results, group)}: "


def wrapped(text: str, width: int, most: int) -> list[str]:
    """A text in at most so many lines, cut between words."""
    return textwrap.wrap(text, width, max_lines=most, placeholder=" …", break_on_hyphens=False)


def text_axes(part: SubFigure, height: float) -> Axes:
    """Axes for text over all of a part: x from 0 to 1, y in inches downwards."""
    ax = part.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.axis("off")
    ax.set_xlim(0, 1)
    ax.set_ylim(height, 0)
    return ax


def tally(verdicts: pd.DataFrame) -> str:
    """The number of claims by verdict, `3 held, 1 not held, 5 undecided, 2 undecidable, …`"""
    counts = verdicts["verdict"].value_counts()
    told = (f"{counts.get(verdict, 0)} {'without data' if verdict == NO_DATA else verdict}" for verdict in VERDICTS)
    return ", ".join(told) + "."
