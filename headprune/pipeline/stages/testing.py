"""The test set, read once per cell, and the measurement of speed."""

from __future__ import annotations

from pathlib import Path

from headprune import removal
from headprune.config import Speed
from headprune.models.devices import device
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
from headprune.pipeline.stages import rounds
from headprune.pipeline.stages.pruned import evaluate, files_of, receipt
from headprune.pipeline.store import (
    Record,
    UpstreamError,
    is_kept,
    kept_or_computed,
    read_json,
    require_ok,
    require_whole,
    write_json,
)
from headprune.results.provenance import digest, environment


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

    What is measured already stays, as long as it is of the model that the cell has, in this way and on this machine.
    """
    settings, ready = Speed(**spec["speed"]), whole_models(spec)
    about = [spec["speed"], spec["evaluation"], corpus_of(spec).statistics["sha256"], environment()]
    signatures = {cell.id: digest([*about, model]) for cell, model in ready.items()}
    paths = {cell.id: cell_folder(spec, cell) / "speed.json" for cell in ready}
    kept = {name: read_json(path) for name, path in paths.items() if is_kept(path, signatures[name])}
    cells = rounds.to_measure(list(ready), kept)
    models = {cell.id: removal.load(cell_folder(spec, cell) / "model.pt").to(device()) for cell in cells}
    timings = track_of(spec).time(models, corpus_of(spec), settings, evaluation_of(spec)) if models else {}
    measured = {name: dict(zip(rounds.METRICS, pair, strict=True)) for name, pair in timings.items()}
    unpruned = next((cell.id for cell in cells if cell.id in kept), None)
    for name, times in measured.items():
        if name == unpruned:  # its first time is what the others are given in
            continue
        own: Record = {metric: vars(timing) for metric, timing in times.items()}
        if unpruned is not None:
            own = rounds.in_terms_of(kept[unpruned], measured[unpruned], times)
        fixed = {"status": "ok", "reason": "", "signature": signatures[name], "batch_size": settings.batch_size}
        write_json(paths[name], fixed | own)
    return receipt(spec, list(ready), "speed.json")


def whole_models(spec: Spec) -> dict[Cell, str]:
    """The cells of a job that have the model which was pruned, and a digest of what it is and how it was found. Others
    are left out, and told of."""
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
            found[cell] = digest([pruned["signature"], companions(path, pruned).get(path.with_name("model.pt"), "")])
    return found
