"""Losses of stacked masks equal the plain loop, and the encoder runs no oftener than it must."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from model_families import FAMILIES, family
from torch import Tensor

from headprune.ablation import importance_orders, masked_losses, spread_examples, without
from headprune.gates import clear_mask, set_gates, set_mask
from headprune.heads import HeadMask, HeadSpace
from headprune.importance import example_losses
from headprune.method import load_methods

Build = Callable[..., Any]
Batch = dict[str, Any]

__all__ = ["family"]  # a fixture


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=size) for seed, size in ((1, 3), (2, 4))]


def random_masks(count: int, total: int) -> Tensor:
    """Random masks with the two extremes and a repetition among them."""
    masks = torch.rand(count, total, generator=torch.Generator().manual_seed(count)).round()
    masks[0], masks[1], masks[2] = 1, 0, masks[3]
    return masks


def loop(model: Any, batches: list[Batch], masks: Tensor) -> Tensor:
    """One mask after the other, one example after the other: nats per token that is not padding."""
    losses = []
    for mask in masks:
        set_mask(model, HeadMask(HeadSpace.of(model), mask.int()))
        with torch.no_grad():
            total = sum(example_losses(model, batch).double().sum() for batch in batches)
        count = sum(
            batch["target"].numel() if batch["target"].dim() == 1 else int(batch["target"].ne(1).sum())
            for batch in batches
        )
        losses.append(total / count)
    clear_mask(model)
    return torch.stack(losses)


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("positions", [1, 100, 4096])
def test_stacked_masks_equal_the_loop(family: tuple[Any, list[Batch]], reuse: bool, positions: int) -> None:
    """Relative 1e-5 in fp32."""
    model, batches = family
    masks = random_masks(12, len(HeadSpace.of(model)))
    found = masked_losses(model, batches, masks, positions=positions, reuse=reuse)
    torch.testing.assert_close(found, loop(model, batches, masks), rtol=1e-5, atol=0)
    assert found[2] == pytest.approx(found[3].item(), rel=1e-6)
    assert len({round(x, 4) for x in found.tolist()}) >= 10


@pytest.mark.parametrize("reuse", [True, False])
def test_gates_need_not_be_binary(build: Build, batches: list[Batch], reuse: bool) -> None:
    model, gates = build(pre_norm=True), torch.rand(5, 24, generator=torch.Generator().manual_seed(1))
    found = masked_losses(model, batches, gates, reuse=reuse)
    for loss, row in zip(found, gates, strict=True):
        set_gates(model, row)
        with torch.no_grad():
            total = sum(example_losses(model, batch).sum().item() for batch in batches)
        assert loss == pytest.approx(total / sum(batch["ntokens"] for batch in batches), rel=1e-5)


def calls(module: Any) -> tuple[list[int], Any]:
    """The batch sizes that a module is called with, and the hook that records them."""
    sizes: list[int] = []
    return sizes, module.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))


def seen_by(model: Any, batches: list[Batch], masks: Tensor, **options: Any) -> tuple[list[int], list[int]]:
    """Batch sizes at the first projections of encoder and decoder."""
    (encoder, one), (decoder, two) = (calls(part.embed_positions) for part in (model.encoder, model.decoder))
    masked_losses(model, batches, masks, **options)
    one.remove()
    two.remove()
    return encoder, decoder


def test_the_encoder_runs_once_when_its_heads_do_not_change(build: Build, batches: list[Batch]) -> None:
    """12 masks that agree on the 8 encoder heads, in passes of several masks; without reuse once per mask."""
    model, masks = build(), random_masks(12, 24)
    masks[:, :8] = torch.tensor([1, 0, 1, 1, 0, 1, 1, 1.0])
    longest = [max(t.numel() for t in (*b["net_input"].values(), b["target"])) for b in batches]
    encoder, decoder = seen_by(model, batches, masks, positions=5 * max(longest))
    assert encoder == [3, 4]
    assert len(decoder) > 2
    assert sum(decoder) == 12 * 7
    encoder, decoder = seen_by(model, batches, masks, positions=5 * max(longest), reuse=False)
    assert sum(encoder) == sum(decoder) == 12 * 7


def test_every_distinct_encoder_runs_once_in_a_pass(build: Build, batches: list[Batch]) -> None:
    """Dropping each head in turn: the 8 encoder heads and the intact encoder make 9 encoders, not 24."""
    encoder, decoder = seen_by(build(), batches, without(range(24), range(24), 24))
    assert encoder == [3 * 9, 4 * 9]
    assert decoder == [3 * 24, 4 * 24]


@pytest.mark.parametrize("positions", [1, 23, 24, 90, 300])
def test_passes_stay_within_their_positions(build: Build, make_batch: Callable[..., Batch], positions: int) -> None:
    model, batch = build(), make_batch(1, size=3)
    sides = batch["net_input"]["src_tokens"].shape[1], batch["target"].shape[1]
    for sizes in seen_by(model, [batch], random_masks(7, 24), positions=positions):
        assert all(size == 3 or size * max(sides) <= positions for size in sizes)


def test_the_model_is_left_as_it_was(build: Build, batches: list[Batch], unchanged: Callable[[Any], Any]) -> None:
    model = build()
    with unchanged(model):
        masked_losses(model, batches, random_masks(5, 24))
    model.train()
    with unchanged(model):
        in_training = masked_losses(model, batches, random_masks(5, 24))
    torch.testing.assert_close(in_training, masked_losses(build(), batches, random_masks(5, 24)))


def test_gates_open_when_a_pass_fails(build: Build, batches: list[Batch]) -> None:
    model = build()

    def failing() -> Iterator[Batch]:
        yield batches[0]
        raise RuntimeError("no more data")

    with pytest.raises(RuntimeError, match="no more data"):
        masked_losses(model, failing(), random_masks(5, 24))
    assert all(m.gate is None for m in model.modules() if hasattr(m, "gate"))


def test_bad_input_is_refused(build: Build, batches: list[Batch]) -> None:
    with pytest.raises(ValueError, match=r"expected \(M, 24\)"):
        masked_losses(build(), batches, torch.ones(24))
    with pytest.raises(ValueError, match=r"expected \(M, 24\)"):
        masked_losses(build(), batches, torch.ones(2, 23))
    with pytest.raises(ValueError, match="at least one target token"):
        masked_losses(build(), [], torch.ones(2, 24))


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
@pytest.mark.parametrize("count", range(10))
def test_spread_examples_are_at_even_distances(family: tuple[Any, list[Batch]], count: int) -> None:
    """Their losses are those in the middle of `count` equal stretches of all losses; 0 means all 7."""
    model, batches = family
    with torch.no_grad():
        every = torch.cat([example_losses(model, batch) for batch in batches])
        found = torch.cat([example_losses(model, batch) for batch in spread_examples(batches, count)])
    middles = np.floor((np.arange(count) + 0.5) * 7 / count) if 0 < count < 7 else np.arange(7)
    torch.testing.assert_close(found, every[torch.tensor(middles, dtype=torch.long)])


def test_without_drops_one_more_head() -> None:
    assert without({0, 2, 3}, [3, 0], 5).tolist() == [[1, 0, 1, 0, 0], [0, 0, 1, 1, 0]]


@pytest.mark.parametrize("per_module", [True, False])
def test_importance_orders_are_those_of_gradient_importance(
    build: Build, batches: list[Batch], per_module: bool
) -> None:
    entry = load_methods()["gradient_importance"]
    expected = entry.method(entry.options({"per_module": per_module})).rank(build(), batches, torch.Generator())
    assert importance_orders(build(), batches)[0 if per_module else 1] == expected.removal
