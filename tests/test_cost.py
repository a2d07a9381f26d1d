"""Counts against torch's own counter and tensors, times against numpy."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fairseq.models.transformer_lm import TransformerLanguageModel, base_lm_architecture
from torch.utils.flop_counter import FlopCounterMode

from headprune import cost
from headprune.gates import set_gates
from headprune.heads import HeadMask, HeadSpace
from headprune.models import AllAttentionLanguageModel
from headprune.removal import remove_heads
from tests.found import Found, rows

Build = Callable[..., Any]
SHAPES = {
    "base": {},
    "pre-norm": {"pre_norm": True},
    "untied": {"share_all_embeddings": False},
    "source among the keys": {"cross_self_attention": True},
    "source among the keys alone": {"cross_self_attention": True, "no_cross_attention": True},
    "no cross-attention": {"no_cross_attention": True},
    "other output width": {"share_all_embeddings": False, "decoder_output_dim": 20},
    "adaptive": {"share_all_embeddings": False, "adaptive_softmax_cutoff": "12,24", "adaptive_softmax_dropout": 0.0},
    "adaptive, projected": {
        "share_all_embeddings": False,
        "adaptive_softmax_cutoff": "12,24",
        "adaptive_softmax_dropout": 0.0,
        "decoder_output_dim": 20,
    },
    "uneven": {"encoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_embed_dim": 16},
}


def counted(model: Any, source: int, target: int) -> int:
    """Multiply-accumulates of one sentence pair by torch's counter, half its FLOPs.

    torch's fused attention kernel on the CPU is unknown to the counter, so all modules take fairseq's own path, as a
    model with gates does: the same products, as matrix products.
    """
    set_gates(model.requires_grad_(False), torch.ones(len(HeadSpace.of(model))))
    pair = torch.full((1, source), 5), torch.tensor([source]), torch.full((1, target), 6)
    with FlopCounterMode(display=False) as counter:
        output = model(*pair)[0]
        if model.decoder.adaptive_softmax is not None:  # for words that need no tail
            model.decoder.adaptive_softmax(output, pair[2])
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


@pytest.mark.parametrize(("source", "target"), [(7, 5), (1, 1), (3, 11)])
@pytest.mark.parametrize("arguments", SHAPES.values(), ids=SHAPES.keys())
def test_macs_of_whole_models_are_what_torch_counts(
    build: Build, arguments: dict[str, Any], source: int, target: int
) -> None:
    model = build(**arguments)
    assert cost.macs(model, source, target) == counted(model, source, target)


@pytest.mark.parametrize("kept", [0, 1, 7, 16, 23])
def test_macs_of_pruned_models_are_what_torch_counts(
    build: Build, random_mask: Callable[..., HeadMask], kept: int
) -> None:
    model = build()
    pruned = remove_heads(model, random_mask(HeadSpace.of(model), kept, seed=kept))
    assert cost.macs(pruned, 9, 6) == counted(pruned, 9, 6)


@pytest.mark.parametrize("kept", [0, 5, 15])
def test_macs_of_pruned_models_with_the_source_among_the_keys(
    build: Build, random_mask: Callable[..., HeadMask], kept: int
) -> None:
    model = build(cross_self_attention=True, no_cross_attention=True)
    pruned = remove_heads(model, random_mask(HeadSpace.of(model), kept, seed=kept))
    assert cost.macs(pruned, 9, 6) == counted(pruned, 9, 6)


@rows(
    Found("the source among the keys", 329_472, 374_400, "torch.utils.flop_counter", {"cross_self_attention": True}),
    Found("an adaptive softmax", 325_944, 322_752, "torch.utils.flop_counter", SHAPES["adaptive"]),
)
def test_macs_found_wrong(build: Build, found: Found) -> None:
    model = build(**found.case)
    assert cost.macs(model, 9, 7) == found.right == counted(model, 9, 7)


@pytest.mark.parametrize("tied", [True, False])
def test_macs_of_a_language_model_with_adaptive_input_and_softmax(task: Namespace, tied: bool) -> None:
    """Words of the first band cost what torch counts."""
    sizes = Namespace(
        decoder_embed_dim=32,
        decoder_input_dim=32,
        decoder_output_dim=32,
        decoder_ffn_embed_dim=24,
        decoder_layers=2,
        decoder_attention_heads=4,
        max_target_positions=64,
        tokens_per_sample=64,
        adaptive_input=True,
        adaptive_input_factor=2,
        adaptive_input_cutoff="12,24",
        adaptive_softmax_cutoff="12,24",
        adaptive_softmax_factor=2,
        tie_adaptive_weights=tied,
    )
    base_lm_architecture(sizes)
    model = TransformerLanguageModel.build_model(sizes, task).eval()
    tokens = torch.full((1, 9), 6)
    set_gates(model.requires_grad_(False), torch.ones(8))
    with FlopCounterMode(display=False) as counter:
        model.decoder.adaptive_softmax(model(tokens)[0], tokens)
    assert cost.macs(model, 0, 9) == counter.get_total_flops() // 2


def test_each_kind_of_model_has_its_own_count(build: Build, task: Namespace) -> None:
    with pytest.raises(ValueError, match="HeadpruneTransformer has no memory of segments: count with `macs`"):
        cost.segment_macs(build(), 8)
    sizes = Namespace(layers=1, width=16, heads=2, persistent=3, memory_length=4, max_relative=5)
    for arguments in (sizes, Namespace(**vars(sizes) | {"persistent": 0, "ffn_dim": 8})):
        model = AllAttentionLanguageModel.build_model(arguments, task)
        with pytest.raises(ValueError, match="AllAttentionLanguageModel reads segments.*`segment_macs`"):
            cost.macs(model, 8, 8)
        empty = remove_heads(model, HeadSpace.of(model).keep([]))
        with pytest.raises(ValueError, match="AllAttentionLanguageModel reads segments.*`segment_macs`"):
            cost.macs(empty, 8, 8)


@pytest.mark.parametrize(("kind", "queries", "keys"), [("encoder", 9, 9), ("cross", 6, 9), ("decoder", 6, 6)])
def test_macs_of_one_head(build: Build, kind: str, queries: int, keys: int) -> None:
    """Self-attention: 3·n·d·d_h + 2·n²·d_h + n·d_h·d; cross-attention has queries and keys of two lengths."""
    model = build()
    space = HeadSpace.of(model)
    position = space.names.index(f"{kind}.1.2")
    pruned = remove_heads(model, space.keep(set(range(24)) - {position}))
    d, d_h = 32, 8
    head = 2 * queries * d * d_h + 2 * keys * d * d_h + 2 * queries * keys * d_h
    if kind != "cross":
        assert head == 3 * queries * d * d_h + 2 * queries**2 * d_h + queries * d_h * d
    assert cost.macs(model, 9, 6) - cost.macs(pruned, 9, 6) == head


@pytest.mark.parametrize("arguments", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("kept", [0, 5, None])
def test_parameters_are_those_of_unique_tensors(
    build: Build, random_mask: Callable[..., HeadMask], arguments: dict[str, Any], kept: int | None
) -> None:
    model = build(**arguments)
    if kept is not None:
        model = remove_heads(model, random_mask(HeadSpace.of(model), kept))
    tensors = {p.data_ptr(): p.numel() for p in model.parameters()}
    assert cost.parameters(model) == sum(tensors.values())


def test_parameters_of_a_transformer_by_formula(build: Build) -> None:
    """d = 32, feed-forward 48, 44 symbols in one shared table; attention 4·(d² + d), feed-forward, layer norms."""
    attention, feed_forward, norm = 4 * (32 * 32 + 32), 2 * 32 * 48 + 32 + 48, 2 * 32
    encoder, decoder = attention + feed_forward + 2 * norm, 2 * attention + feed_forward + 3 * norm
    for pre_norm in (False, True):
        expected = 2 * (encoder + decoder) + (2 * norm if pre_norm else 0)
        model = build(pre_norm=pre_norm)
        assert cost.parameters(model, embeddings=False) == expected
        assert cost.parameters(model) == expected + 44 * 32


@pytest.mark.parametrize(
    ("arguments", "tables"),
    [
        ({}, 1),
        ({"share_all_embeddings": False}, 3),
        ({"share_all_embeddings": False, "share_decoder_input_output_embed": True}, 2),
    ],
)
def test_shared_embeddings_are_left_out_once(build: Build, arguments: dict[str, Any], tables: int) -> None:
    model = build(**arguments)
    assert cost.parameters(model) - cost.parameters(model, embeddings=False) == tables * 44 * 32


def test_learned_positions_are_embeddings(build: Build) -> None:
    model = build(encoder_learned_pos=True, max_source_positions=64)
    assert cost.parameters(model, embeddings=False) == cost.parameters(build(), embeddings=False)


@pytest.mark.parametrize(
    "values", [[3.0], [1.0, 2.0], [5.0, 1.0, 4.0, 2.0, 3.0], list(np.random.default_rng(0).random(8))]
)
def test_timing_holds_median_and_quartiles(values: list[float]) -> None:
    timing = cost.Timing.of(values)
    expected = np.percentile(values, [50, 25, 75])
    assert (timing.median, timing.q25, timing.q75) == tuple(expected)
    assert all(type(value) is float for value in (timing.median, timing.q25, timing.q75))
