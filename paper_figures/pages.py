"""The arms that get a place on a printed page that has no room for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from common import Line, Results, in_group, lines_of, outcomes, pool, quality_of
from families import family_of, ordered

PAGE = 9.0  # inches: height of a printed page
RULE = (
    "{shown} of {all} arms: the best of every family, then the next best, by test quality relative to the median "
    "arm at the same K, averaged over K; --arms chooses others."
)


def fitting(results: Results, group: tuple[str, ...], lines: Sequence[Line], room: int) -> list[Line]:
    """The lines that there is room for: the best of every family first, then the next best overall."""
    if len(lines) <= room:
        return ordered(lines)
    score = advantage(results, group)
    ranked = sorted(ordered(lines), key=lambda line: -score.get(line, -np.inf))
    best = {family_of(line): line for line in reversed(ranked)}.values()
    return ordered(sorted(ranked, key=lambda line: line not in best)[:room])


def advantage(results: Results, group: tuple[str, ...]) -> dict[Line, float]:
    """Mean over budgets of a line's quality less that of the median line at the same budget; more is better."""
    cells = in_group(results.cells, group)
    quality = quality_of(cells)
    points = pool(outcomes(cells, quality), quality).dropna(subset=["mean"])
    worth = pd.Series(quality.worth(points["mean"]), index=points.index)
    points["lead"] = worth - worth.groupby(points["budget"]).transform("median")
    return {line: float(part["lead"].mean()) for line, part in lines_of(points).items()}


def selection_note(shown: int, every: int) -> list[str]:
    """The sentence of the caption that says which arms are shown; none when all are."""
    return [] if shown == every else [RULE.format(shown=shown, all=every)]
