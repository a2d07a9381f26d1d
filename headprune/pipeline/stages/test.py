"""The job that reads the test set, once per cell: the only one that does."""

from __future__ import annotations

from functools import partial

from headprune.pipeline.cells import Cell
from headprune.pipeline.context import ModelContext
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, find
from headprune.pipeline.stages.measuring import evaluate, files_of, load, receipt
from headprune.pipeline.store import kept_or_computed, require_ok, require_whole, unsettled
from headprune.results.provenance import digest


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Reads the test set with every pruned model of the job."""
    test_hash = context.corpus.statistics["sha256"]["test"]
    found = {cell: find(context.folder(cell).pruned) for cell in context.cells}
    signatures = {
        context.folder(cell).test: digest([pruned["signature"], test_hash, context.told["evaluation"]])
        for cell, pruned in found.items()
    }
    missing = unsettled(signatures)
    for position, (cell, pruned) in enumerate(found.items()):
        if (path := context.folder(cell).test) in missing:
            kept_or_computed(path, signatures[path], partial(tested, context, cell, pruned))
        reporter.update(position + 1, len(context.cells), None)
    return receipt(context, context.cells, "test")


def tested(context: ModelContext, cell: Cell, pruned: Record) -> Record:
    """Scores of one cell.

    :param pruned: its record
    :raises UpstreamError: there is no pruned model, or another one.
    """
    require_ok(pruned, "pruning")
    require_whole(context.folder(cell).pruned, pruned)
    return evaluate(context, cell, load(context, cell), "test") | files_of(context, cell, "test")
