"""The job that does something with the masks of other methods: other weights, other biases, or other heads."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from headprune import removal
from headprune.heads import HeadMask, HeadSpace
from headprune.models.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.context import Beginning, ModelContext
from headprune.pipeline.identity import derived_seed, sign, treated_identity
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, find
from headprune.pipeline.stages.measuring import measure, prune, receipt
from headprune.pipeline.stages.trainings import arguments_of, cost_entries, cost_of, run_training, terms_of
from headprune.pipeline.store import kept_or_computed, require_ok, require_whole, unsettled
from headprune.training.arguments import pruned_arguments
from headprune.training.costs import Cost, Meter
from headprune.treatments import Repruning, Retraining


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Treats every cell of the job whose method has found a mask."""
    assert context.treatment is not None
    bases = {cell: find(context.folder(cell.untreated).pruned) for cell in context.cells}
    signatures = {cell: sign(context, cell, treated_identity(context, cell, base)) for cell, base in bases.items()}
    unsettled({context.folder(cell).pruned: signature for cell, signature in signatures.items()})
    for position, (cell, base) in enumerate(bases.items()):
        signature = signatures[cell]
        compute = partial(treated, context, cell, base, signature, reporter)
        kept_or_computed(context.folder(cell).pruned, signature, compute, scratch=context.scratch(signature))
        if not context.treatment.kind.trains:
            reporter.update(position + 1, len(context.cells), None)
    return receipt(context, context.cells)


def treated(context: ModelContext, cell: Cell, base: Record, signature: str, reporter: Reporter) -> Record:
    """The record of one cell.

    :param base: record of the cell whose mask it takes
    :raises UpstreamError: its method found no mask.
    """
    require_ok(base, "pruning")
    assert context.treatment is not None
    kind = context.treatment.kind
    if isinstance(kind, Repruning):
        return repruned(context, kind, cell, base)
    assert isinstance(kind, Retraining)
    return retrained(context, kind, cell, base, signature, reporter)


def repruned(context: ModelContext, kind: Repruning, cell: Cell, base: Record) -> Record:
    """The unpruned model, pruned in another way."""
    seconds = context.trained()["seconds"]
    model = removal.load(context.checkpoint).to(device())
    with Meter() as meter:
        pruning = kind.prune(model, mask_of(base), context.batches, generator_of(cell))
    record = prune(context, cell, model, pruning)
    if kind.keeps_mask:
        return record | cost_entries(meter.cost + cost_of(base), base["train_seconds"])
    return record | cost_entries(Cost(), seconds)


def retrained(
    context: ModelContext, kind: Retraining, cell: Cell, base: Record, signature: str, reporter: Reporter
) -> Record:
    """A training of the pruned architecture; its masked twin is grown back for the comparison.

    :raises UpstreamError: the model that it starts from is lost, or another one; or the unpruned one that it learns
        from is, or its training failed.
    """
    settings, mask = context.treatment, kind.mask(mask_of(base), generator_of(cell))
    assert settings is not None
    if kind.needs_dense(settings):
        context.trained()
    if kind.starts_pruned:
        require_whole(context.folder(cell.untreated).pruned, base)
        argv = arguments_of(context, settings, settings.updates)
        before = Beginning(context.folder(cell.untreated).model)
    else:
        argv = arguments_of(context)
        before = cut(context.beginning(), mask, context.scratch(signature))
    argv += [*kind.arguments(settings, context.checkpoint), *pruned_arguments(mask)]
    trained = run_training(context, argv, signature, reporter, before.checkpoint)
    model: Any = trained.model.to(device())
    removal.save(model, context.folder(cell).model)
    record = measure(context, cell, removal.regrown(model), mask)
    record |= {"curve": trained.curve, "trainings": terms_of(trained)}
    if kind.starts_pruned:
        return record | cost_entries(cost_of(base) + trained.spent, base["train_seconds"])
    return record | cost_entries(Cost(memory=trained.spent.memory), before.seconds + trained.spent.seconds)


def cut(whole: Beginning, mask: HeadMask, folder: Path) -> Beginning:
    """The weights that trainings begin with, of the heads of a mask only.

    :param folder: in which they are written
    """
    if whole.checkpoint is None:
        return whole
    folder.mkdir(parents=True, exist_ok=True)
    removal.save(removal.remove_heads(removal.load(whole.checkpoint), mask), folder / "start.pt")
    return replace(whole, checkpoint=folder / "start.pt")


def generator_of(cell: Cell) -> torch.Generator:
    """A generator of random numbers that differs for every cell."""
    return torch.Generator().manual_seed(derived_seed(cell.seed, cell.id))


def mask_of(record: Record) -> HeadMask:
    """The mask in the record of a cell."""
    space, kept = HeadSpace.from_names(record["heads"]), set(record["mask"])
    return HeadMask(space, [int(name in kept) for name in space.names])
