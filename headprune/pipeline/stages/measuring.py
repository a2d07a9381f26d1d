"""The way from a mask to the record of a cell: heads removed, model saved, measured on the validation set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headprune import cost, removal
from headprune.heads import HeadMask
from headprune.method import Pruning
from headprune.models.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.context import ModelContext
from headprune.pipeline.records import Record, checksums, find
from headprune.pipeline.store import write_bytes
from headprune.results.provenance import file_sha256


def prune(context: ModelContext, cell: Cell, model: Any, pruning: Pruning) -> Record:
    """Removes the heads, saves the pruned model and measures what needs no test set."""
    model = removal.reconstructed(model, pruning.outputs)
    pruned = removal.remove_heads(model, pruning.mask)
    removal.save(pruned, context.folder(cell).model)
    return measure(context, cell, model, pruning.mask)


def measure(context: ModelContext, cell: Cell, model: Any, mask: HeadMask) -> Record:
    """Compares the saved model of a cell with `model` under `mask`, and measures it."""
    work, corpus, settings = context.work, context.corpus, context.evaluation
    pruned = load(context, cell)
    agreed = work.agreement(model, mask, pruned, corpus, settings)
    record: Record = {
        "mask": list(mask.names()),
        "heads": list(mask.space.names),
        "perplexity": agreed.perplexity,
        "masked_vs_removed_max_abs": agreed.max_abs,
        "parameters": cost.parameters(pruned),
        "parameters_non_embedding": cost.parameters(pruned, embeddings=False),
        "macs_per_token": work.macs_per_token(pruned, corpus),
    }
    if agreed.hypotheses_compared:
        record["masked_vs_removed_hypotheses"] = agreed.hypotheses_different
    if work.scores_validation(settings):
        record["valid"] = evaluate(context, cell, pruned, "valid")
    return record | files_of(context, cell, "valid", context.folder(cell).model)


def load(context: ModelContext, cell: Cell) -> Any:
    """The pruned model of a cell."""
    return removal.load(context.folder(cell).model).to(device())


def evaluate(context: ModelContext, cell: Cell, model: Any, split: str) -> Record:
    """The scores of a cell on a split; what the paired tests read is saved."""
    outcome = context.work.evaluate(model, context.corpus, split, context.evaluation)
    for name, content in outcome.segments.items():
        write_bytes(context.folder(cell).outputs / name, content)
    return {name: [score.value, score.signature] for name, score in outcome.scores.items()}


def files_of(context: ModelContext, cell: Cell, split: str, *others: Path) -> Record:
    """The entry `files` of the record of a cell: its outputs on a split, and others."""
    folder = context.folder(cell)
    return {"files": checksums(folder.pruned, [*folder.outputs_on(split), *others])}


def receipt(context: ModelContext, cells: Iterable[Cell], step: str = "pruned") -> Record:
    """Signature, status and reason of every cell of a job, and the sha256 of the record that says so."""
    found, keep = {}, ("signature", "status", "reason")
    for cell in cells:
        path = context.folder(cell).record(step)
        record = find(path)
        found[cell.id] = {key: record[key] for key in keep} | {"sha256": file_sha256(path)}
    return {"status": "ok", "reason": "", "cells": found}
