"""The method under check, and what came of running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from headprune.check.base import Unreachable, last_line, listed, require
from headprune.check.families import FAMILIES, ModelFamily
from headprune.check.probes import PositionCounts, copied, counting, scrambled
from headprune.heads import HeadMask, HeadSpace, Scope
from headprune.method import Entry, GateMethod, Pruning, ScoreMethod
from headprune.method.audit import Seen
from headprune.method.guards import differences, put_back, snapshot, surroundings
from headprune.system.stopping import contained

EVERYTHING = Scope()


def generator(seed: int) -> torch.Generator:
    """A generator of random numbers with this seed."""
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Setting:
    """One way to call a method. `randomness` seeds the global generators, which a method has no use for."""

    family: ModelFamily = FAMILIES[0]
    scope: Scope = EVERYTHING
    clones: bool = False
    randomness: int = 1

    @property
    def name(self) -> str:
        parts = [self.family.name, *(["equal heads"] if self.clones else [])]
        if self.scope != EVERYTHING:
            parts.append(f"types {', '.join(self.scope.types)}, at least {self.scope.min_per_module} a module")
        return "; ".join(parts)


@dataclass
class Run:
    """A call of `masks`: its return value, and what it did besides."""

    setting: Setting
    space: HeadSpace  # that the masks are over
    budgets: tuple[int, ...]
    passes: PositionCounts = field(default_factory=PositionCounts)
    scores: Any = None  # what `scores` returned, if it was called
    ranking: Any = None  # what `rank` returned, if it was called
    found: dict[int, Any] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)  # of the model and the batches
    disturbed: list[str] = field(default_factory=list)  # of what the process shares
    exact: bool = True
    error: Exception | None = None

    @cached_property
    def prunings(self) -> dict[int, Pruning]:
        """The masks with their weight updates.

        :raises Unreachable: the call raised.
        :raises Failure: they are no masks over the model.
        """
        if self.error is not None:
            raise Unreachable(f"masks() raises {last_line(self.error)} ({self.setting.name})")
        remedy = "return {budget: mask}; `HeadSpace.of(model).keep(positions)` makes a mask"
        missing = [budget for budget in self.budgets if budget not in self.found]
        require(not missing, f"masks() returns nothing for the budgets {listed(missing)}", remedy)
        for budget, found in self.found.items():
            kind = type(found).__name__
            require(isinstance(found, (HeadMask, Pruning)), f"masks() returns a {kind} for budget {budget}", remedy)
            space = Pruning.of(found).mask.space
            reason = f"the mask for budget {budget} is over {len(space)} heads, the model has {len(self.space)}"
            require(space == self.space, reason, "make masks with `HeadSpace.of(model).keep(positions)`")
        return {budget: Pruning.of(self.found[budget]) for budget in self.budgets}


class CheckSubject:
    """A registered method, with its runs; each setting is run once."""

    def __init__(self, entry: Entry, factor: float, seen: Seen, options: Mapping[str, Any] | None = None) -> None:
        self.entry, self.factor, self.seen = entry, factor, seen
        self.given = dict(options or {})  # values of hyper-parameters, the others at their defaults
        self.options = entry.options(self.given)
        self._runs: dict[Setting, Run] = {}

    def gate(self, space: HeadSpace, budget: int, scope: Scope = EVERYTHING, seed: int = 1) -> GateMethod:
        """A new instance of a gate method that trains for `budget`, or for all budgets."""
        budget = budget if self.entry.method.per_budget else len(space)  # type: ignore[attr-defined]
        made = self.entry.method(space, budget, self.options, generator(seed), scope)
        assert isinstance(made, GateMethod)
        return made

    def run(self, setting: Setting) -> Run:
        """The call of `masks` in a setting, which is made once."""
        if setting not in self._runs:
            self._runs[setting] = self._run(setting)
        return self._runs[setting]

    def _run(self, setting: Setting) -> Run:
        model, batches = setting.family.model(clones=setting.clones), setting.family.batches()
        space = HeadSpace.of(model)
        if self.entry.kind == "gate":
            space = setting.scope.subspace(space)
        run = Run(setting, space, self.budgets(space, setting.scope))
        before, given = snapshot(model, Tensor.clone), copied(batches)
        with scrambled(setting.randomness), counting(model) as run.passes:
            shared = surroundings()
            try:
                find = self._search if self.entry.kind == "score" else self._read_off
                with contained():
                    find(run, model, batches)
            except Exception as error:
                run.error = error
            run.disturbed = put_back(shared)
        run.changes = differences(before, snapshot(model, Tensor.clone)) + differences(given, batches, "batches:")
        return run

    def budgets(self, space: HeadSpace, scope: Scope) -> tuple[int, ...]:
        """None, one, half, all but one and all of the heads that may go; N only for a method that does not prune."""
        total, least = len(space), scope.smallest(space)
        if not getattr(self.entry.method, "prunes", True):
            return (total,)
        return tuple(sorted({k for k in (0, 1, least, (least + total) // 2, total - 1, total) if k >= least}))

    def _search(self, run: Run, model: Any, batches: Any) -> None:
        method = self.entry.method(self.options, run.setting.scope)
        assert isinstance(method, ScoreMethod)
        for name, attribute in (("scores", "scores"), ("rank", "ranking")):
            setattr(method, name, _recorded(getattr(method, name), run, attribute))
        _keep(run, method.masks(model, batches, run.budgets, generator(1)))

    def _read_off(self, run: Run, model: Any, batches: Any) -> None:
        """Masks of an untrained gate method; ties are parameters that are all 0."""
        per_budget = self.entry.method.per_budget  # type: ignore[attr-defined]
        for budgets in [[k] for k in run.budgets] if per_budget else [list(run.budgets)]:
            method = self.gate(run.space, budgets[0], run.setting.scope).eval()
            if run.setting.clones:
                with torch.no_grad():
                    for parameter in method.parameters():
                        parameter.zero_()
            run.exact = method.exact
            _keep(run, method.masks(model, batches, budgets, generator(1)))


def _keep(run: Run, found: Any) -> None:
    if not isinstance(found, Mapping):
        raise TypeError(f"masks() returns a {type(found).__name__}, not a mapping from budgets to masks")
    run.found.update(found)


def _recorded(function: Any, run: Run, attribute: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        setattr(run, attribute, result.detach().clone() if isinstance(result, Tensor) else result)
        return result

    return call
