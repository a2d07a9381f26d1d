"""From a mask to the record of a cell: heads removed, model saved, measured on the validation set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headprune import cost, removal
from headprune.config import Calibration
from headprune.heads import HeadMask
from headprune.method import Batches, Pruning
from headprune.models.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.records import checksums, find
from headprune.pipeline.specification import (
    Spec,
    cell_folder,
    corpus_of,
    evaluation_of,
    folder_of,
    model_of,
    track_of,
)
from headprune.pipeline.store import Record, write_bytes
from headprune.results import outputs
from headprune.results.provenance import file_sha256


def calibration(spec: Spec) -> Batches:
    """The train examples that methods see: the same for all methods of a seed."""
    settings = Calibration(**spec["calibration"])
    return track_of(spec).calibration(corpus_of(spec), model_of(spec).architecture, settings, spec["seed"])


def prune(spec: Spec, cell: Cell, model: Any, pruning: Pruning) -> Record:
    """Removes the heads, saves the pruned model and measures what needs no test set."""
    model = removal.reconstructed(model, pruning.outputs)
    pruned = removal.remove_heads(model, pruning.mask)
    removal.save(pruned, cell_folder(spec, cell) / "model.pt")
    return measure(spec, cell, model, pruning.mask)


def measure(spec: Spec, cell: Cell, model: Any, mask: HeadMask) -> Record:
    """Compares the saved model of a cell with `model` under `mask`, and measures it."""
    track, corpus, settings = track_of(spec), corpus_of(spec), evaluation_of(spec)
    pruned = removal.load(cell_folder(spec, cell) / "model.pt").to(device())
    agreed = track.agreement(model, mask, pruned, corpus, settings)
    record: Record = {
        "mask": list(mask.names()),
        "heads": list(mask.space.names),
        "perplexity": agreed.perplexity,
        "masked_vs_removed_max_abs": agreed.max_abs,
        "parameters": cost.parameters(pruned),
        "parameters_non_embedding": cost.parameters(pruned, embeddings=False),
        "macs_per_token": track.macs_per_token(pruned, corpus),
    }
    if agreed.hypotheses_compared:
        record["masked_vs_removed_hypotheses"] = agreed.hypotheses_different
    if track.scores_validation(settings):
        record["valid"] = evaluate(spec, cell, pruned, "valid")
    return record | files_of(spec, cell, "valid", cell_folder(spec, cell) / "model.pt")


def evaluate(spec: Spec, cell: Cell, model: Any, split: str) -> Record:
    """The scores of a cell on a split; what the paired tests read is saved."""
    outcome = track_of(spec).evaluate(model, corpus_of(spec), split, evaluation_of(spec))
    for name, content in outcome.segments.items():
        write_bytes(outputs.cell_folder(folder_of(spec), cell.id) / name, content)
    return {name: [score.value, score.signature] for name, score in outcome.scores.items()}


def files_of(spec: Spec, cell: Cell, split: str, *others: Path) -> Record:
    """What the record of a cell says of the files that came with it: its outputs on a split, and others."""
    outputs = (folder_of(spec) / "segments" / cell.id).glob(f"*.{split}.*")
    return {"files": checksums(cell_folder(spec, cell) / "pruned.json", [*outputs, *others])}


def receipt(spec: Spec, cells: list[Cell], name: str = "pruned.json") -> Record:
    """Signature, status and reason of every cell of a job, and the sha256 of the record that says so."""
    found, keep = {}, ("signature", "status", "reason")
    for cell in cells:
        path = cell_folder(spec, cell) / name
        record = find(path)
        found[cell.id] = {key: record[key] for key in keep} | {"sha256": file_sha256(path)}
    return {"status": "ok", "reason": "", "cells": found}
