"""Losses of stacked masks equal the plain loop, and no layer runs oftener than it must."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from model_families import FAMILIES, family
from torch import Tensor

from headprune.gates import clear_mask, set_gates, set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.importance import example_losses
from headprune.method import load_methods
from headprune.removal import remove_heads
from headprune.scoring.masked_losses import importance_orders, masked_losses, spread_examples, without

Build = Callable[..., Any]
Batch = dict[str, Any]

__all__ = ["family"]  # a fixture


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


def seen_by(model: Any, batches: list[Batch], masks: Tensor, **options: Any) -> dict[str, list[int]]:
    """The batch sizes that the attention of every module with heads is called with."""
    sizes: dict[str, list[int]] = {}
    hooks = []
    for point in attention_points(model):
        found = sizes.setdefault(point.name, [])
        see = lambda _, args, kwargs, found=found: found.append(kwargs["query"].shape[1])  # noqa: E731
        hooks.append(point.module.register_forward_pre_hook(see, with_kwargs=True))
    masked_losses(model, batches, masks, **options)
    for hook in hooks:
        hook.remove()
    return sizes


def distinct(masks: Tensor, space: HeadSpace) -> dict[str, int]:
    """Number of masks, by module, that differ in the heads of its layer and of those that it depends on."""
    of = {name: [i for i, head in enumerate(space) if head.module == name] for name in space.modules}
    below: list[int] = []
    counts = {}
    for side in (("encoder",), ("cross", "decoder")):
        for layer in range(2):
            names = [f"{kind}.{layer}" for kind in side]
            below += [head for name in names for head in of[name]]
            counts |= dict.fromkeys(names, len({tuple(row) for row in masks[:, below].tolist()}))
    return counts


@pytest.mark.parametrize("positions", [1, 100, 4096])
def test_every_layer_runs_once_for_masks_that_agree_up_to_it(
    build: Build, batches: list[Batch], positions: int
) -> None:
    """It does so in one pass or in many; without reuse it runs once per mask."""
    model, masks = build(), torch.cat([without(range(24), range(24), 24), random_masks(6, 24)[3:]])
    masks[-1, 8:] = masks[-2, 8:] = masks[0, 8:]  # other encoders under one decoder
    expected = distinct(masks, HeadSpace.of(model))
    assert expected["encoder.0"] < expected["encoder.1"] < expected["decoder.0"] < expected["cross.1"] == len(masks)
    found = seen_by(model, batches, masks, positions=positions)
    assert {name: sum(sizes) for name, sizes in found.items()} == {name: 7 * n for name, n in expected.items()}
    found = seen_by(model, batches, masks, positions=positions, reuse=False)
    assert {sum(sizes) for sizes in found.values()} == {7 * len(masks)}


@pytest.mark.parametrize("change", ["layer", "decoder", "input"])
def test_what_is_not_quite_fairseqs_own_runs_as_a_whole(build: Build, batches: list[Batch], change: str) -> None:
    """A layer or a side with a forward pass of its own, or an input that nobody knows."""
    model, masks = build(), without(range(24), range(24), 24)
    expected = masked_losses(model, batches, masks)
    if change == "input":
        batches = [b | {"net_input": b["net_input"] | {"return_all_hiddens": False}} for b in batches]
    else:
        part = model.decoder.layers[1] if change == "layer" else model.decoder
        stock = type(part).forward
        part.__class__ = type("Own", (type(part),), {"forward": lambda self, *a, **k: stock(self, *a, **k)})
    assert {sum(sizes) for sizes in seen_by(model, batches, masks).values()} == {7 * 24}
    torch.testing.assert_close(masked_losses(model, batches, masks), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("positions", [1, 23, 24, 90, 300])
@pytest.mark.parametrize("reuse", [True, False])
def test_passes_stay_within_their_positions(
    build: Build, make_batch: Callable[..., Batch], positions: int, reuse: bool
) -> None:
    model, batch = build(), make_batch(1, size=3)
    sides = batch["net_input"]["src_tokens"].shape[1], batch["target"].shape[1]
    for sizes in seen_by(model, [batch], random_masks(7, 24), positions=positions, reuse=reuse).values():
        assert all(size == 3 or size * max(sides) <= positions for size in sizes)


def test_a_pruned_model_is_ablated_like_a_whole_one(build: Build, batches: list[Batch]) -> None:
    """Layers with fewer heads, and with none."""
    whole = build()
    kept = HeadSpace.of(whole).keep([0, 3, 9, 10, 13, 22])
    pruned, masks = remove_heads(whole, kept), random_masks(8, 6)
    found = masked_losses(pruned, batches, masks)
    torch.testing.assert_close(found, masked_losses(pruned, batches, masks, reuse=False), rtol=1e-5, atol=0)
    wide = torch.zeros(8, 24)
    wide[:, [0, 3, 9, 10, 13, 22]] = masks
    torch.testing.assert_close(found, masked_losses(whole, batches, wide), rtol=1e-5, atol=0)


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


def test_no_masks_have_no_losses(build: Build, batches: list[Batch]) -> None:
    assert masked_losses(build(), batches, torch.ones(0, 24)).shape == (0,)


def test_without_drops_one_more_head() -> None:
    assert without({0, 2, 3}, [3, 0], 5).tolist() == [[1, 0, 1, 0, 0], [0, 0, 1, 1, 0]]


@pytest.mark.parametrize("per_module", [True, False])
def test_importance_orders_are_those_of_gradient_importance(
    build: Build, batches: list[Batch], per_module: bool
) -> None:
    entry = load_methods()["gradient_importance"]
    expected = entry.method(entry.options({"per_module": per_module})).rank(build(), batches, torch.Generator())
    assert importance_orders(build(), batches)[0 if per_module else 1] == expected.removal


@pytest.mark.parametrize("reuse", [True, False])
def test_a_loss_that_is_not_a_number_is_refused(build: Build, batches: list[Batch], reuse: bool) -> None:
    """Searches sort by losses; an infinite one has a place among them."""
    model, masks = build(), torch.ones(3, 24)
    model.decoder.output_projection.register_forward_hook(lambda module, inputs, output: output * float("nan"))
    with pytest.raises(ValueError, match="losses under 3 of 3 masks are NaN"):
        masked_losses(model, batches, masks, reuse=reuse)
    assert all(m.gate is None for m in model.modules() if hasattr(m, "gate"))
