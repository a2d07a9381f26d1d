"""The job of one trial of the tuning of an entry, at one seed: masks found as its cells find theirs, judged by the loss
on the validation set.

The record of every budget says what its runs cost; a run that serves several has the same name in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from headprune import removal
from headprune.evaluation import likelihood
from headprune.method import Pruning
from headprune.method.search import TOLERANCE
from headprune.pipeline.attempts import trial_records
from headprune.pipeline.cells import Cell
from headprune.pipeline.context import Arm, ModelContext
from headprune.pipeline.identity import cell_identity
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.pipeline.stages import gates, score, search
from headprune.pipeline.stages.gate_trainings import mask_of
from headprune.pipeline.stages.trainings import cost_of
from headprune.pipeline.store import kept_or_computed, unsettled
from headprune.results.provenance import digest, file_sha256
from headprune.training.costs import Cost

PASSES = ("updates", "forward", "backward")  # what of a cost repeats: updates, and passes of sentences


@dataclass(frozen=True)
class Tried:
    """A mask that a trial has found, with the model it is of, and the cost of every run that it took, by its name."""

    model: Any
    pruning: Pruning
    runs: Mapping[str, Cost]


Find = Callable[[Cell, str], Tried]  # by cell and signature


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Finds and judges a mask for every budget, the largest first."""
    (arm,) = context.arms
    cells = cells_of(context, arm)
    find_mask = finder(context, arm, cells, reporter)
    about = {"trial": context.told["trial"], "options": context.told["options"]}
    rows: Record = {}
    paths = trial_records(context.run, context.told)
    signatures = {cell: digest(cell_identity(context, arm, cell)) for cell in cells}
    unsettled(dict(zip(paths.values(), signatures.values(), strict=True)))
    for cell, (name, path) in zip(cells, paths.items(), strict=True):
        signature = signatures[cell]
        compute = partial(judged, context, cell, signature, find_mask)
        record = kept_or_computed(path, signature, compute, about, context.scratch(signature))
        rows[name] = {key: record[key] for key in ("signature", "status", "reason")} | {"sha256": file_sha256(path)}
        reporter.update(len(rows), len(cells), None)
    return {"status": "ok", "reason": "", "cells": rows}


def cells_of(context: ModelContext, arm: Arm) -> list[Cell]:
    """The cells that the entry would have at the budgets and the seed of the trial, the largest budget first."""
    place = (context.model, arm.name, arm.settings.arm, 0)
    budgets = sorted(context.told["budgets"], reverse=True)
    return [Cell(*place, budget, context.seed, len(context.space)) for budget in budgets]


def judged(context: ModelContext, cell: Cell, signature: str, find_mask: Find) -> Record:
    """The record of one budget. A mask that misses it failed: more heads would make it look better than others."""
    tried = find_mask(cell, signature)
    kept = tried.pruning.mask.count
    runs = {name: {key: getattr(cost, key) for key in PASSES} for name, cost in tried.runs.items()}
    found: Record = {"loss": loss(context, tried.model, tried.pruning), "heads_kept": kept, "runs": runs}
    if abs(kept - cell.budget) > TOLERANCE:
        found |= {"status": "failed", "reason": f"keeps {kept} heads, too far from K = {cell.budget} to be judged"}
    return found


def loss(context: ModelContext, model: Any, pruning: Pruning) -> float:
    """Validation loss of a model without the heads that a mask removes, in nats per token.

    :raises ValueError: it is not finite.
    """
    pruned = removal.remove_heads(removal.reconstructed(model, pruning.outputs), pruning.mask)
    validated = context.work.validation(context.corpus, context.settings.architecture, context.evaluation)
    found = math.log(likelihood.perplexity(pruned, validated))
    if not math.isfinite(found):
        raise ValueError(f"the validation loss is {found}")
    return found


def finder(context: ModelContext, arm: Arm, cells: Sequence[Cell], reporter: Reporter) -> Find:
    """The way in which the kind of an entry finds the masks of its cells; nothing is run before it is asked."""
    if arm.entry.kind == "score":
        return by_scores(context, arm, cells)
    if arm.entry.method.per_budget:  # type: ignore[attr-defined]
        return partial(by_gates, context, arm, reporter)
    return by_search(context, arm, cells, reporter)


def by_scores(context: ModelContext, arm: Arm, cells: Sequence[Cell]) -> Find:
    """One run for all budgets."""

    @cache
    def once() -> score.Found:
        return score.attempt(context, arm, cells)

    def find_mask(cell: Cell, signature: str) -> Tried:
        if (error := once().error) is not None:
            raise error
        name = f"t{context.told['trial']}-s{context.seed}"
        return Tried(once().model, once().masks[cell.budget], {name: cost_of(once().costs)})

    return find_mask


def by_gates(context: ModelContext, arm: Arm, reporter: Reporter, cell: Cell, signature: str) -> Tried:
    """One training for each budget."""
    found, model, pruning = gates.find_mask(context, arm, cell, signature, reporter)
    return Tried(model, pruning, {signature: found.spent})


def by_search(context: ModelContext, arm: Arm, cells: Sequence[Cell], reporter: Reporter) -> Find:
    """The trainings that a search looks at. It goes through the budgets in order, as those of larger ones serve it."""
    trials: search.Trials = {}

    @cache
    def choice(position: int) -> search.Choice:
        if position > 0:
            choice(position - 1)
        return search.choose(context, arm, cells[position], trials, reporter)

    def find_mask(cell: Cell, signature: str) -> Tried:
        found = choice(cells.index(cell))
        if found.trial is None:
            raise found.error or RuntimeError("no training")
        model, learned = search.restored(context, arm, found.trial)
        pruning = mask_of(context, arm, learned, model, cell)
        return Tried(model, pruning, {trial.signature: trial.cost for trial in found.looked_at})

    return find_mask
