"""What a gate method changes while it trains: the temperature, the weight of a penalty, the heads it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headprune.config import Config, Method
from headprune.method import Entry, GateMethod
from headprune.relaxations import cubic_budget, temperature


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
    """Of one training of a gate method.

    :param budget: over all heads of the model
    :param options: those that the training was given
    """
    settings = config.models[model]
    total = settings.training.updates if method.mode == "joint" else method.updates or settings.training.updates
    whole = settings.architecture.head_space
    space = method.scope.subspace(whole)
    inside = budget - (len(whole) - len(method.scope.candidates(whole)))
    gates: GateMethod = entry.method(space, max(0, inside), entry.options(options), None, method.scope)
    quantity, value = _scheduled(gates, total)
    return Schedule(total, gates.cooldown(total), quantity, value)


def _scheduled(gates: GateMethod, total: int) -> tuple[str, Callable[[int], float | None]]:
    o: Any = gates.options
    name = getattr(gates, "name", "")
    if name == "dsp" or (name == "ste" and o.variant == "st_relaxed"):
        return "temperature", lambda n: temperature(n, o.start, o.end, gates.cooldown(total))
    if name == "l0":
        return "penalty", lambda n: o.penalty * _grown(n, o.warmup * total)
    if name == "layerwise_l0":
        return "penalty", lambda n: o.penalty * _grown(n + 1, round(o.warmup * total))
    if name == "lagrangian_l0":
        heads = len(gates.space)
        return "heads asked for", lambda n: heads - _grown(n, o.warmup * total) * (heads - gates.budget)
    if name == "movement":
        start, end, heads = round(o.start * total), gates.cooldown(total), len(gates.space)
        return "heads asked for", lambda n: cubic_budget(n, start, end, heads, gates.budget)
    return "", lambda n: None


def _grown(update: int, warmup: float) -> float:
    """The share of a linear warm-up that is done."""
    return min(1.0, update / warmup) if warmup else 1.0
