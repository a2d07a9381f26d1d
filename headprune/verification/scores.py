"""Scores recomputed from what the models put out: of a run by its records, of published results by their table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.naming import cell_id
from headprune.results import outputs
from headprune.results.layout import MANIFEST
from headprune.results.schema import CELL_KEY
from headprune.verification.base import Report

SCORED = {"test": "test.json", "valid": "pruned.json"}  # the record that holds the scores of a split
RECOMPUTED = ("bleu", "chrf", "bleu_tokenized_lower", "perplexity", "bits_per_byte")


@dataclass(frozen=True)
class Recorded:
    """Scores of a cell on a split as they are written down.

    :param where: they are written, for the reader of the report
    :param scores: by metric value and signature
    :param statistics: of the dataset
    """

    where: str | Path
    cell: str
    dataset: str
    split: str
    scores: Mapping[str, Any]
    statistics: Mapping[str, Any]


def check_scores(report: Report, cell: Path) -> None:
    """Metrics of every split that was read, from its outputs."""
    name = cell.relative_to(report.folder / "cells").as_posix()
    reader = outputs.reader(report.folder, name.split("/")[0])
    dataset = str(report.read(cell / "identity.json").get("dataset"))
    statistics = report.read(report.folder / "data" / dataset / "statistics.json")
    for split, record in SCORED.items():
        found = report.read(cell / record)
        scores = found if split == "test" else found.get("valid")
        if not scores or found.get("status") != "ok":
            continue
        if not recompute(report, Recorded(cell / record, name, dataset, split, scores, statistics), reader):
            report.missing("scores", outputs.cell_folder(report.folder, name), f"segments of {split}")


def check_published_scores(report: Report, cells: pd.DataFrame) -> None:
    """Metrics of every cell of a table from the outputs beside it, where no records of cells are.

    :param cells: cells.parquet
    """
    data = report.read(report.folder / MANIFEST).get("data", {})
    scored = cells[cells["split"].isin(SCORED) & cells["metric"].isin(RECOMPUTED) & cells["value"].notna()]
    readers: dict[str, outputs.Reader] = {}
    left_out = 0
    for _, rows in scored.groupby([*CELL_KEY, "split"]):
        cell = rows.iloc[0].to_dict()
        dataset, model, split = (str(cell[column]) for column in ("dataset", "model", "split"))
        reader = readers.setdefault(model, outputs.reader(report.folder, model))
        name = cell_id(model, cell["method"], cell["arm"], cell["budget"], cell["seed"])
        records = rows.to_dict("records")
        scores = {str(row["metric"]): [row["value"], row["metric_signature"]] for row in records}
        recorded = Recorded(f"cells.parquet: {name}", name, dataset, split, scores, data.get(dataset, {}))
        has_text = cell["track"] != "mt" or outputs.raw_text(report.folder, dataset, split, "tgt").is_file()
        done = has_text and recompute(report, recorded, reader)
        left_out += split == "test" and not done  # validation: of most models no outputs are kept
    if left_out:
        report.notes.append(f"test scores of {left_out} cells were not recomputed: their outputs are not here")


def recompute(report: Report, recorded: Recorded, reader: outputs.Reader) -> bool:
    """Compares scores with those of the outputs; False where there are no outputs to do so."""
    for kind, check in (("hypotheses", check_translations), ("likelihoods", check_likelihoods)):
        try:
            if reader.has(recorded.cell, kind, recorded.split):
                check(report, recorded, reader)
                return True
        except (OSError, ValueError, KeyError) as error:
            what = f"scores on {recorded.split}"
            report.compare("scores", recorded.where, what, "recorded", f"not recomputable: {error}")
            return True
    return False


def check_translations(report: Report, recorded: Recorded, reader: outputs.Reader) -> None:
    """BLEU and chrF of the hypotheses on the raw references."""
    from headprune.evaluation import translation

    cell, split = recorded.cell, recorded.split
    hypotheses = reader.texts(cell, split)
    text = outputs.raw_text(report.folder, recorded.dataset, split, "tgt")
    references = outputs.lines(text.read_bytes())
    place = reader.where(cell, "hypotheses", split)
    if not report.compare("scores", place, "lines", len(hypotheses), len(references)):
        return
    language = recorded.statistics["corpus"]["target"]
    computed = {
        "bleu": translation.bleu(hypotheses, references),
        "chrf": translation.chrf(hypotheses, references),
        "bleu_tokenized_lower": translation.bleu_tokenized_lower(hypotheses, references, language),
    }
    for metric, score in computed.items():
        value, signature = recorded.scores.get(metric, [None, ""])
        report.close("scores", recorded.where, f"{metric} on {split}", value, score.value)
        if signature != score.signature:
            where = report.name(recorded.where)
            report.notes.append(f"{where}: {metric} was computed as {signature}, here as {score.signature}")


def check_likelihoods(report: Report, recorded: Recorded, reader: outputs.Reader) -> None:
    """Perplexity, and bits per byte of the whole split, from the log-likelihood of every segment."""
    split, scores = recorded.split, recorded.scores
    table = reader.values(recorded.cell, "likelihoods", split)
    nats = -math.fsum(table["log_likelihood"]) / int(table["tokens"].sum())
    report.close("scores", recorded.where, f"perplexity on {split}", scores["perplexity"][0], math.exp(nats))
    counts = recorded.statistics.get("splits", {}).get(split, {})
    if "bits_per_byte" in scores and {"tokens", "bytes"} <= set(counts):
        computed = nats * counts["tokens"] / math.log(2) / counts["bytes"]
        report.close("scores", recorded.where, f"bits_per_byte on {split}", scores["bits_per_byte"][0], computed)
