"""Scales of the heads that are left, module by module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from reconstructing import MODULES, head_outputs, stacked, watched, with_outputs
from torch import Tensor

from headprune.gates import clear_mask, set_gates, set_mask
from headprune.heads import HeadSpace, attention_points
from headprune.scoring.reconstruction import (
    rescaled_gates,
    scale_heads,
)

Build = Callable[..., Any]
Batch = dict[str, Any]


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=8) for seed in (1, 2)]


@pytest.mark.parametrize("pre_norm", [False, True], ids=["post-norm", "pre-norm"])
def test_rescaling_equals_least_squares_module_by_module(
    build: Build,
    batches: list[Batch],
    rebatch: Callable[..., list[Batch]],
    random_mask: Callable[..., Any],
    pre_norm: bool,
) -> None:
    """By hand in forward order: what each head writes in the pruned model so far, fitted by numpy.linalg.lstsq to what
    the module wrote in the unpruned one. Absolute 1e-4; the error of every fit is at most that of scale 1."""
    model = build(pre_norm=pre_norm)
    space = HeadSpace.of(model)
    mask = random_mask(space, 11, seed=4)
    found = rescaled_gates(model, mask, batches, limit=1e9)
    singles = [one for batch in batches for one in rebatch(batch, 1)]
    whole = seen_by_projections(model, singles)
    gates = torch.tensor(mask.keep, dtype=torch.float64)
    for name in ("encoder.0", "encoder.1", "decoder.0", "cross.0", "decoder.1", "cross.1"):
        start = 4 * MODULES.index(name)
        kept = [i for i in range(4) if mask.keep[start + i]]
        set_gates(model, gates)
        rows = seen_by_projections(model, singles)[name]
        clear_mask(model)
        point = next(point for point in attention_points(model) if point.name == name)
        weight = point.module.out_proj.weight.detach().double().numpy()
        target = (whole[name] @ weight.T).ravel()
        matrix = head_outputs(rows, weight, 4).reshape(4, -1)[kept].T
        if kept:
            scales = np.linalg.lstsq(matrix, target, rcond=None)[0]
            gates[[start + i for i in kept]] = torch.tensor(scales)
            own = found[start : start + 4].numpy()[kept]
            errors = [np.square(matrix @ s - target).sum() for s in (own, np.ones(len(kept)))]
            assert errors[0] <= errors[1] * (1 + 1e-9)
    assert (found == 0).tolist() == [keep == 0 for keep in mask.keep]
    assert (found - gates).abs().max() < 1e-4
    assert (found - torch.tensor(mask.keep)).abs().max() > 0.01


def seen_by_projections(model: Any, singles: list[Batch]) -> dict[str, np.ndarray]:
    with watched(model) as (ins, _):
        for one in singles:
            model(**one["net_input"])
    return stacked(ins)


def test_rescaling_stops_where_a_scale_leaves_the_limit(
    build: Build, batches: list[Batch], random_mask: Callable[..., Any]
) -> None:
    """Modules before the one that breaks the limit are scaled, it and all later ones are not."""
    model = build()
    mask = random_mask(HeadSpace.of(model), 11, seed=8)
    keep = torch.tensor(mask.keep, dtype=torch.float64)
    free = rescaled_gates(model, mask, batches, limit=1e9)
    order = [MODULES.index(name) for name in ("encoder.0", "encoder.1", "decoder.0", "cross.0", "decoder.1", "cross.1")]
    largest = free.view(6, 4).abs().amax(1)[order]
    stop = int(largest.argmax())
    assert 0 < stop < 5
    limit = float(largest[:stop].max() + largest[stop]) / 2
    bounded = rescaled_gates(model, mask, batches, limit=limit)
    for place, module in enumerate(order):
        own = slice(4 * module, 4 * module + 4)
        assert torch.equal(bounded[own], free[own] if place < stop else keep[own])


def test_rescaling_can_leave_the_first_module_alone(
    build: Build, batches: list[Batch], random_mask: Callable[..., Any]
) -> None:
    model = build()
    mask = random_mask(HeadSpace.of(model), 11, seed=4)
    found = rescaled_gates(model, mask, batches, limit=1e9, skip_first=True)
    assert found[:4].tolist() == list(mask.keep[:4])
    assert not torch.equal(found[4:], torch.tensor(mask.keep[4:], dtype=torch.float64))


def test_whole_and_empty_models_need_no_scale(build: Build, batches: list[Batch]) -> None:
    model = build()
    space = HeadSpace.of(model)
    assert rescaled_gates(model, space.full, batches).tolist() == [1.0] * 24
    assert rescaled_gates(model, space.keep([]), batches).tolist() == [0.0] * 24
    assert scale_heads(model, torch.ones(24)) == {} == scale_heads(model, torch.zeros(24))


def test_folded_scales_compute_what_gates_compute(
    build: Build, batches: list[Batch], logits: Callable[[Any, Batch], Tensor]
) -> None:
    """Logits, absolute 1e-5."""
    model = build()
    gates = 1 + torch.arange(24.0) / 10
    gates[:6], gates[20:] = 0, 1
    folded = with_outputs(model, scale_heads(model, gates))
    set_gates(model, gates)
    set_mask(folded, HeadSpace.of(folded).keep(range(6, 24)))
    torch.testing.assert_close(logits(folded, batches[0]), logits(model, batches[0]), rtol=0, atol=1e-5)


def test_rescaling_leaves_the_model_open_also_after_errors(
    build: Build, batches: list[Batch], logits: Callable[[Any, Batch], Tensor], random_mask: Callable[..., Any]
) -> None:
    model = build()
    mask = random_mask(HeadSpace.of(model), 11)
    with pytest.raises(Exception):  # noqa: B017
        rescaled_gates(model, mask, [batches[0], {"net_input": {}, "target": batches[0]["target"]}])
    assert torch.equal(logits(model, batches[0]), logits(build(stock=True), batches[0]))
