"""Scores from attention maps; the maps themselves are tested in tests/scoring/test_attention_maps.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from headprune.heads import HeadSpace, attention_points
from headprune.importance import head_importance
from headprune.method import load_methods
from headprune.scoring.attention_maps import head_means, largest_weight, normalised_entropy

METHODS = load_methods()

Build = Callable[..., Any]
Batch = dict[str, Any]


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=3) for seed in (1, 2)]


def scores(name: str, model: Any, batches: list[Batch], **options: Any) -> torch.Tensor:
    entry = METHODS[name]
    return entry.method(entry.options(options)).scores(model, batches, torch.Generator())


def focus(model: Any, head: str) -> None:
    """Makes one head look at single words: its queries and keys are magnified."""
    module, index = head.rsplit(".", 1)
    (attention,) = (point.module for point in attention_points(model) if point.name == module)
    rows = slice(int(index) * attention.head_dim, (int(index) + 1) * attention.head_dim)
    with torch.no_grad():
        attention.q_proj.weight[rows] *= 30
        attention.k_proj.weight[rows] *= 30


@pytest.mark.parametrize("head", ["encoder.1.2", "decoder.0.0"])
@pytest.mark.parametrize(("name", "options"), [("confidence", {}), ("entropy", {"alpha": 0.0})])
def test_a_focused_head_is_kept_longest(
    build: Build, batches: list[Batch], head: str, name: str, options: dict[str, Any]
) -> None:
    model = build()
    before = scores(name, model, batches, **options)
    focus(model, head)
    found = scores(name, model, batches, **options)
    position = HeadSpace.of(model).names.index(head)
    assert found.argmax() == position
    assert before.argmax() != position


def test_confidence_is_the_mean_of_the_largest_weights(build: Build, batches: list[Batch]) -> None:
    assert torch.equal(scores("confidence", build(), batches), head_means(build(), batches, largest_weight))


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 1.0])
def test_entropy_mixes_the_two_scaled_scores(build: Build, batches: list[Batch], alpha: float) -> None:
    """numpy, absolute 1e-12; α = 1 ranks as importance does, α = 0 against entropy."""
    gradient = head_importance(build(), batches).numpy()
    entropy = head_means(build(), batches, normalised_entropy).numpy()
    scaled = [(x - x.min()) / np.ptp(x) for x in (gradient, entropy)]
    found = scores("entropy", build(), batches, alpha=alpha).numpy()
    np.testing.assert_allclose(found, alpha * scaled[0] + (1 - alpha) * (1 - scaled[1]), rtol=0, atol=1e-12)
    if alpha in (0, 1):
        assert np.array_equal(found.argsort(), (gradient if alpha else -entropy).argsort())


def test_equal_entropies_decide_nothing(build: Build, batches: list[Batch]) -> None:
    """Min-max of equal values is 0, not a division by zero."""
    minmax = METHODS["entropy"].method.scores.__globals__["minmax"]
    assert minmax(torch.full((3,), 0.7)).tolist() == [0, 0, 0]
    assert minmax(torch.tensor([1.0, 3.0, 2.0])).tolist() == [0, 1, 0.5]


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_alpha_is_a_weight(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        METHODS["entropy"].options({"alpha": alpha})
