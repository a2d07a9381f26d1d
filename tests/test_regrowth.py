"""New output projections for a model, and pruned models grown back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_removal import NORMS, TOLERANCE, without
from torch import Tensor

from headprune import removal
from headprune.gates import set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.method import OutputProjection

Build = Callable[..., Any]
Batch = dict[str, Any]
Logits = Callable[[Any, Batch], Tensor]
RandomMask = Callable[..., HeadMask]


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(seed=2, size=6)


def projections(model: Any, *modules: str) -> dict[str, OutputProjection]:
    """Random parameters of the right shapes."""
    generator = torch.Generator().manual_seed(5)

    def like(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator)

    linears = {point.name: point.module.out_proj for point in attention_points(model)}
    return {name: OutputProjection(like(linears[name].weight), like(linears[name].bias)) for name in modules}


def test_reconstructed_is_a_copy_with_these_projections(build: Build, unchanged: Callable[[Any], Any]) -> None:
    model = build()
    outputs = projections(model, "encoder.1", "cross.0")
    with unchanged(model):
        changed = removal.reconstructed(model, outputs)
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in changed.parameters()}
    expected = dict(model.state_dict())
    for path, name in (("encoder.layers.1.self_attn", "encoder.1"), ("decoder.layers.0.encoder_attn", "cross.0")):
        expected |= {f"{path}.out_proj.weight": outputs[name].weight, f"{path}.out_proj.bias": outputs[name].bias}
    found = changed.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_projection_without_a_bias_leaves_that_of_the_module(build: Build) -> None:
    model = build()
    weight = projections(model, "cross.1")["cross.1"].weight
    changed = removal.reconstructed(model, {"cross.1": OutputProjection(weight, None)})
    before, after = (m.decoder.layers[1].encoder_attn.out_proj for m in (model, changed))
    assert torch.equal(after.weight, weight)
    assert torch.equal(after.bias, before.bias)


def test_without_new_projections_nothing_is_copied(build: Build) -> None:
    model = build()
    assert removal.reconstructed(model, {}) is model


def test_projections_that_do_not_fit_are_refused(build: Build, unchanged: Callable[[Any], Any]) -> None:
    model = build()
    good = projections(model, "cross.0")["cross.0"]
    bad = {
        "new output projection of 'cross.2': the model has encoder.0, encoder.1, cross.0": {"cross.2": good},
        r"new weight of cross.0 has shape \(32, 24\), the module's has \(32, 32\)": {
            "cross.0": OutputProjection(good.weight[:, :24], good.bias)
        },
        r"new bias of cross.0 has shape \(1, 32\), the module's has \(32,\)": {
            "cross.0": OutputProjection(good.weight, good.bias.unsqueeze(0))
        },
    }
    for message, outputs in bad.items():
        with unchanged(model), pytest.raises(ValueError, match=message):
            removal.reconstructed(model, {"encoder.0": projections(model, "encoder.0")["encoder.0"]} | outputs)


def test_an_emptied_module_has_no_projection_to_change(build: Build) -> None:
    model = build()
    pruned = removal.remove_heads(model, without(HeadSpace.of(model), "cross.0"))
    with pytest.raises(ValueError, match="new output projection of 'cross.0': the model has"):
        removal.reconstructed(pruned, projections(model, "cross.0"))


@NORMS
def test_a_regrown_model_under_the_mask_is_the_pruned_one(
    build: Build, batch: Batch, logits: Logits, random_mask: RandomMask, pre_norm: bool
) -> None:
    """Largest difference of a logit below 1e-5; noise tells the weights of the pruned model from those it came from."""
    model = build(pre_norm=pre_norm)
    space = HeadSpace.of(model)
    kept = (
        without(space, "cross.0", "encoder.1"),
        space.keep([]),
        space.full,
        *(random_mask(space, k) for k in (3, 15)),
    )
    for mask in kept:
        pruned = removal.remove_heads(model, mask)
        with torch.no_grad():
            for parameter in pruned.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(9))
        whole = removal.regrown(pruned)
        assert HeadSpace.of(whole) == space
        assert not whole.training
        set_mask(whole, mask)
        assert (logits(whole, batch) - logits(pruned, batch)).abs().max() < TOLERANCE
        again = removal.remove_heads(whole, mask).state_dict()
        assert all(torch.equal(value, again[key]) for key, value in pruned.state_dict().items())


def test_regrown_heads_are_new_ones(build: Build, unchanged: Callable[[Any], Any]) -> None:
    """Neither those that were removed nor nothing at all; and the pruned model stays what it is."""
    model = build()
    pruned = removal.remove_heads(model, without(HeadSpace.of(model), "cross.0"))
    with unchanged(pruned):
        whole = removal.regrown(pruned)
    rows = whole.decoder.layers[0].encoder_attn.q_proj.weight
    assert (rows.abs().sum(1) > 0).all()
    assert not torch.equal(rows, model.decoder.layers[0].encoder_attn.q_proj.weight)
