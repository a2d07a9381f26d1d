"""Two methods against each other: every budget that both have, in every model that has both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headprune.analysis.comparisons import COLUMNS, family_rows
from headprune.analysis.study import RANDOM, REFERENCE, Pair, Study
from headprune.analysis.tables import Line, Quality, Results, ResultsError, label_of, quality_named
from headprune.naming import unknown


@dataclass(frozen=True)
class Versus:
    """Two methods of one model.

    :param table: a row per budget that both have, largest first, with the columns of comparisons
    :param only: by label the budgets that the other lacks
    :param notes: what is missing or odd about either of them, a sentence each
    """

    group: tuple[str, ...]
    quality: Quality
    table: pd.DataFrame
    only: Mapping[str, list[int]]
    has_segments: bool
    notes: tuple[str, ...]


def versus(results: Results, system: str, baseline: str, metric: str | None = None) -> list[Versus]:
    """The system compared with the baseline, model by model; the budgets of a model are a family, or part of a table's.

    :param system: a label such as `dsp.joint`
    :param metric: of quality; None: the one that stands for the track
    :returns: one comparison for each model that has both, its p across seeds corrected as in the table of comparisons
    :raises ResultsError: an unknown label or metric, one label twice, or no model that has both.
    """
    known = {label_of(line): line for line in results.lines()}
    for label in (system, baseline):
        if label not in known:
            raise ResultsError(unknown("method", label, known))
    if system == baseline:
        raise ResultsError(f"{system!r} is compared with itself; give two methods")
    lines, found = (known[system], known[baseline]), []
    for group in results.groups():
        study = Study(results, group, quality_named(group[1], metric))
        own = {line: sorted(k for other, k in study.points if other == line) for line in lines}
        if all(own.values()):
            found.append(_versus(study, lines, own))
    if not found:
        raise ResultsError(f"no model of {results.folder} has both {system} and {baseline}")
    return found


def newest(root: Path = Path("results")) -> Path:
    """The results folder whose tables were collected last.

    :raises ResultsError: there is none.
    """
    found = sorted(root.glob("*/cells.parquet"), key=lambda path: (path.stat().st_mtime, path))
    if not found:
        raise ResultsError(f"no results in {root}/; name a folder: --results results/published/quick")
    return found[-1].parent


def _versus(study: Study, lines: tuple[Line, Line], own: Mapping[Line, list[int]]) -> Versus:
    system, baseline = lines
    if system == REFERENCE:
        pairs = [Pair((system, own[system][0]), (baseline, k)) for k in own[baseline]]
    else:
        others = {k: study.at(baseline, k) for k in own[system]}
        pairs = [Pair((system, k), other) for k, other in others.items() if other]
    labels = [label_of(line) for line in lines]
    at = "" if REFERENCE in lines else " at the same K"
    name = f"{', '.join(part for part in study.group[1:] if part)}: {labels[0]} against {labels[1]}{at}"
    pairs.sort(key=lambda pair: -min(pair.system[1], pair.baseline[1]))
    rows = family_rows(study, name, pairs, wider=_family(study, system, baseline))
    missed = {
        label: sorted(set(own[line]) - set(own[other]), reverse=True)
        for label, line, other in zip(labels, lines, lines[::-1], strict=True)
    }
    points = dict.fromkeys(point for pair in pairs for point in (pair.system, pair.baseline))
    return Versus(
        study.group,
        study.quality,
        pd.DataFrame(rows, columns=COLUMNS),
        {} if REFERENCE in lines else {label: budgets for label, budgets in missed.items() if budgets},
        study.segments.exist,
        (*_notes(study, points, rows), *_of_twins(study, pairs), *_of_weights(study, *lines)),
    )


def _family(study: Study, system: Line, baseline: Line) -> list[Pair]:
    """The comparisons with random heads, or with the unpruned model, as the table of comparisons corrects them."""
    for line in (REFERENCE, RANDOM):
        if line == baseline:
            return study.against(line)
        if line == system:
            return [Pair(pair.baseline, pair.system) for pair in study.against(line)]
    return []


def _of_twins(study: Study, pairs: list[Pair]) -> Iterator[str]:
    """The freedom of random twins that are compared with their masks; where there is too little the verdict says so."""
    for pair in pairs:
        if (found := study.freedom(pair)) and not found.little:
            yield f"K = {pair.system[1]}: {found}"


def _of_weights(study: Study, system: Line, baseline: Line) -> Iterator[str]:
    """Says that the weights of one of the two were trained with its mask, and those of the other not."""
    if adapted := study.adapted_of(system, baseline):
        other = baseline if adapted == system else system
        yield f"weights of {label_of(adapted)} were trained with its mask, those of {label_of(other)} were not"


def _notes(study: Study, points: Mapping[tuple[Line, int], None], rows: list[dict]) -> list[str]:
    notes = []
    for line, budget in points:
        lost, flags = study.lost[line, budget], study.flags((line, budget))
        said = [f"{lost} cell{'s' * (lost != 1)} without a result, left out"] if lost else []
        if said or flags:
            notes.append(f"{label_of(line)}, K = {budget}: {'; '.join([*said, *flags])}")
    left_out = [(row["budget"], row["seeds_left_out"]) for row in rows if row["seeds_left_out"]]
    return [*notes, *(f"K = {budget}: seeds that only one of the two has: {seeds}" for budget, seeds in left_out)]
