"""Removing heads is masking them, for good: same function, fewer parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.sequence_generator import SequenceGenerator, SequenceGeneratorWithAlignment
from fairseq.sequence_scorer import SequenceScorer
from torch import Tensor

from headprune import removal
from headprune.cost import parameters
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.models.cutting import shrink
from tests.found import Found, rows

TOLERANCE = 1e-5  # fp32
Build = Callable[..., Any]
Batch = dict[str, Any]
Logits = Callable[[Any, Batch], Tensor]
RandomMask = Callable[..., HeadMask]
NORMS = pytest.mark.parametrize("pre_norm", [False, True], ids=["post-norm", "pre-norm"])


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(seed=2, size=6)


def without(space: HeadSpace, *modules: str) -> HeadMask:
    """The mask that empties these modules and keeps the rest."""
    return space.keep(i for i, head in enumerate(space) if head.module not in modules)


def masks(space: HeadSpace, random_mask: RandomMask) -> list[HeadMask]:
    """20 masks: K = 0 and N, whole modules and types empty, and random ones."""
    kinds = [[name for name in space.modules if name.startswith(kind)] for kind in ("encoder", "cross", "decoder")]
    emptied = [["encoder.0"], ["cross.1", "decoder.0"], *kinds, kinds[0] + kinds[2]]
    counts = (0, 24, 1, 23, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
    chosen = [random_mask(space, kept, seed=kept) for kept in counts]
    chosen += [without(space, *modules) for modules in emptied]
    assert len(chosen) == 20
    return chosen


@NORMS
def test_masked_model_equals_removed_model(
    build: Build, batch: Batch, logits: Logits, random_mask: RandomMask, pre_norm: bool
) -> None:
    model = build(pre_norm=pre_norm)
    for mask in masks(HeadSpace.of(model), random_mask):
        pruned = removal.remove_heads(model, mask)
        set_mask(model, mask)
        torch.testing.assert_close(logits(pruned, batch), logits(model, batch), rtol=0, atol=TOLERANCE)


def test_removing_no_head_keeps_the_model_bit_for_bit(build: Build, batch: Batch, logits: Logits) -> None:
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).full)
    assert torch.equal(logits(pruned, batch), logits(build(stock=True), batch))


def beams(model: Any, batch: Batch, dictionary: Dictionary) -> list[tuple[list[int], float]]:
    generator = SequenceGenerator([model], dictionary, beam_size=4, max_len_a=0, max_len_b=10)
    found = generator.generate([model], batch)
    generator.model.set_decoder_beam_size(1)
    return [(beam["tokens"].tolist(), beam["score"].item()) for beams in found for beam in beams]


@NORMS
def test_beam_search_finds_the_same(
    build: Build, batch: Batch, random_mask: RandomMask, dictionary: Dictionary, pre_norm: bool
) -> None:
    """All four hypotheses of every sentence token by token, their scores within 1e-5."""
    model = build(pre_norm=pre_norm)
    space = HeadSpace.of(model)
    for mask in (without(space, "cross.0", "decoder.1"), space.keep([]), random_mask(space, 9), random_mask(space, 20)):
        pruned = removal.remove_heads(model, mask)
        set_mask(model, mask)
        masked, removed = beams(model, batch, dictionary), beams(pruned, batch, dictionary)
        assert [tokens for tokens, _ in removed] == [tokens for tokens, _ in masked]
        assert [score for _, score in removed] == pytest.approx([score for _, score in masked], abs=TOLERANCE)


def alignments(model: Any, batch: Batch, dictionary: Dictionary) -> list[list[tuple[int, int]]]:
    """Hard alignments of the hypotheses of a beam search, as `fairseq-generate --print-alignment` has them."""
    generator = SequenceGeneratorWithAlignment([model], dictionary, beam_size=2, max_len_a=0, max_len_b=10)
    try:
        return [beam["alignment"] for found in generator.generate([model], batch) for beam in found]
    finally:
        generator.model.set_decoder_beam_size(1)


@rows(
    Found("the last cross-attention emptied", "IndexError", r"cross\.1, .* has no heads", "clear error", ["cross.1"]),
    Found("everything emptied", "IndexError", r"cross\.1, .* has no heads", "clear error", None),
    Found("the first cross-attention emptied", None, None, "the masked model", ["cross.0", "decoder.1"]),
    Found("an encoder module emptied", None, None, "the masked model", ["encoder.1"]),
)
def test_alignments_of_a_pruned_model(build: Build, batch: Batch, dictionary: Dictionary, found: Found) -> None:
    """Those of the masked model, or a refusal where no head is left to read them off; hypotheses need none."""
    model = build()
    space = HeadSpace.of(model)
    mask = space.keep([]) if found.case is None else without(space, *found.case)
    pruned = removal.remove_heads(model, mask)
    set_mask(model, mask)
    masked = alignments(model, batch, dictionary)
    assert any(masked)
    if found.right is None:
        assert alignments(pruned, batch, dictionary) == masked
        return
    with pytest.raises(ValueError, match=found.right):
        alignments(pruned, batch, dictionary)
    with pytest.raises(ValueError, match=found.right):
        SequenceScorer(dictionary, compute_alignment=True).generate([pruned], batch)
    assert [tokens for tokens, _ in beams(pruned, batch, dictionary)]
    assert len(SequenceScorer(dictionary).generate([pruned], batch)) == 6


def test_alignments_are_means_over_the_heads_that_are_left(build: Build, batch: Batch) -> None:
    """The mean of one head is its attention; largest difference 1e-6."""
    model = build()
    space = HeadSpace.of(model)
    mask = space.keep(i for i, head in enumerate(space) if head.module != "cross.1" or head.index == 2)
    pruned = removal.remove_heads(model, mask)
    set_mask(model, mask)
    seen: list[Tensor] = []
    model.decoder.layers[1].encoder_attn.register_forward_hook(lambda *call: seen.append(call[-1][1]))
    with torch.no_grad():
        model(**batch["net_input"])
        found = pruned(**batch["net_input"])[1]["attn"][0]
    torch.testing.assert_close(found, seen[0][2], rtol=0, atol=1e-6)


def test_training_goes_on_after_removal(build: Build, batch: Batch) -> None:
    """Every parameter of the pruned model is trainable and gets a gradient, unless no path leads to the loss."""
    model = build()
    pruned = removal.remove_heads(model, without(HeadSpace.of(model), "cross.1")).train()
    pruned(**batch["net_input"])[0].square().sum().backward()
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in pruned.parameters())


def test_parameters_drop_by_the_weights_of_the_heads(build: Build, random_mask: RandomMask) -> None:
    """4·d·d_h + 3·d_h a head (docs/theory/removal.md#accounting), also where a module is emptied: it keeps its output
    bias only."""
    model = build()
    space = HeadSpace.of(model)
    whole, width, head_width = parameters(model), 32, 8
    for mask in masks(space, random_mask):
        removed = len(space) - mask.count
        pruned = removal.remove_heads(model, mask)
        assert whole - parameters(pruned) == removed * (4 * width * head_width + 3 * head_width)
        for point in attention_points(pruned):
            heads = mask.per_module()[point.name]
            own = sum(p.numel() for p in point.module.parameters())
            assert own == heads * (4 * width * head_width + 3 * head_width) + width


def test_original_is_left_whole(build: Build, batch: Batch, logits: Logits, unchanged: Callable[[Any], Any]) -> None:
    model = build()
    before = logits(model, batch)
    mask = HeadSpace.of(model).keep([3, 8, 9])
    set_mask(model, mask)
    with unchanged(model):
        pruned = removal.remove_heads(model, mask)
    assert torch.equal(logits(model, batch), before)  # the mask is taken off
    shared = {id(p) for p in model.parameters()} & {id(p) for p in pruned.parameters()}
    assert not shared


def test_softmax_scale_and_head_width_stay(build: Build) -> None:
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([0, 1, 6]))
    first, second, *rest = (point.module for point in attention_points(pruned))
    assert (first.num_heads, first.head_dim, first.scaling, first.embed_dim) == (2, 8, 8**-0.5, 16)
    assert (second.num_heads, second.head_dim, second.scaling, second.embed_dim) == (1, 8, 8**-0.5, 8)
    assert tuple(second.out_proj.weight.shape) == (32, 8)
    assert (second.out_proj.in_features, second.q_proj.out_features) == (8, 8)
    assert [module.num_heads for module in rest] == [0] * 4


def test_removing_twice_equals_removing_at_once(build: Build, batch: Batch, logits: Logits) -> None:
    model = build()
    space = HeadSpace.of(model)
    first = space.keep([0, 1, 3, 6, 8, 9, 12, 15, 20])
    both = space.keep([1, 3, 8, 12, 15])
    half = removal.remove_heads(model, first)
    smaller = HeadSpace.of(half)
    second = HeadMask(smaller, [name in both.names() for name in smaller.names])
    twice, once = removal.remove_heads(half, second), removal.remove_heads(model, both)
    assert HeadSpace.of(twice) == HeadSpace.of(once)
    a, b = twice.state_dict(), once.state_dict()
    assert list(a) == list(b)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert torch.equal(logits(twice, batch), logits(once, batch))


def test_a_removed_model_can_be_masked(build: Build, batch: Batch, logits: Logits) -> None:
    """Masking what is left equals removing it too; clearing that mask gives the pruned model back bit for bit."""
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([0, 1, 3, 6, 8, 9, 12, 15, 20]))
    before = logits(pruned, batch)
    mask = HeadSpace.of(pruned).keep([0, 3, 6])
    set_mask(pruned, mask)
    masked = logits(pruned, batch)
    assert not torch.allclose(masked, before, atol=1e-3)
    further = removal.remove_heads(pruned, mask)
    torch.testing.assert_close(logits(further, batch), masked, rtol=0, atol=TOLERANCE)
    clear_mask(pruned)
    assert torch.equal(logits(pruned, batch), before)


def test_a_model_without_heads_has_an_empty_space(build: Build, batch: Batch, logits: Logits) -> None:
    model = build()
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([]))
    space = HeadSpace.of(pruned)
    assert len(space) == 0
    set_mask(pruned, space.full)
    assert torch.equal(logits(removal.remove_heads(pruned, space.full), batch), logits(pruned, batch))


def test_a_mask_of_another_model_is_refused(build: Build) -> None:
    model = build()
    other = HeadSpace.of(build(encoder_layers=1))
    with pytest.raises(ValueError, match="the mask is over 20 heads, the model has 24"):
        removal.remove_heads(model, other.full)


def test_heads_that_the_model_lacks_are_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="no attention module 'encoder.7'"):
        shrink(build(), {"encoder.7": (0,)})
    with pytest.raises(ValueError, match=r"module cross.0 has heads \(0, 1, 2, 3\), asked to keep \(4,\)"):
        shrink(build(), {"cross.0": (4,)})
