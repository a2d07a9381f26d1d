"""The two contracts of a pruning method.

A method sees a model, batches, its hyper-parameters and random numbers. Paths, seeds, devices, caches and the test set
are the framework's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from headprune.heads import Budget, HeadMask, HeadSpace, Scope
from headprune.method.entry import MODES

Batches = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class NoOptions:
    """The options of methods without hyper-parameters: none."""


@dataclass(frozen=True)
class Ranking:
    """All N heads in the order of their removal, the first to go first."""

    space: HeadSpace
    removal: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.removal) != list(range(len(self.space))):
            raise ValueError(f"a ranking names each of the {len(self.space)} heads once, got {self.removal}")

    @classmethod
    def by_score(cls, space: HeadSpace, scores: Tensor) -> Ranking:
        """Lowest score goes first; of equal scores the later head goes first, as in `relaxations.top_k`.

        :param scores: (N,) finite
        :raises ValueError: a wrong number of scores, or one that is not finite.
        """
        if scores.shape != (len(space),):
            raise ValueError(f"scores of shape {tuple(scores.shape)} for a head space of {len(space)}: expected (N,)")
        if not torch.isfinite(scores).all():
            bad = space.names[int((~torch.isfinite(scores)).nonzero()[0])]
            raise ValueError(f"the score of head {bad} is not a finite number")
        best_first = torch.sort(scores.detach(), descending=True, stable=True).indices
        return cls(space, tuple(best_first.flip(0).tolist()))

    def mask(self, budget: int, scope: Scope | None = None) -> HeadMask:
        """The mask that keeps the `budget` heads removed last, and those that `scope` protects before any other.

        :raises ValueError: a budget outside 0…N, or smaller than the scope allows.
        """
        scope, total = scope or Scope(), len(self.space)
        Budget(budget, total)
        if budget < (least := scope.smallest(self.space)):
            raise ValueError(f"budget {budget} is less than the {least} heads that the scope protects")
        removed = set(scope.order(self.space, self.removal)[: total - budget])
        return self.space.keep(set(range(total)) - removed)


@dataclass(frozen=True)
class OutputProjection:
    """New parameters of an output projection: y = x Wᵀ + b."""

    weight: Tensor  # (model, heads · head_dim) of the unpruned module; the columns of removed heads do not matter
    bias: Tensor | None  # (model,)


@dataclass(frozen=True)
class Pruning:
    """A mask, and the output projections that make up for the heads it removes, by module (`cross.1`)."""

    mask: HeadMask
    outputs: Mapping[str, OutputProjection] = field(default_factory=dict)

    @classmethod
    def of(cls, found: HeadMask | Pruning) -> Pruning:
        """A bare mask changes no weights."""
        return found if isinstance(found, Pruning) else cls(found)


class ScoreMethod:
    """Judges the heads of a trained model; one run serves every budget. Override `scores`, `rank` or `masks`.

    `model` arrives in evaluation mode with all gates open; `batches` are drawn from the training set; `rng` is the
    method's own generator of random numbers. A method leaves the weights as it found them; one that makes up for
    removed heads returns a `Pruning` instead of a mask. `self.scope` tells which heads may be removed: rankings are
    cut accordingly, a method that overrides `masks` asks it.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""  # its name in figures and tables; empty: its name, with spaces
    family: ClassVar[str] = ""  # the methods that it stands among there; empty: the others
    Options: ClassVar[type] = NoOptions
    prunes: ClassVar[bool] = True  # False: one cell per seed, at K = N, whatever the budgets of the grid

    def __init__(self, options: Any = None, scope: Scope | None = None) -> None:
        self.options = options if options is not None else self.Options()
        self.scope = scope or Scope()

    def scores(self, model: nn.Module, batches: Batches, rng: torch.Generator) -> Tensor:
        """One finite number per head (N,); higher = keep."""
        raise TypeError(f"{type(self).__name__} overrides none of `scores`, `rank` and `masks`")

    def rank(self, model: nn.Module, batches: Batches, rng: torch.Generator) -> Ranking:
        """The removal order of all heads; by default the scores, sorted."""
        return Ranking.by_score(HeadSpace.of(model), self.scores(model, batches, rng))

    def masks(
        self, model: nn.Module, batches: Batches, budgets: Iterable[int], rng: torch.Generator
    ) -> Mapping[int, HeadMask | Pruning]:
        """One mask per budget; by default cuts of the ranking."""
        ranking = self.rank(model, batches, rng)
        return {budget: ranking.mask(budget, self.scope) for budget in budgets}


@dataclass(frozen=True)
class Progress:
    """Progress of a training. `generator` yields the random numbers of this draw, the same when a run is resumed."""

    update: int  # updates done, counted from 0
    total: int  # updates of the whole training
    generator: torch.Generator

    @property
    def fraction(self) -> float:
        """Share of the updates that are done, 0…1."""
        return self.update / self.total


class GateMethod(nn.Module):
    """Learns gates while the model trains from new weights (`joint`), trains on from the trained model (`continued`) or
    stands still (`pipelined`).

    Parameters of the method are trained with `options.learning_rate`, constant and without weight decay, whatever the
    schedule of the model. They stay in float64 when the model computes in half precision, whose optimiser steps copies
    of them in float32. `space` holds the heads that may be removed, `budget` how many of them are kept.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""  # its name in figures and tables; empty: its name, with spaces
    family: ClassVar[str] = ""  # the methods that it stands among there; empty: the others
    Options: ClassVar[type] = NoOptions
    modes: ClassVar[tuple[str, ...]] = MODES
    per_budget: ClassVar[bool] = True  # False: one training serves every budget; `budget` is then N
    coefficient: ClassVar[str] = ""  # the option, of one training for all budgets, that is searched over to reach each
    quantity: str = ""  # what `scheduled` gives the values of, as training curves name it; empty: nothing

    def __init__(
        self,
        space: HeadSpace,
        budget: int,
        options: Any = None,
        generator: torch.Generator | None = None,
        scope: Scope | None = None,
    ) -> None:
        super().__init__()
        self.space, self.options = space, options if options is not None else self.Options()
        self.budget = Budget(budget, len(space)).kept
        self.scope = scope or Scope()
        self.build(generator or torch.Generator().manual_seed(0))
        self._mark()

    def _mark(self) -> None:
        """Tells the optimiser which parameters are those of gates."""
        for parameter in self.parameters():
            parameter.param_group = "gates"  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._mark()  # torch copies parameters without what was set on them

    def build(self, generator: torch.Generator) -> None:
        """Creates the parameters; random values come from `generator`."""

    def cooldown(self, total: int) -> int:
        """Updates after which the gates have settled: no checkpoint is selected before."""
        return 0

    def scheduled(self, update: int, total: int) -> float | None:
        """The value in an update of what the method changes by a schedule, `quantity`: a temperature, the weight of a
        penalty, the heads asked for. Training curves show it; `sample` and `penalty` of the method may take it from
        here. It follows from the options, `space` and `budget` alone, as it is asked of a method that has not trained.

        :param update: updates done, counted from 0
        :param total: updates of the whole training
        :returns: a finite number; None where there is none
        """
        return None

    def sample(self, progress: Progress) -> Tensor:
        """Gates of this forward pass (N,), differentiable in the method's parameters."""
        raise TypeError(f"{type(self).__name__} does not override `sample`")

    def penalty(self, progress: Progress) -> Tensor | float:
        """Scalar added to the mean loss."""
        return 0.0

    def keep(self, budget: int) -> HeadMask:
        """The hard mask that evaluation uses: exactly `budget` ones, unless `exact` is false."""
        raise TypeError(f"{type(self).__name__} does not override `keep`")

    def gates(self, mask: HeadMask) -> Tensor:
        """The factors of the heads of `self.space` (N,) in evaluation during training, differentiation aside.

        The mask itself, unless the method scales what is left; then `masks` returns a `Pruning` whose output
        projections do the same.
        """
        return torch.tensor(mask.keep, dtype=torch.float32)

    @property
    def exact(self) -> bool:
        """True where `keep` hits its budget by construction; if not, the count it achieved is what is reported."""
        return True

    def masks(
        self, model: nn.Module, batches: Batches, budgets: Iterable[int], rng: torch.Generator
    ) -> Mapping[int, HeadMask | Pruning]:
        """After training, one mask per budget over `self.space`; by default `keep`.

        :param model: the trained model in evaluation mode, all gates open
        """
        return {budget: self.keep(budget) for budget in budgets}

    def largest(self, values: Tensor, budget: int) -> HeadMask:
        """The mask of the `budget` largest of N values that the scope allows; of equal values the first wins.

        :param values: (N,) finite
        :raises ValueError: they are not, or the budget is outside 0…N or smaller than the scope allows.
        """
        return Ranking.by_score(self.space, values.detach().cpu()).mask(budget, self.scope)

    def logits_parameter(self, generator: torch.Generator) -> nn.Parameter:
        """N float64 logits, Glorot-uniform over (modules, heads per module): U(−b, b), b = √(6 / (A + H))."""
        modules = len(self.space.modules)
        bound = math.sqrt(6 / (modules + len(self.space) / modules))
        uniform = torch.rand(len(self.space), generator=generator, dtype=torch.float64)
        return nn.Parameter((2 * uniform - 1) * bound)

    def _apply(self, fn: Any, recurse: bool = True) -> GateMethod:
        """Moves to other devices but keeps type and value: `model.half()` must not touch the logits."""
        return super()._apply(lambda t: t.to(fn(t).device), recurse)
