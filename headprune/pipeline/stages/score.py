"""The job that finds masks by score methods."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from headprune import removal
from headprune.method import Pruning
from headprune.method.masks import masks_of
from headprune.models.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.context import Arm, ModelContext
from headprune.pipeline.identity import cell_identity, derived_seed, sign
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.pipeline.stages.measuring import prune, receipt
from headprune.pipeline.stages.trainings import cost_entries
from headprune.pipeline.store import kept_or_computed, underway, unsettled
from headprune.system.stopping import contained
from headprune.training.costs import Cost, Meter


@dataclass(frozen=True)
class Found:
    """The outcome of a run of a score method.

    :param masks: by budget
    :param costs: of each cell's record
    :param error: that ended it
    """

    model: Any = None
    masks: Mapping[int, Pruning] = field(default_factory=dict)
    costs: Record = field(default_factory=dict)
    error: Exception | None = None


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Ranks the heads of the dense model with every score method of a batch; prunes and validates a cell per budget."""
    cells, done = context.cells, 0
    mine = [
        (arm, [cell for cell in cells if (cell.method, cell.arm) == (arm.name, arm.settings.arm)])
        for arm in context.arms
    ]
    signatures = {
        context.folder(cell).pruned: sign(context, cell, cell_identity(context, arm, cell))
        for arm, own in mine
        for cell in own
    }
    missing = {path: signatures[path] for path in unsettled(signatures)}
    for arm, own in mine:
        for draw in dict.fromkeys(cell.draw for cell in own):
            score_once(context, arm, [cell for cell in own if cell.draw == draw], missing)
        done += len(own)
        reporter.update(done, len(cells), None)
    return receipt(context, cells)


def score_once(context: ModelContext, arm: Arm, cells: Sequence[Cell], missing: Mapping[Path, str]) -> None:
    """One run of a score method, which serves all its budgets; nothing if all its cells are done.

    :param missing: signatures of the records that are not, by path
    """
    wanted = {cell: path for cell in cells if (path := context.folder(cell).pruned) in missing}
    if not wanted:
        return
    with underway({path: missing[path] for path in wanted.values()}):
        found = attempt(context, arm, cells)
    for cell, path in wanted.items():
        kept_or_computed(path, missing[path], partial(pruned, context, cell, found))


def attempt(context: ModelContext, arm: Arm, cells: Sequence[Cell]) -> Found:
    """Masks of the dense model, or the error that there is instead."""
    try:
        with contained():
            seconds = context.trained()["seconds"]
            model = removal.load(context.checkpoint).to(device())
            masks, cost = find_masks(context, arm, model, cells)
            return Found(model, masks, cost_entries(cost, seconds))
    except Exception as error:
        traceback.print_exc()
        return Found(error=error)


def pruned(context: ModelContext, cell: Cell, found: Found) -> Record:
    """The record of one budget.

    :raises Exception: that which ended the run of the method
    """
    if found.error is not None:
        raise found.error
    return prune(context, cell, found.model, found.masks[cell.budget]) | found.costs


def find_masks(context: ModelContext, arm: Arm, model: Any, cells: Sequence[Cell]) -> tuple[dict[int, Pruning], Cost]:
    """Masks by budget, and what finding them cost; raises as `masks_of` does."""
    method = arm.entry.method(arm.entry.options(arm.settings.options), arm.scope)
    seed, budgets = derived_seed(context.seed, arm.name, cells[0].full_arm), [cell.budget for cell in cells]
    place, meter = context.run.path, Meter()
    found = masks_of(method, model, context.batches(), budgets, seed, closed=[place], label=arm.label, within=meter)
    return found, meter.cost
