"""Pruning a model in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from torch import Tensor, nn

from headprune import cost, removal
from headprune.amounts import allowed
from headprune.gates import clear_mask, set_mask
from headprune.heads import TYPES, HeadMask, Scope
from headprune.importance import example_losses, forget
from headprune.method import Batches, Pruning, ScoreMethod
from headprune.models.cutting import shrink
from headprune.pruning.choosing import choose, score_method
from headprune.pruning.lengths import mean_lengths
from headprune.pruning.requirements import checked_batches, prunable_space, require_gates

TOLERANCE = {torch.float16: 5e-2, torch.bfloat16: 5e-2}  # of losses, relative; single precision and better: 1e-4


@dataclass(frozen=True)
class PrunedModel:
    """A model without the heads that its mask drops, and what that made of it.

    :param model: in the mode, training or evaluation, of the model that was given
    :param mask: over the heads that the model had: `mask.names()`, `mask.per_module()`
    :param scores: float64 (N,) in the order of `mask.space`, higher = kept: the method's own, or for one that ranks the
        heads without scoring them their places in its order of removal, 0 for the first to go; None for one that
        does neither
    :param parameters: before and after
    :param macs: multiply-accumulates of one forward pass over an example as long as those of the batches are on
        average, before and after (`headprune.cost`)
    :param masked_vs_removed: largest difference in the loss of an example of the first batch, in nats, between the
        model with its heads silenced and the one without them
    """

    model: nn.Module
    mask: HeadMask
    scores: Tensor | None
    parameters: tuple[int, int]
    macs: tuple[int, int]
    masked_vs_removed: float


def prune(
    model: nn.Module,
    batches: Iterable[Mapping[str, Any]],
    method: str = "gradient_importance",
    keep: int | str = "50%",
    *,
    inplace: bool = False,
    seed: int = 1,
    types: Sequence[str] = TYPES,
    min_per_module: int = 0,
    directories: Sequence[str | Path] = (),
    **options: Any,
) -> PrunedModel:
    """Removes heads of a trained model for real: judges them, keeps exactly `keep`, and cuts the others out.

    The model that is given gets gate points and loses a mask that was set, as by `headprune.removal.remove_heads`.

    :param model: a torch model of the shape that `headprune.pruning.requirements` describes, on any device
    :param batches: examples of the training set as fairseq collates them, `net_input` and `target`
    :param method: a score method, of `headprune methods`; one that trains gates needs a profile
    :param keep: a number of heads, or a share of them as text, `"60%"`
    :param inplace: prune the model that is given instead of a copy
    :param seed: of the method's random numbers
    :param types: attention types whose heads may go
    :param min_per_module: heads that every attention module keeps at least
    :param directories: folders with methods of your own
    :param options: of the method: `estimator="position"`, …
    :returns: the pruned model with its mask, scores and sizes
    :raises ValueError: a method, an option, a number of heads, a model or batches that cannot be; nothing is computed.
    :raises ConductError: the method changed the model.
    """
    entry = score_method(method, directories)
    judge = entry.method(entry.options(options), Scope(tuple(types), min_per_module))
    budget = allowed(keep, prunable_space(model), judge.scope)
    return _pruned(model, checked_batches(model, batches), judge, budget, seed, inplace)


def _pruned(
    model: nn.Module, examples: Batches, method: ScoreMethod, budget: int, seed: int, inplace: bool
) -> PrunedModel:
    """The work of `prune`, its arguments checked."""
    with evaluating(model):
        clear_mask(model)
        require_gates(model, examples[0])
        judged = choose(method, model, examples, budget, seed)
        pruned, difference = removed(model, judged.pruning, examples[0])
    lengths = mean_lengths(model, examples)
    sizes = [(cost.parameters(each), cost.example_macs(each, *lengths)) for each in (model, pruned)]
    if inplace:
        removal.write_outputs(model, judged.pruning.outputs)
        shrink(model, judged.pruning.mask.kept_indices())
    result = model if inplace else pruned.train(model.training)
    parameters, macs = zip(*sizes, strict=True)
    return PrunedModel(result, judged.pruning.mask, judged.scores, parameters, macs, difference)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within the context the model is in evaluation mode; afterwards each of its modules is in its own."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def removed(model: nn.Module, pruning: Pruning, batch: Mapping[str, Any]) -> tuple[nn.Module, float]:
    """A copy without the heads that the mask drops, and by how much its losses differ from those of the masked model.

    :raises ValueError: by more than rounding: the model does something with its heads that removal does not know.
    """
    whole = removal.reconstructed(model, pruning.outputs)
    set_mask(whole, pruning.mask)
    masked = _losses(whole, batch)
    pruned = removal.remove_heads(whole, pruning.mask)
    left = _losses(pruned, batch)
    difference = (masked - left).abs()
    tolerance = TOLERANCE.get(next(model.parameters()).dtype, 1e-4)
    if not bool((difference <= tolerance * masked.abs().clamp(min=1)).all()):
        raise ValueError(
            f"{type(model).__name__} without heads computes something else than with them silenced: losses differ by "
            f"{difference.max():.3g} nats. Its attention modules do with their heads what fairseq's do not"
        )
    return pruned, float(difference.max())


def _losses(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """The losses of the examples of one batch from an empty memory, nats (batch,), float64."""
    forget(model)
    try:
        with torch.no_grad():
            return example_losses(model, batch).double()
    finally:
        forget(model)
