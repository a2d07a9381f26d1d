"""Trainings of gate methods, and the masks that are read off them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from headprune.heads import HeadSpace
from headprune.method import GateMethod, Pruning
from headprune.method.guards import ConductError, confined
from headprune.method.registry import BUILT_IN
from headprune.pipeline.cells import Cell
from headprune.pipeline.context import Arm, ModelContext
from headprune.pipeline.identity import derived_seed
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.pipeline.stages.trainings import arguments_of, cost_entries, run_training
from headprune.training.arguments import GateRun, gate_arguments
from headprune.training.costs import Cost
from headprune.training.digests import model_digest
from headprune.training.trainer import Trained


def updates_of(context: ModelContext, arm: Arm) -> int:
    """Updates of one training of a gate method."""
    return arm.settings.updates_of_training(context.settings.training.updates)


def gate_run(context: ModelContext, arm: Arm, budget: int, options: Mapping[str, Any], seed: int) -> GateRun:
    """The training of gates as the trainer must know it.

    :param budget: over all heads of the model
    """
    updates, chosen = updates_of(context, arm), arm.entry.options(options)
    inside = budget - arm.protected(context.space)
    gates = arm.entry.method(arm.scope.subspace(context.space), inside, chosen, None, arm.scope)
    return GateRun(
        method=arm.name,
        options=options,
        budget=inside,
        seed=seed,
        learning_rate=getattr(chosen, "learning_rate", 0.0),
        cooldown=gates.cooldown(updates),
        schedule=arm.settings.gate_schedule,
        pipelined=arm.settings.mode == "pipelined",
        scope=arm.scope,
        directories=(str(BUILT_IN), *context.told["directories"]),
    )


def train_gates(context: ModelContext, arm: Arm, run: GateRun, signature: str, reporter: Reporter) -> Trained:
    """One training of a gate method, with the data order and initial weights of the dense model of its seed.

    :raises ConductError: the method changed weights that are frozen while it trains.
    """
    updates = updates_of(context, arm)
    argv = arguments_of(context, arm.settings, None if arm.joint else updates, arm.settings.update_freq)
    start = context.beginning().checkpoint if arm.joint else context.checkpoint
    trained = run_training(context, [*argv, *gate_arguments(run, updates)], signature, reporter, start)
    if run.pipelined and model_digest(trained.model) != trained.terms.initial_weights:
        raise ConductError(f"{run.method} changes the weights of the model, which are frozen in pipelined mode")
    return trained


def mask_of(context: ModelContext, arm: Arm, gates: GateMethod, model: Any, cell: Cell) -> Pruning:
    """The mask over all heads that trained gates give at the budget of a cell.

    :raises ValueError: a method that hits its budget by construction misses it.
    :raises ConductError: the method changed the model or the state of the process, or opened files of the run.
    """
    batches, space = context.batches(), HeadSpace.of(model)
    budget = cell.budget - arm.protected(space)
    rng = torch.Generator().manual_seed(derived_seed(context.seed, arm.label, "masks"))
    with confined(arm.name, model, context.run.path):
        masks = gates.masks(model, batches, [budget], rng)
    pruning = Pruning.of(masks[budget])
    if gates.exact and pruning.mask.count != budget:
        raise ValueError(f"{arm.name} keeps {pruning.mask.count} of the gated heads, the budget is {budget}")
    return Pruning(arm.scope.embed(pruning.mask, space), pruning.outputs)


def dense_seconds(context: ModelContext, arm: Arm) -> float | None:
    """Seconds that the training of the model took which a method starts from; None: it is given, nobody knows."""
    return context.beginning().seconds if arm.joint else context.trained()["seconds"]


def costs(arm: Arm, cost: Cost, before: float | None) -> Record:
    """Costs of a cell: a joint training is that of the model, what comes after one is that of the mask.

    :param before: seconds that the model took which the method starts from; None: not known
    """
    record = cost_entries(cost, before)
    if arm.joint:
        record |= {"train_seconds": (before or 0.0) + cost.seconds, "prune_seconds": 0.0}
    return record
