"""The command line of the figures; the tables they read are `headprune.analysis.tables`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

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
    in_group,
    label_of,
    lines_of,
    measured,
    outcomes,
    pool,
    pooled_arm,
    quality_of,
    read,
    read_trials,
    split_arm,
)
from headprune.analysis.trainings import read_curves, read_trial_masks

__all__ = [
    "CELL",
    "GROUP",
    "LINE",
    "UNPRUNED",
    "EmptyError",
    "Line",
    "Quality",
    "Results",
    "ResultsError",
    "asked_for",
    "group_label",
    "in_group",
    "label_of",
    "lines_of",
    "measured",
    "on_lines",
    "outcomes",
    "pool",
    "pooled_arm",
    "quality_of",
    "read",
    "read_curves",
    "read_trial_masks",
    "read_trials",
    "run",
    "split_arm",
    "write_text",
]


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


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def run(
    draw: Callable[[Results, Path], None],
    doc: str | None,
    argv: Sequence[str] | None,
    with_masks: bool = False,
) -> int:
    """The command line of every script: RESULTS_DIR OUT_DIR [--arms …]. Returns 2 when the results cannot be drawn."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results_dir", type=Path, help="folder with cells.parquet (and masks.parquet)")
    parser.add_argument("out_dir", type=Path, help="folder to write into; made when absent")
    parser.add_argument(
        "--arms", nargs="+", default=[], metavar="METHOD[.ARM]", help="only these, as in `dsp.joint`, beside unpruned"
    )
    arguments = parser.parse_args(argv)
    try:
        results = asked_for(read(arguments.results_dir, with_masks), arguments.arms)
        arguments.out_dir.mkdir(parents=True, exist_ok=True)
        try:
            draw(results, arguments.out_dir)
        except EmptyError as empty:
            from captions import write_nothing  # tables need no matplotlib

            write_nothing(results, arguments.out_dir, empty)
    except (ResultsError, OSError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    return 0
