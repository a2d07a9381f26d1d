"""Masks of score methods, held to their contract by whoever asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headprune.heads import HeadSpace
from headprune.method.base import Batches, Pruning, ScoreMethod
from headprune.method.guards import confined


def masks_of(
    method: ScoreMethod,
    model: nn.Module,
    batches: Batches,
    budgets: Sequence[int],
    seed: int,
    *,
    closed: Sequence[Path] = (),
    label: str = "",
    within: AbstractContextManager[Any] | None = None,
) -> dict[int, Pruning]:
    """The masks that a method finds, by budget.

    :param model: in evaluation mode, all gates open
    :param seed: of the method's random numbers
    :param closed: folders whose files it must not open, and with them those of this package; none: it is not watched
    :param label: the entry of a profile that says which heads it may remove
    :param within: the context that it works in, without what is done to watch it
    :raises ConductError: it changed the model or the state of the process, or opened such files.
    :raises ValueError: a mask is not of the model's heads, misses its budget or removes what the scope protects.
    """
    rng = torch.Generator().manual_seed(seed)
    with confined(method.name, model, *closed), within or nullcontext():
        masks = method.masks(model, batches, budgets, rng)
    found = {budget: Pruning.of(masks[budget]) for budget in budgets}
    space = HeadSpace.of(model)
    for budget, pruning in found.items():
        if pruning.mask.space != space:
            raise ValueError(f"{method.name} gives a mask that is not of the {len(space)} heads of the model")
        if pruning.mask.count != budget:
            raise ValueError(f"{method.name} keeps {pruning.mask.count} heads, the budget is {budget}")
        if not method.scope.allows(pruning.mask):
            entry = f" of {label!r}" if label else ""
            raise ValueError(f"{method.name} removes heads that `types` and `min_per_module`{entry} protect")
    return found
