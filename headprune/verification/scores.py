"""Scores recomputed from what the models put out: of a run by its records, of published results by their table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.naming import cell_id
from headprune.results import outputs
from headprune.results.layout import MANIFEST
from headprune.results.schema import CELL_KEY
from headprune.tasks import TASKS, track_of
from headprune.tasks.outputs import OutputSource
from headprune.verification.base import Report

SCORED = {"test": "test.json", "valid": "pruned.json"}  # the record that holds the scores of a split


@dataclass(frozen=True)
class Recorded:
    """Scores of a cell on a split as they are written down.

    :param where: they are written, for the reader of the report
    :param scores: by metric value and signature
    :param statistics: of the dataset
    """

    where: str | Path
    cell: str
    track: str
    dataset: str
    split: str
    scores: Mapping[str, Any]
    statistics: Mapping[str, Any]


def check_scores(report: Report, cell: Path) -> None:
    """Metrics of every split that was read, from its outputs."""
    name = cell.relative_to(report.folder / "cells").as_posix()
    reader = outputs.reader(report.folder, name.split("/")[0])
    identity = report.read(cell / "identity.json")
    track, dataset = track_of(identity.get("settings", {})), str(identity.get("dataset"))
    statistics = report.read(report.folder / "data" / dataset / "statistics.json")
    for split, record in SCORED.items():
        found = report.read(cell / record)
        scores = found if split == "test" else found.get("valid")
        if not scores or found.get("status") != "ok":
            continue
        if not recompute(report, Recorded(cell / record, name, track, dataset, split, scores, statistics), reader):
            report.missing("scores", outputs.cell_folder(report.folder, name), f"segments of {split}")


def check_published_scores(report: Report, cells: pd.DataFrame) -> None:
    """Metrics of every cell of a table from the outputs beside it, where no records of cells are.

    :param cells: cells.parquet
    """
    data = report.read(report.folder / MANIFEST).get("data", {})
    recomputed = {metric for task in TASKS.values() for metric in task.outputs.recomputed}
    scored = cells[cells["split"].isin(SCORED) & cells["metric"].isin(recomputed) & cells["value"].notna()]
    readers: dict[str, outputs.Reader] = {}
    left_out = 0
    for _, rows in scored.groupby([*CELL_KEY, "split"]):
        cell = rows.iloc[0].to_dict()
        dataset, model, split = (str(cell[column]) for column in ("dataset", "model", "split"))
        reader = readers.setdefault(model, outputs.reader(report.folder, model))
        name = cell_id(model, cell["method"], cell["arm"], cell["budget"], cell["seed"])
        records = rows.to_dict("records")
        scores = {str(row["metric"]): [row["value"], row["metric_signature"]] for row in records}
        where, track = f"cells.parquet: {name}", str(cell["track"])
        recorded = Recorded(where, name, track, dataset, split, scores, data.get(dataset, {}))
        source = OutputSource(report.folder, dataset, split, reader)
        complete = track in TASKS and TASKS[track].outputs.complete(source)
        done = complete and recompute(report, recorded, reader)
        left_out += split == "test" and not done  # validation: of most models no outputs are kept
    if left_out:
        report.notes.append(f"test scores of {left_out} cells were not recomputed: their outputs are not here")


def recompute(report: Report, recorded: Recorded, reader: outputs.Reader) -> bool:
    """Compares scores with those of the outputs; False where there are no outputs to do so."""
    if recorded.track not in TASKS:
        return False
    try:
        if not reader.has(recorded.cell, TASKS[recorded.track].outputs.kind, recorded.split):
            return False
        check_outputs(report, recorded, reader)
    except (OSError, ValueError, KeyError) as error:
        what = f"scores on {recorded.split}"
        report.compare("scores", recorded.where, what, "recorded", f"not recomputable: {error}")
    return True


def check_outputs(report: Report, recorded: Recorded, reader: outputs.Reader) -> None:
    """Every metric that the task computes from its outputs, and their number where it is known."""
    own, split = TASKS[recorded.track].outputs, recorded.split
    source = OutputSource(report.folder, recorded.dataset, split, reader)
    expected = own.segments(source)
    if expected is not None:
        place, found = reader.where(recorded.cell, own.kind, split), len(own.shown(source, recorded.cell))
        if not report.compare("scores", place, "lines", found, expected):
            return
    for metric, score in own.scores(source, recorded.cell, recorded.statistics).items():
        if metric in own.later and metric not in recorded.scores:
            continue
        value, signature = recorded.scores.get(metric, [None, ""])
        report.close("scores", recorded.where, f"{metric} on {split}", value, score.value)
        if score.signature and signature != score.signature:
            where = report.name(recorded.where)
            report.notes.append(f"{where}: {metric} was computed as {signature}, here as {score.signature}")
