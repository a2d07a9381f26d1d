"""Moments against passes over single examples, closed forms against numpy's least squares."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary
from model_families import classifier, for_classifier, for_language_model, language_model
from torch import Tensor

from headprune.gates import clear_mask, install, set_gates, set_mask
from headprune.heads import HeadSpace, attention_points
from headprune.method import OutputProjection
from headprune.reconstruction import (
    compensate_bias,
    context_moments,
    contexts,
    damped_inverse,
    fluctuation,
    head_channels,
    head_products,
    least_squares_scales,
    reconstruct_weights,
    reconstruction_error,
    removal_cost,
    remove_channels,
    rescaled_gates,
    ridge,
    scale_heads,
)

Build = Callable[..., Any]
Batch = dict[str, Any]
MODULES = ["encoder.0", "encoder.1", "cross.0", "cross.1", "decoder.0", "decoder.1"]


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=8) for seed in (1, 2)]


@contextmanager
def watched(model: Any) -> Iterator[tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]]:
    """Inputs of all output projections and outputs of all attention modules, as torch's hooks see them."""
    ins: dict[str, list[Tensor]] = {}
    outs: dict[str, list[Tensor]] = {}
    hooks, points = [], attention_points(model)
    for point in points:
        seen, given = ins.setdefault(point.name, []), outs.setdefault(point.name, [])
        point.module.skip_embed_dim_check = True
        hooks.append(point.module.out_proj.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0])))
        hooks.append(point.module.register_forward_hook(lambda _m, _x, y, given=given: given.append(y[0])))
    try:
        with torch.no_grad():
            yield ins, outs
    finally:
        for hook in hooks:
            hook.remove()
        for point in points:
            point.module.skip_embed_dim_check = False


def stacked(seen: Mapping[str, list[Tensor]]) -> dict[str, np.ndarray]:
    """(positions, channels) of batches without padding."""
    return {name: torch.cat([x.flatten(0, 1) for x in xs]).double().numpy() for name, xs in seen.items()}


def with_outputs(model: Any, outputs: Mapping[str, OutputProjection]) -> Any:
    """A copy of the model with these output projections."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for point in attention_points(changed):
            if point.name in outputs:
                new = outputs[point.name]
                assert new.weight.dtype == point.module.out_proj.weight.dtype
                point.module.out_proj.weight.copy_(new.weight)
                assert new.bias is not None
                point.module.out_proj.bias.copy_(new.bias)
    return changed


# moments


def test_moments_are_those_of_single_examples(
    build: Build, batches: list[Batch], rebatch: Callable[..., list[Batch]]
) -> None:
    """Batches of one example hold no padding: every position counts. numpy, relative 1e-5 in float32 forward passes."""
    model = build()
    singles = [one for batch in batches for one in rebatch(batch, 1)]
    with watched(model) as (ins, _):
        for one in singles:
            model(**one["net_input"])
    for extra in (0, 3):  # columns of padding more on both sides
        padded = [one for batch in batches for one in rebatch(batch, 5, extra)]
        moments = context_moments(model, padded)
        assert list(moments) == MODULES
        for name, rows in stacked(ins).items():
            assert moments[name].count == len(rows)
            assert moments[name].second.dtype == torch.float64
            np.testing.assert_allclose(moments[name].mean, rows.mean(0), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(moments[name].second, rows.T @ rows / len(rows), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(moments[name].variance, rows.var(0), rtol=1e-4, atol=1e-6)
    words = sum(int(batch["net_input"]["src_lengths"].sum()) for batch in batches)
    targets = sum(batch["ntokens"] for batch in batches)
    assert {name: moment.count for name, moment in moments.items()} == {
        name: words if name.startswith("encoder") else targets for name in MODULES
    }


def test_contexts_come_in_the_order_of_the_forward_pass(build: Build, batches: list[Batch]) -> None:
    found = contexts(build(), batches[0])
    assert list(found) == ["encoder.0", "encoder.1", "decoder.0", "cross.0", "decoder.1", "cross.1"]


def test_moments_see_the_gates_that_are_set(build: Build, batches: list[Batch]) -> None:
    model = build()
    plain = context_moments(model, batches)["encoder.0"]  # its input depends on no gate
    gates = torch.ones(24)
    gates[0], gates[2] = 0, 0.5
    set_gates(model, gates)
    factors = torch.tensor([0, 1, 0.5, 1], dtype=torch.float64).repeat_interleave(8)
    gated = context_moments(model, batches)["encoder.0"]
    torch.testing.assert_close(gated.mean, factors * plain.mean, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(gated.second, factors.outer(factors) * plain.second, rtol=1e-6, atol=1e-9)
    assert torch.equal(model.encoder.layers[0].self_attn.out_proj.gate, gates[:4])
    per_example = torch.ones(8, 24)
    per_example[3:] = 0
    set_gates(model, per_example)
    rows = contexts(model, batches[0])["encoder.0"]
    words = int(batches[0]["net_input"]["src_lengths"][:3].sum())
    assert int(rows.ne(0).any(1).sum()) == words


def test_observing_leaves_the_stock_model_also_after_errors(
    build: Build, batches: list[Batch], logits: Callable[[Any, Batch], Tensor], unchanged: Callable[[Any], Any]
) -> None:
    model = build()
    with unchanged(model):
        context_moments(model, batches)
        broken = {**batches[0], "net_input": {**batches[0]["net_input"], "prev_output_tokens": torch.ones(8, 0)}}
        with pytest.raises(Exception):  # noqa: B017
            context_moments(model, [broken])
    assert torch.equal(logits(model, batches[0]), logits(build(stock=True), batches[0]))
    assert not any(point.module.out_proj._forward_pre_hooks for point in attention_points(model))
    with pytest.raises(ValueError, match="at least one position"):
        context_moments(model, [])
    model.train()
    context_moments(model, batches)
    assert model.training


def test_positions_that_are_not_the_batchs_are_refused(build: Build, batches: list[Batch]) -> None:
    wrong = {**batches[0], "target": torch.zeros(3, dtype=torch.long)}
    wrong["net_input"] = {**wrong["net_input"], "src_tokens": batches[0]["net_input"]["src_tokens"]}
    model = build()
    model.encoder.forward = lambda src_tokens, **_: type(model.encoder).forward(model.encoder, src_tokens[:, 1:])
    with pytest.raises(ValueError, match=r"encoder.0 has contexts for"):
        contexts(model, wrong)


def test_padding_does_not_count_in_other_families(dictionary: Dictionary, batches: list[Batch]) -> None:
    """A decoder alone counts the targets that are not padding; a classifier, whose targets are labels, the tokens."""
    found = context_moments(language_model(dictionary), [for_language_model(batches[0])])
    assert {name: m.count for name, m in found.items()} == dict.fromkeys(
        ["decoder.0", "decoder.1"], batches[0]["ntokens"]
    )
    words = int(batches[0]["net_input"]["src_lengths"].sum())
    found = context_moments(classifier(dictionary), [for_classifier(batches[0])])
    assert {name: m.count for name, m in found.items()} == dict.fromkeys(["encoder.0", "encoder.1"], words)


# closed forms


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    """Correlated contexts with a mean (300 positions, 12 channels), and W_O (5, 12)."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12)
    return rows, rng.normal(size=(5, 12))


def test_cost_and_update_are_those_of_least_squares(data: tuple[np.ndarray, np.ndarray]) -> None:
    """numpy.linalg.lstsq of the outputs on the channels that stay; relative 1e-8."""
    rows, weight = data
    inverse = torch.tensor(np.linalg.inv(rows.T @ rows / len(rows)))
    for gone in ([0, 1, 2], [3, 4, 5, 9, 10, 11], list(range(12))):
        left = [c for c in range(12) if c not in gone]
        expected = np.zeros_like(weight)
        expected[:, left] = np.linalg.lstsq(rows[:, left], rows @ weight.T, rcond=None)[0].T
        error = ((rows @ (weight - expected).T) ** 2).sum(1).mean()
        channels = torch.tensor(gone)
        found, rest = remove_channels(torch.tensor(weight), inverse, channels)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
        assert removal_cost(torch.tensor(weight), inverse, channels) == pytest.approx(error, rel=1e-8)
        second = torch.tensor(rows.T @ rows / len(rows))
        assert reconstruction_error(torch.tensor(weight) - found, second) == pytest.approx(error, rel=1e-8)
        block = np.linalg.inv(second.numpy()[np.ix_(left, left)])
        np.testing.assert_allclose(rest.numpy()[np.ix_(left, left)], block, rtol=1e-8, atol=1e-10)
        assert not rest[channels].any() and not rest[:, channels].any()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_one_by_one_equals_the_block(data: tuple[np.ndarray, np.ndarray], order: tuple[int, ...]) -> None:
    """Weights, inverse and the sum of the costs, in every order; relative 1e-9."""
    rows, weight = torch.tensor(data[0]), torch.tensor(data[1])
    inverse = damped_inverse(rows.t() @ rows / len(rows), 0.01)
    together = remove_channels(weight, inverse, torch.arange(9))
    cost = removal_cost(weight, inverse, torch.arange(9))
    total, step = 0.0, (weight, inverse)
    for head in order:
        channels = torch.arange(3 * head, 3 * head + 3)
        total += removal_cost(*step, channels)
        step = remove_channels(*step, channels)
    for found, expected in zip(step, together, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    assert total == pytest.approx(cost, rel=1e-9)


def test_damping_adds_its_share_of_the_change(data: tuple[np.ndarray, np.ndarray]) -> None:
    rows, weight = torch.tensor(data[0]), torch.tensor(data[1])
    second, channels = rows.t() @ rows / len(rows), torch.arange(3)
    assert ridge(second, 0.1) == pytest.approx(0.1 * (data[0] ** 2).mean())
    inverse = damped_inverse(second, 0.1)
    change = weight - remove_channels(weight, inverse, channels)[0]
    expected = reconstruction_error(change, second) + ridge(second, 0.1) * change.square().sum().item()
    assert removal_cost(weight, inverse, channels) == pytest.approx(expected, rel=1e-9)
    silent = damped_inverse(torch.zeros(12, 12, dtype=torch.float64), 0.1)
    assert torch.isfinite(silent).all()
    assert removal_cost(weight, silent, channels) < 1e-20


def test_fluctuation_is_the_variance_of_what_a_channel_writes(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Σ over channels and output dimensions of the variance of W_O[i, j] c_j; relative 1e-12."""
    rows, weight = data
    written = rows[:, None, :] * weight[None]  # (positions, model, channels)
    expected = written.var(0).sum(0).reshape(4, 3).sum(1)
    found = fluctuation(torch.tensor(weight), torch.tensor(rows.var(0)), heads=4)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def head_outputs(rows: np.ndarray, weight: np.ndarray, heads: int) -> np.ndarray:
    """What every head writes (heads, positions, model)."""
    width = weight.shape[1] // heads
    blocks = (slice(h * width, (h + 1) * width) for h in range(heads))
    return np.stack([rows[:, block] @ weight[:, block].T for block in blocks])


@pytest.mark.parametrize("kept", [[0], [1, 3], [0, 1, 2, 3]])
def test_scales_are_those_of_least_squares(data: tuple[np.ndarray, np.ndarray], kept: list[int]) -> None:
    """numpy.linalg.lstsq over all positions and output dimensions; relative 1e-8. The error never rises."""
    rows, weight = data
    changed = rows + np.random.default_rng(2).normal(size=rows.shape)  # contexts in the pruned model
    own, target = head_outputs(changed, weight, 4), head_outputs(rows, weight, 4).sum(0).ravel()
    matrix = own.reshape(4, -1)[kept].T
    expected = np.linalg.lstsq(matrix, target, rcond=None)[0]
    products = [head_products(torch.tensor(weight), torch.tensor(changed.T @ x), 4) for x in (changed, rows)]
    np.testing.assert_allclose(products[0], np.einsum("hpm,kpm->hk", own, own), rtol=1e-9)
    found = least_squares_scales(products[0], products[1], kept).numpy()
    np.testing.assert_allclose(found[kept], expected, rtol=1e-8)
    assert not np.delete(found, kept).any()
    before, after = (np.square(matrix @ scale - target).sum() for scale in (np.ones(len(kept)), found[kept]))
    assert after <= before


def test_scales_of_heads_that_write_the_same_are_shared(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Of several optima the shortest, as numpy.linalg.lstsq; a head that writes nothing gets 0."""
    twin = np.ones((2, 2)) * 3.0
    own = torch.block_diag(torch.tensor(twin), torch.zeros(1, 1, dtype=torch.float64))
    found = least_squares_scales(own, own, [0, 1, 2])
    torch.testing.assert_close(found, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(least_squares_scales(own, own, [0]), torch.tensor([2.0, 0.0, 0.0]).double())


# on models


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
    """On the contexts of the unpruned model, E of every module's output stays; measured on modules whose input no
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
