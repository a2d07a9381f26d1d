"""Updated weights, biases and scales of heads in a model: predicted against measured errors, means that stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from reconstructing import MODULES, head_outputs, stacked, watched, with_outputs
from torch import Tensor

from headprune.gates import clear_mask, install, set_gates, set_mask
from headprune.heads import HeadSpace, attention_points
from headprune.scoring.reconstruction import (
    compensate_bias,
    context_moments,
    contexts,
    damped_inverse,
    head_channels,
    reconstruct_weights,
    reconstruction_error,
    removal_cost,
    rescaled_gates,
    ridge,
    scale_heads,
)

Build = Callable[..., Any]
Batch = dict[str, Any]


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=8) for seed in (1, 2)]


def test_predicted_loss_is_the_measured_error(build: Build, make_batch: Callable[..., Batch]) -> None:
    """Each of the 24 heads alone: the cost, from moments, and the squared change of the module's output over the
    calibration set, measured position by position in a model with the new projection in place. Relative 1e-4."""
    model, batches = build(), [make_batch(seed, size=12) for seed in (1, 2, 3)]
    moments, space, damping = context_moments(model, batches), HeadSpace.of(model), 1e-9
    inverses = {name: damped_inverse(own.second, damping) for name, own in moments.items()}
    rows = {name: [contexts(model, batch)[name] for batch in batches] for name in MODULES}
    seen = {name: torch.cat(own).float() for name, own in rows.items()}
    for point in attention_points(model):
        old = point.module.out_proj
        for head in range(4):
            position = MODULES.index(point.name) * 4 + head
            mask = space.keep(set(range(24)) - {position})
            outputs = reconstruct_weights(model, mask, moments, damping)
            assert list(outputs) == [point.name]
            new = with_outputs(model, outputs).get_submodule(point.path).out_proj
            assert torch.equal(new.bias, old.bias)
            with torch.no_grad():
                measured = (new(seen[point.name]) - old(seen[point.name])).double().square().sum(1).mean().item()
            weight = old.weight.detach().double()
            cost = removal_cost(weight, inverses[point.name], head_channels(point, [head]))
            assert measured == pytest.approx(cost, rel=1e-4)
            assert not new.weight[:, 8 * head : 8 * head + 8].any()


def test_reconstruction_never_loses_more_than_leaving_weights_alone(
    build: Build, batches: list[Batch], random_mask: Callable[..., Any]
) -> None:
    model = build()
    moments = context_moments(model, batches)
    for kept in (0, 5, 12, 23):
        mask = random_mask(HeadSpace.of(model), kept)
        outputs = reconstruct_weights(model, mask, moments, 0.01)
        assert set(outputs) == {name for name, count in mask.per_module().items() if count < 4}
        for point in attention_points(model):
            if point.name not in outputs:
                continue
            old, new = point.module.out_proj.weight.detach().double(), outputs[point.name].weight.double()
            gone = [i for i in range(4) if i not in mask.kept_indices()[point.name]]
            plain = old.clone()
            plain[:, head_channels(point, gone)] = 0
            second = moments[point.name].second + ridge(moments[point.name].second, 0.01) * torch.eye(32)
            assert reconstruction_error(old - new, second) <= reconstruction_error(old - plain, second) * (1 + 1e-6)
            assert (new == 0).all() == (len(gone) == 4)


@pytest.mark.parametrize("kept", [0, 9, 24])
def test_compensation_keeps_the_mean_output(
    build: Build,
    batches: list[Batch],
    rebatch: Callable[..., list[Batch]],
    random_mask: Callable[..., Any],
    kept: int,
) -> None:
    """E of every module's output stays on the contexts of the unpruned model; measured on modules whose input no
    other module changes. Absolute 1e-5."""
    model = build()
    mask = random_mask(HeadSpace.of(model), kept, seed=3)
    outputs = compensate_bias(model, mask, context_moments(model, batches))
    assert set(outputs) == {name for name, count in mask.per_module().items() if count < 4}
    assert all(
        torch.equal(outputs[p.name].weight, p.module.out_proj.weight)
        for p in attention_points(model)
        if p.name in outputs
    )
    pruned = with_outputs(model, outputs)
    means = []
    for subject in (model, pruned):
        if subject is pruned:
            set_mask(pruned, mask)
        with watched(subject) as (_, outs):
            for one in (one for batch in batches for one in rebatch(batch, 1)):
                subject(**one["net_input"])
        means.append({name: rows.mean(0) for name, rows in stacked(outs).items()})
    for name in ("encoder.0", "decoder.0"):
        np.testing.assert_allclose(means[1][name], means[0][name], atol=1e-5)


def test_compensation_gives_a_bias_to_a_module_without(build: Build, batches: list[Batch]) -> None:
    model = build()
    install(model)
    moments = context_moments(model, batches)
    model.encoder.layers[0].self_attn.out_proj.bias = None
    mask = HeadSpace.of(model).keep(range(1, 24))
    found = compensate_bias(model, mask, moments)["encoder.0"].bias
    weight = model.encoder.layers[0].self_attn.out_proj.weight.detach().double()
    torch.testing.assert_close(found, (weight[:, :8] @ moments["encoder.0"].mean[:8]).float())
    assert reconstruct_weights(model, mask, moments, 0.01)["encoder.0"].bias is None


def test_masks_of_another_model_are_refused(build: Build, batches: list[Batch]) -> None:
    model = build()
    other = HeadSpace.of(build(decoder_layers=1)).full
    with pytest.raises(ValueError, match="the mask is over 16 heads, the model has 24"):
        compensate_bias(model, other, context_moments(model, batches))


@pytest.mark.parametrize("pre_norm", [False, True], ids=["post-norm", "pre-norm"])
def test_rescaling_equals_least_squares_module_by_module(
    build: Build,
    batches: list[Batch],
    rebatch: Callable[..., list[Batch]],
    random_mask: Callable[..., Any],
    pre_norm: bool,
) -> None:
    """The fit by hand, in forward order: what each head writes in the pruned model so far, fitted by numpy.linalg.lstsq
    to what the module wrote in the unpruned one. Absolute 1e-4; the error of every fit is at most that of scale 1."""
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
