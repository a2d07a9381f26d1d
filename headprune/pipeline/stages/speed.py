"""The job that measures all pruned models of a seed, in one process that has the machine to itself."""

from __future__ import annotations

from collections.abc import Mapping

from headprune.pipeline.cells import Cell
from headprune.pipeline.context import ModelContext
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, companions, find
from headprune.pipeline.stages import speed_rounds
from headprune.pipeline.stages.measuring import load, receipt
from headprune.pipeline.store import UpstreamError, is_kept, read_json, require_ok, require_whole, write_json
from headprune.results.provenance import digest, environment
from headprune.timing import Timing


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Measures what is not measured yet: of the model that the cell has, in this way and on this machine."""
    ready = whole_models(context)
    about = [context.told["speed"], context.told["evaluation"], context.corpus.statistics["sha256"], environment()]
    signatures = {cell: digest([*about, model]) for cell, model in ready.items()}
    paths = {cell: context.folder(cell).speed for cell in ready}
    kept = {cell.id: read_json(path) for cell, path in paths.items() if is_kept(path, signatures[cell])}
    cells = speed_rounds.to_measure(list(ready), kept)
    measured = times_of(context, cells)
    unpruned = next((cell for cell in cells if cell.id in kept), None)
    for cell, times in measured.items():
        if cell == unpruned:  # its first time is what the others are given in
            continue
        own: Record = {metric: vars(timing) for metric, timing in times.items()}
        if unpruned is not None:
            own = speed_rounds.in_terms_of(kept[unpruned.id], measured[unpruned], times)
        fixed = {"signature": signatures[cell], "batch_size": context.speed.batch_size}
        write_json(paths[cell], {"status": "ok", "reason": "", **fixed, **own})
    return receipt(context, list(ready), "speed")


def times_of(context: ModelContext, cells: list[Cell]) -> dict[Cell, Mapping[str, Timing]]:
    """Latency and throughput of cells, each in pairs with the unpruned one."""
    first = speed_rounds.unpruned_of(cells)
    models = {cell.id: load(context, cell) for cell in sorted(cells, key=lambda cell: cell != first)}
    if not models:
        return {}
    timings = context.work.time(models, context.corpus, context.speed, context.evaluation)
    return {cell: dict(zip(speed_rounds.METRICS, timings[cell.id], strict=True)) for cell in cells}


def whole_models(context: ModelContext) -> dict[Cell, str]:
    """The cells of a job that have the model which was pruned, and a digest of what it is and how it was found. Others
    are left out, and told of."""
    found = {}
    for cell in context.cells:
        folder = context.folder(cell)
        pruned = find(folder.pruned)
        try:
            require_ok(pruned, "pruning")
            require_whole(folder.pruned, pruned)
        except UpstreamError as error:
            print(f"{cell.id} is not measured: {error}", flush=True)
        else:
            found[cell] = digest([pruned["signature"], companions(folder.pruned, pruned).get(folder.model, "")])
    return found
