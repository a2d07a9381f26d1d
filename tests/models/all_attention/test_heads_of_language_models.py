"""Gates, probes and masks, removal and its checkpoints, costs: All-Attention is a gate point like all others."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from naive_all_attention import NaiveAllAttention
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from headprune import cost, removal
from headprune.gates import clear_mask, set_gates, set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.importance import example_losses, gate_gradients, head_importance
from headprune.method import OutputProjection
from headprune.models import AllAttentionLanguageModel
from headprune.scoring.attention_maps import head_means, largest_weight, normalised_entropy
from headprune.scoring.masked_losses import masked_losses, spread_examples
from headprune.scoring.reconstruction import context_moments, rescaled_gates, scale_heads
from tests.found import Found, rows

BuildLM = Callable[..., Any]
Stream = Callable[..., Tensor]
Read = Callable[..., Tensor]
RandomMask = Callable[..., HeadMask]
Batches = list[dict[str, Any]]

ADAPTIVE = {"adaptive_cutoff": "12,24", "adaptive_factor": 2.0}
KINDS = {
    "all-attention": {},
    "transformer-xl": {"persistent": 0, "ffn_dim": 20},
    "tied, final norm": {"share_embeddings": True, "final_norm": True},
    "adaptive": ADAPTIVE,
}
kinds = pytest.mark.parametrize("arguments", KINDS.values(), ids=KINDS.keys())
PAPER = {"all-attention": {}, "transformer-xl": {"persistent": 0, "ffn_dim": 2048}}


def masks(space: HeadSpace, random_mask: RandomMask) -> list[HeadMask]:
    """K = 0…12 at random; one head in the whole model; every layer empty in turn."""
    chosen = [random_mask(space, kept, seed=kept) for kept in range(13)] + [space.keep([5])]
    chosen += [space.keep(i for i, head in enumerate(space) if head.layer != layer) for layer in range(3)]
    return chosen


# gates


def test_heads_are_named_after_the_decoder(build_lm: BuildLM) -> None:
    assert HeadSpace.of(build_lm()).names == tuple(f"decoder.{layer}.{head}" for layer in range(3) for head in range(4))


def test_a_mask_of_ones_changes_no_bit(build_lm: BuildLM, stream: Stream, read: Read) -> None:
    model, tokens = build_lm(), stream(12)
    expected = read(model, tokens, 5)
    set_mask(model, HeadSpace.of(model).full)
    assert torch.equal(read(model, tokens, 5), expected)


def test_a_gate_multiplies_the_heads_columns_of_the_projection(build_lm: BuildLM, stream: Stream, read: Read) -> None:
    """Tolerance 1e-5."""
    model, tokens = build_lm(), stream(12)
    gates = torch.linspace(-0.5, 1.5, 12)
    set_gates(model, gates)
    found = read(model, tokens, 5)
    clear_mask(model)
    with torch.no_grad():
        for point, own in zip(attention_points(model), gates.split(4), strict=True):
            point.module.out_proj.weight *= own.repeat_interleave(4)
    torch.testing.assert_close(found, read(model, tokens, 5), rtol=0, atol=1e-5)


def test_every_example_can_have_gates_of_its_own(build_lm: BuildLM, stream: Stream, read: Read) -> None:
    """(batch, N) gates against one row after the other; 1e-5."""
    model, tokens = build_lm(), stream(12, rows=3)
    gates = torch.rand(3, 12, generator=torch.Generator().manual_seed(1))
    set_gates(model, gates)
    together = read(model, tokens, 5)
    for row in range(3):
        set_gates(model, gates[row])
        alone = read(model, tokens[row : row + 1], 5)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


@kinds
def test_importance_is_the_derivative_in_the_gate(
    build_lm: BuildLM, segments: Batches, exact_softmax: None, arguments: dict[str, Any]
) -> None:
    """The `signed` estimator on a segment that follows no other, by central differences in float64; relative 1e-5.

    The losses of an adaptive softmax come in single precision: wider steps, relative 1e-2.
    """
    model = build_lm(**arguments).double()
    step, tolerance = (1e-2, 1e-2) if arguments == ADAPTIVE else (1e-5, 1e-5)
    for head in range(12):
        found, losses = head_importance(model, segments[:1], "signed"), []
        for sign in (1, -1):
            gates = torch.ones(12, dtype=torch.float64)
            gates[head] += sign * step
            set_gates(model, gates)
            with torch.no_grad():
                losses.append(example_losses(model, segments[0]).mean().item())
        clear_mask(model)
        assert found[head].item() == pytest.approx(
            (losses[0] - losses[1]) / (2 * step), rel=tolerance, abs=tolerance / 100
        )


def test_probes_have_a_derivative_for_every_position_and_row(build_lm: BuildLM, segments: Batches) -> None:
    assert [tuple(gradient.shape) for gradient in gate_gradients(build_lm(), segments[0])] == [(5, 2, 4)] * 3


def test_attention_statistics_see_context_and_persistent_vectors(build_lm: BuildLM, segments: Batches) -> None:
    """Heads made to look nowhere in particular: 1 / (7 + 5) of everything they see, an entropy of one."""
    model = build_lm()
    with torch.no_grad():
        for point in attention_points(model):
            point.module.q_proj.weight.zero_()
            point.module.content_bias.zero_()
            point.module.position_bias.zero_()
    weights, entropies = (head_means(model, segments, statistic) for statistic in (largest_weight, normalised_entropy))
    torch.testing.assert_close(weights, torch.full((12,), 1 / 12, dtype=torch.float64), rtol=1e-5, atol=0)
    torch.testing.assert_close(entropies, torch.ones(12, dtype=torch.float64), rtol=1e-5, atol=0)


# memory


def one_by_one(model: Any, batches: Batches, chosen: Tensor) -> Tensor:
    """Nats per token of whole passes over the segments, a mask after the other, each from an empty memory."""
    found = []
    for mask in chosen:
        set_gates(model, mask)
        model.decoder.forget()
        with torch.no_grad():
            total = sum(example_losses(model, batch).double().sum() for batch in batches)
        found.append(total / sum(batch["target"].numel() for batch in batches))
    clear_mask(model)
    return torch.stack(found)


def begun(batches: Batches, *starts: bool | None) -> Batches:
    """The segments with these values of `start`; None: without one."""
    return [
        batch
        | {"net_input": {"src_tokens": batch["net_input"]["src_tokens"]} | ({} if start is None else {"start": start})}
        for batch, start in zip(batches, starts, strict=True)
    ]


@rows(
    Found("a stream in passes of two masks", 0.095, 0.0, "mask by mask", ((True, False, False), 20)),
    Found("a stream, a mask at a time", 0.095, 0.0, "mask by mask", ((True, False, False), 1)),
    Found("a stream in one pass", 0.0, 0.0, "mask by mask", ((True, False, False), 4096)),
    Found("a stream without its beginning", 0.095, 0.0, "mask by mask", ((False, False, False), 20)),
    Found("a stream that says nothing of its beginning", 0.095, 0.0, "mask by mask", ((None, None, None), 20)),
    Found("two streams", 0.095, 0.0, "mask by mask", ((True, False, True), 20)),
)
def test_every_mask_has_its_own_memory(build_lm: BuildLM, segments: Batches, found: Found) -> None:
    """Largest difference 1e-5; the model comes with a memory of its own, and goes without one."""
    starts, positions = found.case
    model, batches = build_lm(), begun(segments, *starts)
    chosen = torch.rand(7, 12, generator=torch.Generator().manual_seed(1)).round()
    expected = one_by_one(model, batches, chosen)
    assert expected.max() - expected.min() > 0.1
    losses = masked_losses(model, iter(batches), chosen, positions=positions)
    assert (losses - expected).abs().max().item() == pytest.approx(found.right, abs=1e-5)
    assert torch.equal(masked_losses(model, batches, chosen, positions=positions), losses)


def test_scores_of_a_stream_do_not_depend_on_what_was_read_before(build_lm: BuildLM, segments: Batches) -> None:
    model, batches = build_lm(), begun(segments, False, False, False)
    for score in (head_importance, lambda *of: head_means(*of, largest_weight)):
        first = score(model, batches)
        assert torch.equal(score(model, batches), first)
    first = context_moments(model, batches)["decoder.2"].mean
    assert torch.equal(context_moments(model, batches)["decoder.2"].mean, first)


def test_what_would_mix_memories_is_refused(build_lm: BuildLM, segments: Batches) -> None:
    with pytest.raises(ValueError, match="`start` is False. cannot be thinned to 2 examples"):
        spread_examples(segments, 2)
    with pytest.raises(ValueError, match="cannot be rescaled on batches that go on from one another"):
        rescaled_gates(build_lm(), HeadSpace.of(build_lm()).keep([0]), segments)
    assert spread_examples(segments, 0) == segments
    assert len(spread_examples(begun(segments, True, True, True), 2)) == 2


# removal


@kinds
def test_removed_equals_masked(
    build_lm: BuildLM, stream: Stream, read: Read, random_mask: RandomMask, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    """Also saved and loaded, with a memory from before; largest difference 1e-6 of outputs of the order of one."""
    model, tokens = build_lm(**arguments), stream(12)
    for mask in masks(HeadSpace.of(model), random_mask):
        pruned = removal.remove_heads(model, mask)
        removal.save(pruned, tmp_path / "pruned.pt")
        loaded = removal.load(tmp_path / "pruned.pt")
        set_mask(model, mask)
        expected = read(model, tokens, 5)
        scale = max(1.0, expected.abs().max().item())
        torch.testing.assert_close(read(pruned, tokens, 5), expected, rtol=0, atol=1e-6 * scale)
        assert torch.equal(read(loaded, tokens, 5), read(pruned, tokens, 5))
        assert HeadSpace.of(loaded).names == mask.names() if mask.count else not HeadSpace.of(loaded).names
        assert cost.parameters(loaded) == cost.parameters(pruned)


def test_removal_in_the_middle_of_a_stream(build_lm: BuildLM, stream: Stream) -> None:
    """Remembered keys and values have the old heads; hidden states go on: what a masked model gives, to 1e-5."""
    model, tokens = build_lm(), stream(5)
    mask = HeadSpace.of(model).keep([1, 2, 5, 11])
    with torch.no_grad():
        model(tokens, start=True)
        pruned = removal.remove_heads(model, mask)
        set_mask(model, mask)
        torch.testing.assert_close(pruned(tokens)[0], model(tokens)[0], rtol=0, atol=1e-5)


def test_what_a_head_takes_along(build_lm: BuildLM, random_mask: RandomMask) -> None:
    """5·d·d_h + 2·N·d_h + 2·d_h a head; an emptied module keeps b_O."""
    model = build_lm()
    head = 5 * 16 * 4 + 2 * 5 * 4 + 2 * 4
    for mask in masks(HeadSpace.of(model), random_mask):
        pruned = removal.remove_heads(model, mask)
        assert cost.parameters(model) - cost.parameters(pruned) == (12 - mask.count) * head
        for point in attention_points(pruned):
            own = sum(parameter.numel() for parameter in point.module.parameters())
            assert own == mask.per_module()[point.name] * head + 16


@kinds
def test_a_regrown_model_under_the_mask_is_the_pruned_one(
    build_lm: BuildLM, stream: Stream, read: Read, random_mask: RandomMask, arguments: dict[str, Any]
) -> None:
    model, tokens = build_lm(**arguments), stream(12)
    for mask in masks(HeadSpace.of(model), random_mask):
        pruned = removal.remove_heads(model, mask)
        whole = removal.regrown(pruned)
        set_mask(whole, mask)
        expected = read(pruned, tokens, 5)
        scale = max(1.0, expected.abs().max().item())
        torch.testing.assert_close(read(whole, tokens, 5), expected, rtol=0, atol=1e-6 * scale)
        again = removal.remove_heads(whole, mask).state_dict()
        assert all(torch.equal(value, again[key]) for key, value in pruned.state_dict().items())


def test_a_scale_of_the_outputs_is_folded_into_the_projection(build_lm: BuildLM, stream: Stream, read: Read) -> None:
    """κ = H / kept in the gates of a masked model, or in the output projection of a pruned one; 1e-6."""
    model, tokens = build_lm(), stream(12)
    space = HeadSpace.of(model)
    mask = space.keep([0, 3, 4, 5, 6, 7, 9])
    kept = mask.per_module()
    gates = torch.tensor(mask.keep) * torch.tensor([4 / kept[head.module] for head in space])
    outputs = scale_heads(model, gates.double())
    pruned = removal.remove_heads(removal.reconstructed(model, outputs), mask)
    set_gates(model, gates)
    expected = read(model, tokens, 5)
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(read(pruned, tokens, 5), expected, rtol=0, atol=1e-6 * scale)


def test_new_output_projections_are_taken(build_lm: BuildLM) -> None:
    model = build_lm()
    new = OutputProjection(torch.randn(16, 16), torch.randn(16))
    changed = removal.reconstructed(model, {"decoder.1": new}).decoder.layers[1].self_attn.out_proj
    assert torch.equal(changed.weight, new.weight)
    assert torch.equal(changed.bias, new.bias)


def test_reconstruction_reads_the_contexts(build_lm: BuildLM, segments: Batches) -> None:
    """Moments over all positions; a head that is the double of another is made up for by a scale of two."""
    model = build_lm(layers=1)
    moments = context_moments(model, segments)
    assert moments["decoder.0"].count == 2 * 13
    attention = model.decoder.layers[0].self_attn
    with torch.no_grad():
        for name, dim in attention.head_tensors.items():
            blocks = dict(attention.named_parameters())[name].unflatten(dim, (4, -1))
            blocks.select(dim, 1).copy_(blocks.select(dim, 0).clone())
    mask = HeadSpace.of(model).keep([0, 2, 3])
    tokens = torch.cat([batch["net_input"]["src_tokens"] for batch in segments], dim=1)
    whole = {"net_input": {"src_tokens": tokens, "start": True}, "target": tokens}
    gates = rescaled_gates(model, mask, [whole])
    torch.testing.assert_close(gates, torch.tensor([2.0, 0, 1, 1], dtype=torch.float64), rtol=1e-3, atol=1e-3)


def test_training_goes_on_after_removal(build_lm: BuildLM, segments: Batches) -> None:
    model = build_lm()
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([0, 1, 5, 9])).train()
    example_losses(pruned, segments[0]).sum().backward()
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in pruned.parameters())


def test_an_unknown_architecture_is_refused(build_lm: BuildLM, tmp_path: Path) -> None:
    removal.save(build_lm(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    state["cfg"]["model"]["arch"] = "lstm"
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="architecture 'lstm'; available: headprune_transformer, all_attention_lm"):
        removal.load(tmp_path / "model.pt")


# costs


@pytest.fixture(scope="module")
def paper(task: Namespace) -> dict[str, Any]:
    """16 layers of 8 heads, d = 512, N or F = 2048, without memory for its weights."""
    with torch.device("meta"):
        build = AllAttentionLanguageModel.build_model
        return {name: build(Namespace(**arguments), task) for name, arguments in PAPER.items()}


def test_parameters_at_paper_size(paper: dict[str, Any]) -> None:
    """54,566,912: 426,112 a head and 24,576 that stay; the table of distances, 262,144, is an embedding."""
    model = paper["all-attention"]
    assert cost.parameters(model, embeddings=False) == 54_566_912
    pruned = copy.deepcopy(model)
    removal.shrink(pruned, {"decoder.3": (0, 1, 2, 4, 5, 6, 7)})
    assert cost.parameters(model) - cost.parameters(pruned) == 426_112
    removal.shrink(pruned, {f"decoder.{layer}": () for layer in range(16)})
    assert cost.parameters(pruned, embeddings=False) == 24_576
    assert cost.parameters(model) == 54_566_912 + 262_144 + 2 * 44 * 512 + 44
    assert 54_566_912 == 16 * (8 * (5 * 512 * 64 + 2 * 2048 * 64 + 2 * 64) + 3 * 512)


def test_transformer_xl_of_equal_cost(paper: dict[str, Any]) -> None:
    """With F = N it has the same matrices, and 16·(F + d + 2·d) more in biases and its second layer norm."""
    ours, other = paper["all-attention"], paper["transformer-xl"]
    surplus = cost.parameters(other) - cost.parameters(ours)
    assert surplus == 16 * (2048 + 512 + 2 * 512)
    for tokens, cached in ((192, False), (192, True), (1, True)):
        assert cost.segment_macs(ours, tokens, cached) == cost.segment_macs(other, tokens, cached)


@pytest.mark.parametrize("name", PAPER)
def test_multiplications_at_paper_size(paper: dict[str, Any], name: str) -> None:
    model = paper[name]
    assert cost.segment_macs(model, 192, output=False) == 16 * 192 * 4_259_840
    assert cost.segment_macs(model, 1, cached=True, output=False) == 16 * 3_442_176
    assert cost.segment_macs(model, 192) - cost.segment_macs(model, 192, output=False) == 192 * 512 * 44


def test_multiplications_fall_in_proportion_to_heads(paper: dict[str, Any]) -> None:
    """532,480 a head, token and layer; in a Transformer-XL 270,336, and the feed-forward layer stays."""
    for name, head, rest in (("all-attention", 532_480, 0), ("transformer-xl", 270_336, 2_097_152)):
        for kept in (0, 1, 4, 7):
            pruned = copy.deepcopy(paper[name])
            removal.shrink(pruned, {f"decoder.{layer}": tuple(range(kept)) for layer in range(16)})
            assert cost.segment_macs(pruned, 192, output=False) == 16 * 192 * (kept * head + rest)


@kinds
@pytest.mark.parametrize("kept", [0, 5, 12])
def test_multiplications_are_what_torch_counts(
    build_lm: BuildLM, stream: Stream, random_mask: RandomMask, arguments: dict[str, Any], kept: int
) -> None:
    """In the naive computation, which has all scores; less W_R ρ, which is counted out, and the words' projections."""
    model = build_lm(**arguments).requires_grad_(False)
    pruned = removal.remove_heads(model, random_mask(HeadSpace.of(model), kept))
    positions = 0
    for point in attention_points(pruned):
        if point.indices:
            point.module.__class__ = NaiveAllAttention
            positions += 11 * point.module.r_proj.weight.numel()  # tgt + memory rows
    tokens = stream(5, 1)
    with FlopCounterMode(display=False) as whole:
        hidden = pruned(tokens, start=True, features_only=True)[0]
        if arguments == ADAPTIVE:
            pruned.decoder.adaptive_softmax.head(hidden)
        else:
            pruned.output_layer(hidden)
    with FlopCounterMode(display=False) as embedding:
        pruned.decoder.embed_tokens(tokens)
    counted = (whole.get_total_flops() - embedding.get_total_flops()) // 2
    assert cost.segment_macs(pruned, 5) == counted - positions


def test_nothing_of_an_adaptive_model_is_uninitialised(build_lm: BuildLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """fairseq makes a buffer of whatever the memory holds."""
    monkeypatch.setattr(torch, "FloatTensor", lambda *sizes: torch.full(sizes, torch.nan))
    state = build_lm(**ADAPTIVE).state_dict()
    assert any(name.endswith("_float_tensor") for name in state)
    assert all(torch.isfinite(value).all() for value in state.values())


def test_adaptive_tables_and_projections_are_embeddings(build_lm: BuildLM) -> None:
    plain, adaptive = build_lm(), build_lm(**ADAPTIVE)
    assert cost.parameters(adaptive, embeddings=False) == cost.parameters(plain, embeddings=False)
