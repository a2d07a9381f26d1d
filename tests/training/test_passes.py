"""Sentences that go through a model, counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fairseq.data import Dictionary
from model_families import classifier, for_classifier, for_language_model, language_model

from headprune.heads import HeadSpace
from headprune.importance import example_losses
from headprune.method import load_methods
from headprune.removal import remove_heads
from headprune.scoring.masked_losses import masked_losses
from headprune.training.costs import Meter

Build = Callable[..., Any]
Batch = dict[str, Any]
Passes = tuple[int, int]  # forward and backward

SIZES = (5, 3, 4)  # sentences a batch, 12 in all


@pytest.fixture(scope="module")
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed=seed, size=size) for seed, size in enumerate(SIZES)]


def passes(meter: Meter) -> Passes:
    """The passes of the cost after the context."""
    return meter.cost.forward, meter.cost.backward


def scored(name: str, model: Any, batches: list[Batch], **options: Any) -> Passes:
    """The passes that a score method costs."""
    entry = load_methods()[name]
    with Meter() as meter:
        entry.method(entry.options(options)).rank(model, batches, torch.Generator().manual_seed(1))
    return passes(meter)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("gradient_importance", {}, (12, 12)),
        ("gradient_importance", {"iterative": True, "step": 8}, (3 * 12, 3 * 12)),  # 24 heads, 8 at a time
        ("magnitude", {}, (0, 0)),
        ("drop_one", {}, (25 * 12, 0)),  # without each of 24 heads, and with all
        ("drop_one", {"sentences": 6}, (25 * 6, 0)),
    ],
)
def test_scoring_costs_what_it_costs(
    build: Build, batches: list[Batch], name: str, options: dict[str, Any], expected: Passes
) -> None:
    assert scored(name, build(), batches, **options) == expected


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("positions", [10, 4096])
def test_a_sentence_counts_once_for_every_mask(build: Build, batches: list[Batch], reuse: bool, positions: int) -> None:
    """However the masks are stacked, and whether or not their encodings are shared."""
    masks = torch.ones(5, 24)
    masks[1:3, 9] = 0  # cross-attention: these share the encoder's pass
    masks[3, 0] = 0
    with Meter() as meter:
        masked_losses(build(), batches, masks, positions=positions, reuse=reuse)
    assert passes(meter) == (5 * 12, 0)


def test_a_training_step_is_a_pass_each_way(build: Build, batches: list[Batch]) -> None:
    model = build().train()
    with Meter() as meter:
        for batch in batches:
            example_losses(model, batch).sum().backward()
        model.eval()
        with torch.no_grad():
            example_losses(model, batches[0])
        example_losses(model, batches[1])  # a graph that nothing goes back through
    assert passes(meter) == (12 + 5 + 3, 12)


def test_pruned_models_count_like_whole_ones(build: Build, batches: list[Batch]) -> None:
    """Also where modules are empty: their stand-ins are no decoders."""
    model = build()
    pruned = remove_heads(model, HeadSpace.of(model).keep([0, 1, 9]))
    with Meter() as meter:
        example_losses(pruned, batches[0]).sum().backward()
    assert passes(meter) == (5, 5)


def test_models_of_one_side_count_too(dictionary: Dictionary, batches: list[Batch]) -> None:
    for model, convert in ((classifier(dictionary), for_classifier), (language_model(dictionary), for_language_model)):
        with Meter() as meter:
            for batch in batches:
                example_losses(model, convert(batch)).sum().backward()
        assert passes(meter) == (12, 12)


def test_nothing_is_counted_outside_the_context(build: Build, batches: list[Batch]) -> None:
    """Not even after an error; and a context within another has a count of its own."""
    model = build()
    with pytest.raises(KeyError), Meter() as failed:
        example_losses(model, batches[0])
        raise KeyError
    with Meter() as outer:
        example_losses(model, batches[1])
        with Meter() as inner:
            example_losses(model, batches[2])
    example_losses(model, batches[0])
    assert tuple(map(passes, (failed, outer, inner))) == ((5, 0), (7, 0), (4, 0))
