"""A model without heads is refused in words by everything that judges heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recurrent_model import RecurrentDecoder, RecurrentLanguageModel

from headprune.heads import HeadSpace
from headprune.importance import ESTIMATORS, gate_gradients, head_importance, normalise_per_module
from headprune.method import load_methods
from headprune.removal import remove_heads
from headprune.scoring.masked_losses import masked_losses
from tests.found import Found, rows

Build = Callable[..., Any]
Batch = dict[str, Any]
SCORES = sorted(name for name, entry in load_methods().items() if entry.kind == "score")


@pytest.fixture
def emptied(build: Build) -> Any:
    model = build()
    return remove_heads(model, HeadSpace.of(model).keep([]))


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(1), make_batch(2)]


@rows(*(Found(name, "an error of torch", "no heads left", "clear error", name) for name in SCORES))
def test_score_methods_say_that_there_is_no_head(emptied: Any, batches: list[Batch], found: Found) -> None:
    entry = load_methods()[found.case]
    method = entry.method(entry.options({}))
    with pytest.raises(ValueError, match=f"HeadpruneTransformer has {found.right} in its attention modules"):
        method.masks(emptied, batches, [0], torch.Generator())
    with pytest.raises((ValueError, TypeError), match=f"{found.right}|overrides none of"):
        method.rank(emptied, batches, torch.Generator())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_importance_says_that_there_is_no_head(emptied: Any, batches: list[Batch], estimator: Any) -> None:
    with pytest.raises(ValueError, match="no heads left"):
        head_importance(emptied, batches, estimator)


def test_functions_say_that_there_is_no_head(emptied: Any, batches: list[Batch]) -> None:
    with pytest.raises(ValueError, match="no heads left"):
        gate_gradients(emptied, batches[0])
    with pytest.raises(ValueError, match="no heads left"):
        masked_losses(emptied, batches, torch.ones(2, 0))
    with pytest.raises(ValueError, match="0 heads: expected .N,., at least one head"):
        normalise_per_module(torch.ones(0), HeadSpace.of(emptied))


@pytest.mark.parametrize("name", SCORES)
def test_a_model_without_attention_is_refused(dictionary: Any, batches: list[Batch], name: str) -> None:
    model = RecurrentLanguageModel(RecurrentDecoder(dictionary, 4, 0.0, None))
    entry = load_methods()[name]
    with pytest.raises(ValueError, match="RecurrentLanguageModel has no attention module"):
        entry.method(entry.options({})).masks(model, batches, [0], torch.Generator())
