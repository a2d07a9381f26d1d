"""The job that trains a gate method for one budget."""

from __future__ import annotations

from functools import partial
from typing import Any

from headprune.method import Pruning
from headprune.models.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.context import Arm, ModelContext
from headprune.pipeline.identity import cell_identity, derived_seed, sign
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.pipeline.stages.gate_trainings import costs, dense_seconds, gate_run, mask_of, train_gates
from headprune.pipeline.stages.measuring import prune, receipt
from headprune.pipeline.stages.trainings import terms_of
from headprune.pipeline.store import kept_or_computed
from headprune.training.trainer import Trained


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Trains, prunes and validates; the job has one method and one cell."""
    (arm,), (cell,) = context.arms, context.cells
    signature = sign(context, cell, cell_identity(context, arm, cell))
    compute = partial(trained, context, arm, cell, signature, reporter)
    kept_or_computed(context.folder(cell).pruned, signature, compute, scratch=context.scratch(signature))
    return receipt(context, [cell])


def trained(context: ModelContext, arm: Arm, cell: Cell, signature: str, reporter: Reporter) -> Record:
    """The record of the cell, from its training on."""
    before = dense_seconds(context, arm)
    found, model, pruning = find_mask(context, arm, cell, signature, reporter)
    told = {"curve": found.curve, "trainings": terms_of(found)}
    return prune(context, cell, model, pruning) | costs(arm, found.spent, before) | told


def find_mask(
    context: ModelContext, arm: Arm, cell: Cell, signature: str, reporter: Reporter
) -> tuple[Trained, Any, Pruning]:
    """One training for a cell: what came of it, the model that is pruned, and its mask."""
    seed = derived_seed(cell.seed, arm.name, cell.full_arm, str(cell.budget)) % 2**31
    run = gate_run(context, arm, cell.budget, arm.settings.options, seed)
    found = train_gates(context, arm, run, signature, reporter)
    assert found.gates is not None
    model = found.model.to(device())
    return found, model, mask_of(context, arm, found.gates, model, cell)
