"""The common ground of figures and tables; the tables they read are `headprune.analysis.tables`."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from headprune.analysis.tables import (
    CELL,
    GROUP,
    LINE,
    UNPRUNED,
    Line,
    Quality,
    Results,
    ResultsError,
    by_seed,
    in_group,
    label_of,
    lines_of,
    measured,
    outcomes,
    pool,
    pooled_arm,
    quality_in,
    quality_of,
    read,
    read_trials,
    seed_values,
    split_arm,
)
from headprune.analysis.trainings import read_curves, read_trial_masks

__all__ = [
    "CELL",
    "GROUP",
    "LEAST",
    "LINE",
    "UNPRUNED",
    "EmptyError",
    "Line",
    "Quality",
    "Results",
    "ResultsError",
    "asked_for",
    "ends",
    "group_label",
    "in_group",
    "label_of",
    "lines_of",
    "measured",
    "on_lines",
    "outcomes",
    "over_seeds",
    "pool",
    "pooled_arm",
    "quality_in",
    "quality_of",
    "read",
    "read_curves",
    "read_trial_masks",
    "read_trials",
    "split_arm",
    "spread",
    "write_text",
]

LEAST = 3  # seeds that an interval needs: of two, Student's reaches to 12.7 times their distance from the mean


class EmptyError(ResultsError):
    """The results hold nothing that this figure is about; drawn as a sentence, as the results are complete without it.

    :param name: of the figure
    """

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


def group_label(results: Results, group: tuple[str, ...]) -> str:
    """The parts of the group's name that tell it from the others; empty when there is only one group."""
    groups = results.groups()
    varying = [i for i in range(len(GROUP)) if len({other[i] for other in groups}) > 1]
    return ", ".join(group[i] for i in varying)


def asked_for(results: Results, labels: Sequence[str]) -> Results:
    """The lines of these labels, `dsp.joint`; all lines when there are no labels.

    :raises ResultsError: the results have no such line
    """
    known = {label_of(line): line for line in results.lines()}
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise ResultsError(f"--arms names {', '.join(unknown)}; available: {', '.join(sorted(known))}")
    return replace(results.only([known[label] for label in labels]), asked=tuple(labels)) if labels else results


def on_lines(table: pd.DataFrame, lines: Collection[Line]) -> pd.DataFrame:
    """The rows of these lines."""
    pairs = zip(table["method"], table["line"], strict=True)
    return table[pd.Series([pair in lines for pair in pairs], index=table.index, dtype=bool)]


def over_seeds(runs: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """Points of `pool` over seeds, the draws of a seed averaged: the same means and ends in tables and figures.

    :returns: mean; low, high: of three seeds and more the 95 % t interval, of two the lowest and the highest run, of
        one NaN; n_seeds, of those with a result
    """
    points = pool(runs, quality)
    values = seed_values(by_seed(runs, quality))
    places = zip(zip(points["method"], points["line"], strict=True), points["budget"], strict=True)
    found = [quality.estimate(list(values.get(place, {}).values())) for place in places]
    several, pair = ([each.n >= LEAST for each in found], [each.n == LEAST - 1 for each in found])
    for name in ("low", "high"):
        points[name] = np.where(several, [getattr(each, name) for each in found], points[name].where(pair))
    return points.assign(mean=[each.value for each in found], n_seeds=[each.n for each in found])


def ends(values: Sequence[float], quality: Quality) -> tuple[float, float]:
    """The ends of a mean's band: of three values and more the 95 % t interval, of two both of them, else NaN."""
    found = quality.estimate(values)
    if len(values) >= LEAST and found.has_interval:
        return found.low, found.high
    return (min(values), max(values)) if len(values) == LEAST - 1 else (float("nan"), float("nan"))


def spread(values: Sequence[float], quality: Quality) -> str:
    """The mean with its ends: `104.6 [93.1, 117.5]`; of two seeds `6.37 (4.59 to 8.15)`."""
    mean, (low, high) = quality.text(quality.estimate(values).value), ends(values, quality)
    if np.isnan(low):
        return mean
    low_text, high_text = quality.text(low), quality.text(high)
    return f"{mean} [{low_text}, {high_text}]" if len(values) >= LEAST else f"{mean} ({low_text} to {high_text})"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
