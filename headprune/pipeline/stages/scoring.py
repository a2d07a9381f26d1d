"""Masks of score methods."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import torch

from headprune import removal
from headprune.config import Method
from headprune.method import Entry, Pruning
from headprune.method.guards import undisturbed, unread
from headprune.models.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.progress import Reporter
from headprune.pipeline.specification import (
    Spec,
    cell_folder,
    cells_of,
    dense_path,
    derived_seed,
    entry_of,
    folder_of,
    methods_of,
    signature_of,
    trained_record,
)
from headprune.pipeline.stages.pruned import calibration, prune, receipt
from headprune.pipeline.stages.trainings import Cost, costed
from headprune.pipeline.store import Record, is_kept, kept_or_computed, underway
from headprune.system.stopping import contained


def score(spec: Spec, reporter: Reporter) -> Record:
    """Ranks the heads of the dense model with every score method of a batch; prunes and validates a cell per budget."""
    cells, done = cells_of(spec), 0
    for method in methods_of(spec):
        mine = [cell for cell in cells if (cell.method, cell.arm) == (method.name, method.arm)]
        for draw in dict.fromkeys(cell.draw for cell in mine):
            score_once(spec, method, [cell for cell in mine if cell.draw == draw])
        done += len(mine)
        reporter.update(done, len(cells), None)
    return receipt(spec, cells)


def score_once(spec: Spec, method: Method, cells: list[Cell]) -> None:
    """One run of a score method, which serves all its budgets; nothing if all its cells are done."""
    entry = entry_of(spec, method)
    signatures = {cell.id: signature_of(spec, entry, method, cell) for cell in cells}
    paths = {cell.id: cell_folder(spec, cell) / "pruned.json" for cell in cells}
    if all(is_kept(paths[cell.id], signatures[cell.id]) for cell in cells):
        return
    found: Mapping[int, Pruning] = {}
    error: Exception | None = None
    costs: Record = {}
    try:
        with underway({paths[cell.id]: signatures[cell.id] for cell in cells}), contained():
            seconds = trained_record(spec)["seconds"]
            model = removal.load(dense_path(spec)).to(device())
            found, cost = find_masks(spec, entry, method, model, cells)
            costs = cost.record(train_seconds=seconds)
    except Exception as caught:
        traceback.print_exc()
        error = caught

    for cell in cells:

        def compute(cell: Cell = cell) -> Record:
            if error is not None:
                raise error
            return prune(spec, cell, model, found[cell.budget]) | costs

        kept_or_computed(paths[cell.id], signatures[cell.id], compute)


def find_masks(
    spec: Spec, entry: Entry, method: Method, model: Any, cells: list[Cell]
) -> tuple[dict[int, Pruning], Cost]:
    """Masks by budget, and what finding them cost.

    :raises ConductError: the method changed the model or the state of the process, or opened files of the run.
    """
    batches, budgets = calibration(spec), [cell.budget for cell in cells]
    rng = torch.Generator().manual_seed(derived_seed(spec["seed"], entry.name, cells[0].full_arm))
    scores = entry.method(entry.options(method.options), method.scope)
    with undisturbed(entry.name, model), unread(entry.name, folder_of(spec)), costed() as cost:
        found = {budget: Pruning.of(mask) for budget, mask in scores.masks(model, batches, budgets, rng).items()}
    for budget in budgets:
        check_mask(entry, method, found[budget], budget)
    return found, cost


def check_mask(entry: Entry, method: Method, pruning: Pruning, budget: int) -> None:
    """:raises ValueError: the mask misses its budget, or removes what the scope protects."""
    if pruning.mask.count != budget:
        raise ValueError(f"{entry.name} keeps {pruning.mask.count} heads, the budget is {budget}")
    if not method.scope.allows(pruning.mask):
        raise ValueError(f"{entry.name} removes heads that `types` and `min_per_module` of {method.label!r} protect")
