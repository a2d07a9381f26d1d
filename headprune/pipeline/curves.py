"""Rows of training curves: losses that were logged, and the course of what a gate method's schedule changes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.config import Config, Method
from headprune.method import GateMethod
from headprune.pipeline.cells import Cell
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import Record, find
from headprune.pipeline.tunings import options_of


@dataclass(frozen=True)
class Schedule:
    """The course of one training.

    :param quantity: what changes; empty where nothing does, or where the method says nothing of it
    :param cooldown: updates after which the gates have settled, and a checkpoint may be selected
    """

    updates: int
    cooldown: int
    quantity: str
    at: Callable[[int], float | None]  # its value in an update, counted from 0


def schedule(config: Config, method: Method, model: str, budget: int, options: Mapping[str, Any]) -> Schedule:
    """The course of one training of a gate method, as the file of the method declares it.

    :param budget: over all heads of the model
    :param options: those that the training was given
    :returns: its length, when gates settle, and what its schedule changes
    """
    settings = config.models[model]
    total = method.updates_of_training(settings.training.updates)
    whole = settings.architecture.head_space
    space = method.scope.subspace(whole)
    inside = budget - (len(whole) - len(method.scope.candidates(whole)))
    entry = config.implementations()[method.name]
    gates: GateMethod = entry.method(space, max(0, inside), entry.options(options), None, method.scope)
    return Schedule(total, gates.cooldown(total), gates.quantity, lambda update: _level(gates, update, total))


def _level(gates: GateMethod, update: int, total: int) -> float | None:
    """The value that a method declares. A fault there leaves the point without one and is told: the losses of a
    training that is done are worth more than the line beside them.
    """
    if not gates.quantity:
        return None
    try:
        value = gates.scheduled(update, total)
        level = None if value is None else float(value)
        if level is None or math.isfinite(level):
            return level
        reason = f"it gives {level}"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    text = f"method {gates.name!r}: the curve has no {gates.quantity}, as scheduled({update}, {total}) fails: {reason}"
    warnings.warn(text, RuntimeWarning, stacklevel=2)
    return None


def curve_rows(
    plan: Plan, trials: Sequence[tuple[Cell, Record]], find: Callable[[Path, str], Record] = find
) -> Iterator[Record]:
    """The losses that the trainings of a profile logged: of unpruned models, of cells, of trainings they share."""
    grid = plan.grid
    for model in plan.config.models:
        for seed in grid.dense_seeds(model):
            record = find(plan.run.dense(model, seed), "trained")
            place = {"method": "unpruned", "arm": "", "label": "unpruned", "seed": seed}
            yield from _curve(plan, model, record, place | {"updates": record.get("updates")}, None)
        for label in grid.labels_for(model):
            for cell in (cell for seed in grid.seeds(label, model) for cell in grid.cells_of(model, label, seed)):
                record = find(plan.run.cell(cell.id).pruned, "pruned")
                place = {"method": cell.method, "arm": cell.full_arm, "label": label, "seed": cell.seed}
                options = options_of(plan, model, label, find) if grid.kind(label) == "gates" else None
                yield from _curve(plan, model, record, place | {"budget": cell.budget}, options)
    for cell, record in trials:
        if record["status"] != "ok":
            continue
        label = record["label"]
        place = {"method": cell.method, "arm": label.partition(".")[2], "label": label, "seed": cell.seed}
        known = label in grid.labels and record.get("options") is not None
        options = record["options"] if known else None
        yield from _curve(plan, cell.model, record, place | {"coefficient": record["coefficient"]}, options)


def _curve(
    plan: Plan, model: str, record: Record, place: Record, options: Mapping[str, Any] | None
) -> Iterator[Record]:
    """The rows of one training.

    :param options: of its gate method; None: it has none
    """
    common = {"profile": plan.config.profile, "model": model, "signature": record.get("signature", "")} | place
    course = None
    if options is not None and record.get("curve"):
        label = place["label"]
        budget = place.get("budget", plan.config.models[model].architecture.n_heads)
        course = schedule(plan.config, plan.grid.method(label), model, budget, options)
        common |= {"updates": course.updates, "cooldown": course.cooldown, "scheduled": course.quantity}
    for point in record.get("curve", []):
        level = course.at(point["update"] - 1) if course else None  # the update that was just done
        yield common | {key: point[key] for key in ("split", "update", "loss", "nll_loss")} | {"level": level}
