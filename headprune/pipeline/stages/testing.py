"""The test set, read once per cell, and the measurement of speed."""

from __future__ import annotations

from headprune import removal
from headprune.config import Speed
from headprune.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.progress import Reporter
from headprune.pipeline.specification import (
    Spec,
    cell_folder,
    cells_of,
    corpus_of,
    evaluation_of,
    track_of,
)
from headprune.pipeline.stages.pruned import evaluate, receipt
from headprune.pipeline.store import Record, kept_or_computed, read_json, require_ok, write_json
from headprune.provenance import digest


def test(spec: Spec, reporter: Reporter) -> Record:
    """Reads the test set with every pruned model of a job: the only place that does."""
    cells, corpus = cells_of(spec), corpus_of(spec)
    for position, cell in enumerate(cells):
        pruned = read_json(cell_folder(spec, cell) / "pruned.json")

        def compute(cell: Cell = cell, pruned: Record = pruned) -> Record:
            require_ok(pruned, "pruning")
            model = removal.load(cell_folder(spec, cell) / "model.pt").to(device())
            return evaluate(spec, cell, model, "test")

        test_hash = corpus.statistics["sha256"]["test"]
        signature = digest([pruned["signature"], test_hash, spec["evaluation"]])
        kept_or_computed(cell_folder(spec, cell) / "test.json", signature, compute)
        reporter.update(position + 1, len(cells), None)
    return receipt(spec, cells, "test.json")


def speed(spec: Spec, reporter: Reporter) -> Record:
    """Measures all pruned models of a seed in turn, in one process that has the machine to itself."""
    settings = Speed(**spec["speed"])
    ready = [c for c in cells_of(spec) if read_json(cell_folder(spec, c) / "pruned.json")["status"] == "ok"]
    models = {cell.id: removal.load(cell_folder(spec, cell) / "model.pt").to(device()) for cell in ready}
    timings = track_of(spec).time(models, corpus_of(spec), settings, evaluation_of(spec))
    for cell in ready:
        latency, throughput = timings[cell.id]
        record = {"latency_ms": latency.__dict__, "throughput": throughput.__dict__, "batch_size": settings.batch_size}
        write_json(cell_folder(spec, cell) / "speed.json", {"status": "ok", "reason": "", **record})
    return {"status": "ok", "reason": "", "cells": [cell.id for cell in ready]}
