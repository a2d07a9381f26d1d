"""The schedules of gate methods, as training curves show them: a temperature, a penalty, the heads asked for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headprune.config import Config, Method
from headprune.method import Entry, GateMethod


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


def schedule(
    config: Config, entry: Entry, method: Method, model: str, budget: int, options: Mapping[str, Any]
) -> Schedule:
    """The course of one training of a gate method, as the file of the method declares it.

    :param budget: over all heads of the model
    :param options: those that the training was given
    :returns: its length, when gates settle, and what its schedule changes
    """
    settings = config.models[model]
    total = settings.training.updates if method.mode == "joint" else method.updates or settings.training.updates
    whole = settings.architecture.head_space
    space = method.scope.subspace(whole)
    inside = budget - (len(whole) - len(method.scope.candidates(whole)))
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
