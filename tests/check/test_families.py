"""The tiny models stand for their families, and the gate machinery holds on each."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from headprune.check.families import FAMILIES, ModelFamily
from headprune.gates import clear_mask, set_gates, set_mask
from headprune.heads import HeadSpace, attention_points
from headprune.importance import example_losses, head_importance

families = pytest.mark.parametrize("family", FAMILIES, ids=[family.name for family in FAMILIES])


def test_head_types_of_each_family() -> None:
    types = {family.name: {head.type for head in family.space} for family in FAMILIES}
    assert types == {
        "encoder-decoder": {"encoder", "cross", "decoder"},
        "decoder-only": {"decoder"},
        "classifier": {"encoder"},
        "all-attention": {"decoder"},
    }


def cross_entropies(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """torch's own, example by example (batch,); padding is ignored, but every label of a classifier counts."""
    output, target = model(**batch["net_input"]), batch["target"]
    logits = output if isinstance(output, torch.Tensor) else output[0]
    ignored = -100 if target.dim() == 1 else 1
    losses = [
        torch.nn.functional.cross_entropy(rows.view(-1, rows.shape[-1]), own.view(-1), None, None, ignored, None, "sum")
        for rows, own in zip(logits, target, strict=True)
    ]
    return torch.stack(losses)


@families
def test_losses_are_cross_entropies(family: ModelFamily) -> None:
    """Tolerance 1e-5."""
    model = family.model()
    for batch in family.batches():
        with torch.no_grad():
            found, expected = example_losses(model, batch), cross_entropies(model, batch)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_classifiers_have_no_padding_among_the_labels() -> None:
    """A third of the labels is 1, the index of the padding symbol of a dictionary."""
    family = FAMILIES[2]
    labels = torch.cat([batch["target"] for batch in family.batches()])
    assert (labels == 1).any()
    assert all((example_losses(family.model(), batch) > 0).all() for batch in family.batches())


@families
def test_importance_is_the_derivative_in_the_gate(family: ModelFamily, exact_softmax: None) -> None:
    """The `signed` estimator against central differences of gates set by hand, in float64; relative 1e-4."""
    model, total = family.model().double(), len(family.space)
    batch = family.batches()[0]
    found, step = head_importance(model, [batch], "signed"), 1e-5
    for head in range(total):
        losses = []
        for sign in (1, -1):
            gates = torch.ones(total, dtype=torch.float64)
            gates[head] += sign * step
            set_gates(model, gates)
            with torch.no_grad():
                losses.append(cross_entropies(model, batch).mean().item())
        clear_mask(model)
        expected = (losses[0] - losses[1]) / (2 * step)
        assert found[head].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@families
def test_masks_equal_zeroed_output_columns(family: ModelFamily) -> None:
    """Removing every second head by mask, or by zeros in W_O: the same losses, to 1e-5."""
    model = family.model()
    kept = range(0, len(family.space), 2)
    zeroed = copy.deepcopy(model)
    start = 0
    for point in attention_points(zeroed):
        width = point.module.head_dim
        for head in point.indices:
            if start + head not in kept:
                point.module.out_proj.weight.data[:, head * width : (head + 1) * width] = 0
        start += len(point.indices)
    set_mask(model, HeadSpace.of(model).keep(kept))
    for batch in family.batches():
        with torch.no_grad():
            torch.testing.assert_close(
                example_losses(model, batch), example_losses(zeroed, batch), rtol=1e-5, atol=1e-5
            )


@families
def test_heads_of_clones_are_interchangeable(family: ModelFamily) -> None:
    """Gradient importance is equal within every module, to 1e-6 relative."""
    model, space = family.model(clones=True), family.space
    scores = head_importance(model, family.batches())
    for module in range(len(space.modules)):
        own = scores[[i for i, m in enumerate(space.module_of) if m == module]]
        torch.testing.assert_close(own, own[:1].expand_as(own), rtol=1e-5, atol=0)


@families
def test_models_of_a_family_are_copies(family: ModelFamily) -> None:
    first, second = family.model(), family.model()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    next(first.parameters()).data.zero_()
    assert next(second.parameters()).any()
    assert not first.training
