"""Comparisons, perplexities and scores that are not numbers fail; infinity, of a word ruled out, is a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headprune.evaluation.likelihood import Agreement, agreement, largest_difference, perplexity
from headprune.evaluation.scores import Score
from headprune.gates import GatedProjection
from headprune.heads import HeadSpace
from headprune.removal import remove_heads

Build = Callable[..., Any]
Batch = dict[str, Any]
NAN = float("nan")


def spoilt_at(module: nn.Module, call: int, value: float) -> None:
    """Makes a call of a module, counted from 0, give this value for its first output."""
    calls = iter(range(10**6))

    def spoil(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        changed = output.clone()
        if next(calls) == call:
            changed.flatten()[0] = value
        return changed

    module.register_forward_hook(spoil)


@pytest.mark.parametrize("call", [0, 1])
def test_a_comparison_with_nan_in_any_batch_fails(build: Build, batches: list[Batch], call: int) -> None:
    """The first of some differences, or a later one: `max` of Python keeps or drops a NaN by its place."""
    model = build()
    mask = HeadSpace.of(model).keep(range(5))
    pruned = remove_heads(model, mask)
    assert agreement(model, mask, pruned, batches[:2], batches).max_abs < 1e-5
    spoilt_at(pruned.decoder.output_projection, call, NAN)
    with pytest.raises(ValueError, match="the largest difference of the masked and the pruned model is NaN"):
        agreement(model, mask, pruned, batches[:2], batches)
    gates = [module.gate for module in model.modules() if isinstance(module, GatedProjection)]
    assert gates and gates == [None] * len(gates)


def test_nan_at_padding_is_no_difference(build: Build, batches: list[Batch]) -> None:
    model, other = build(), build()
    batch = next(batch for batch in batches if bool(batch["target"].eq(1).any()))
    places = batch["target"].eq(1)

    def spoil(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output.masked_fill(places.unsqueeze(-1), NAN)

    other.decoder.output_projection.register_forward_hook(spoil)
    assert largest_difference(model, other, batch) == 0


def test_a_perplexity_is_a_number_or_infinite(build: Build, batches: list[Batch]) -> None:
    model = build()
    assert 1 < perplexity(model, batches) < 1000
    word = int(batches[0]["target"].flatten()[0])
    with torch.no_grad():
        model.decoder.output_projection.weight[word] = NAN
    with pytest.raises(ValueError, match="the perplexity is NaN"):
        perplexity(model, batches)
    sure = build()
    sure.decoder.output_projection.register_forward_hook(
        lambda module, inputs, output: output.index_fill(-1, torch.tensor([word]), -math.inf)
    )
    assert perplexity(sure, batches) == math.inf


def test_results_are_numbers_or_infinite() -> None:
    assert (Score(math.inf).value, Agreement(0.0, math.inf).perplexity) == (math.inf, math.inf)
    for make in (lambda: Score(NAN), lambda: Agreement(NAN, 1.0), lambda: Agreement(0.0, NAN)):
        with pytest.raises(ValueError, match="is NaN"):
            make()
