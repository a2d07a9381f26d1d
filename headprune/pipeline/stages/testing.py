"""The test set, read once per cell, and the measurement of speed."""

from __future__ import annotations

from pathlib import Path

from headprune import removal
from headprune.config import Speed
from headprune.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import companions, find
from headprune.pipeline.specification import (
    Spec,
    cell_folder,
    cells_of,
    corpus_of,
    evaluation_of,
    track_of,
)
from headprune.pipeline.stages.pruned import evaluate, files_of, receipt
from headprune.pipeline.store import (
    Record,
    UpstreamError,
    is_kept,
    kept_or_computed,
    require_ok,
    require_whole,
    write_json,
)
from headprune.provenance import digest, environment


def test(spec: Spec, reporter: Reporter) -> Record:
    """Reads the test set with every pruned model of a job: the only place that does."""
    cells, corpus = cells_of(spec), corpus_of(spec)
    for position, cell in enumerate(cells):
        path = cell_folder(spec, cell) / "pruned.json"
        pruned = find(path)

        def compute(cell: Cell = cell, path: Path = path, pruned: Record = pruned) -> Record:
            require_ok(pruned, "pruning")
            require_whole(path, pruned)
            model = removal.load(path.with_name("model.pt")).to(device())
            return evaluate(spec, cell, model, "test") | files_of(spec, cell, "test")

        test_hash = corpus.statistics["sha256"]["test"]
        signature = digest([pruned["signature"], test_hash, spec["evaluation"]])
        kept_or_computed(path.with_name("test.json"), signature, compute)
        reporter.update(position + 1, len(cells), None)
    return receipt(spec, cells, "test.json")


def speed(spec: Spec, reporter: Reporter) -> Record:
    """Measures all pruned models of a seed in turn, in one process that has the machine to itself.

    Times of one round are kept together or not at all: as long as it is these models, measured in this way, here.
    """
    settings, ready = Speed(**spec["speed"]), whole_models(spec)
    paths = {cell.id: cell_folder(spec, cell) / "speed.json" for cell in ready}
    measured = {"models": {cell.id: sha256 for cell, sha256 in ready.items()}, "speed": spec["speed"]}
    signature = digest([measured, spec["evaluation"], corpus_of(spec).statistics["sha256"], environment()])
    if not all(is_kept(path, signature) for path in paths.values()):
        models = {cell.id: removal.load(cell_folder(spec, cell) / "model.pt").to(device()) for cell in ready}
        timings = track_of(spec).time(models, corpus_of(spec), settings, evaluation_of(spec))
        for cell_id, path in paths.items():
            latency, throughput = timings[cell_id]
            times: Record = {"latency_ms": latency.__dict__, "throughput": throughput.__dict__}
            about = {"status": "ok", "reason": "", "signature": signature, "batch_size": settings.batch_size}
            write_json(path, about | times)
    return receipt(spec, list(ready), "speed.json")


def whole_models(spec: Spec) -> dict[Cell, str]:
    """The cells of a job that have the model which was pruned, and its sha256. Others are left out, and told of."""
    found = {}
    for cell in cells_of(spec):
        path = cell_folder(spec, cell) / "pruned.json"
        pruned = find(path)
        try:
            require_ok(pruned, "pruning")
            require_whole(path, pruned)
        except UpstreamError as error:
            print(f"{cell.id} is not measured: {error}", flush=True)
        else:
            found[cell] = companions(path, pruned).get(path.with_name("model.pt"), "")
    return found
