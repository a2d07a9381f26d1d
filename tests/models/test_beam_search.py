"""The fast beam search against fairseq's generator: same hypotheses, same scores, on models of every shape."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import headprune.models.compat  # noqa: F401

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.sequence_generator import SequenceGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadSpace
from headprune.models.beam import BeamRules, FastBeamSearch, memory, search
from headprune.removal import remove_heads

Build = Callable[..., Any]
Batch = dict[str, Any]
Mask = Callable[..., Any]
PRUNED = '{"encoder.0": [], "encoder.1": [1, 2], "cross.0": [3], "cross.1": [], "decoder.0": [0, 2], "decoder.1": []}'
VARIANTS: dict[str, dict[str, Any]] = {
    "post-norm": {},
    "pre-norm": {"pre_norm": True},
    "stock class": {"stock": True},
    "gelu": {"activation_fn": "gelu"},
    "own embeddings": {"share_all_embeddings": False},
    "target embeddings": {"share_all_embeddings": False, "share_decoder_input_output_embed": True},
    "norm of embeddings": {"layernorm_embedding": True},
    "learned positions": {"encoder_learned_pos": True, "decoder_learned_pos": True},
    "no positions": {"no_token_positional_embeddings": True},
    "no cross-attention": {"no_cross_attention": True},
    "no final norm": {"pre_norm": True, "no_decoder_final_norm": True},
    "narrow encoder": {"encoder_embed_dim": 16, "share_all_embeddings": False},
    "dropout, not in evaluation": {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.1},
    "pruned": {"keep_heads": PRUNED},
    "pruned, pre-norm": {"keep_heads": PRUNED, "pre_norm": True},
    "one layer": {"encoder_layers": 1, "decoder_layers": 1},
}


def willing(model: Any, seed: int, scale: float = 1.0) -> Any:
    """The model with another weight for the end of a sentence, so that its hypotheses differ in length."""
    projection, generator = model.decoder.output_projection, torch.Generator().manual_seed(seed)
    weight = projection.weight.detach().clone()
    weight[model.decoder.dictionary.eos()] = scale * torch.randn(weight.shape[1], generator=generator).to(weight)
    projection.weight = torch.nn.Parameter(weight)
    return model


def stock(model: Any, words: Dictionary, rules: BeamRules, batch: Batch) -> Any:
    """The hypotheses of fairseq's own generator."""
    generator = SequenceGenerator(
        [model],
        words,
        beam_size=rules.beam,
        max_len_a=rules.max_len_a,
        max_len_b=rules.max_len_b,
        min_len=rules.min_len,
        len_penalty=rules.length_penalty,
    )
    return generator.generate([model], batch)


def compare(found: Any, expected: Any, tolerance: float) -> set[int]:
    """Checks that all tokens are the same and all scores within the tolerance.

    :returns: the lengths that there are
    """
    assert [len(each) for each in found] == [len(each) for each in expected]
    lengths = set()
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one["tokens"].tolist() == other["tokens"].tolist()
            assert float(one["score"]) == pytest.approx(float(other["score"]), abs=tolerance)
            torch.testing.assert_close(
                one["positional_scores"], other["positional_scores"], atol=tolerance, rtol=0, check_dtype=False
            )
            lengths.add(len(one["tokens"]))
    return lengths


@pytest.mark.parametrize("variant", VARIANTS)
def test_hypotheses_are_fairseqs_in_double_precision(
    build: Build, make_batch: Callable[..., Batch], dictionary: Dictionary, exact_softmax: None, variant: str
) -> None:
    """Tokens the same, scores within 1e-9; some end early, some at their longest."""
    model = build(seed=5, **VARIANTS[variant]).double()
    rules = BeamRules(4, max_len_a=1.0, max_len_b=7)
    lengths = set()
    for seed in range(6):
        willing(model, seed)
        batch = make_batch(seed=seed, size=7)
        lengths |= compare(FastBeamSearch(model, rules)(batch), stock(model, dictionary, rules, batch), 1e-9)
    assert len(lengths) > 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1000),
    pre_norm=st.booleans(),
    layers=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    heads=st.sampled_from([1, 2, 4]),
    beam=st.integers(1, 5),
    length_penalty=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    longest=st.tuples(st.sampled_from([0.0, 0.7, 1.5]), st.integers(1, 12)),
    min_len=st.integers(0, 3),
    size=st.integers(1, 6),
    scale=st.floats(0, 1.5),
    kept=st.floats(0, 1),
    masked=st.booleans(),
    slots=st.integers(1, 70),
    rows=st.integers(1, 40),
)
def test_random_models_and_rules(
    build: Build,
    make_batch: Callable[..., Batch],
    dictionary: Dictionary,
    random_mask: Mask,
    exact_softmax: None,
    seed: int,
    pre_norm: bool,
    layers: tuple[int, int],
    heads: int,
    beam: int,
    length_penalty: float,
    longest: tuple[float, int],
    min_len: int,
    size: int,
    scale: float,
    kept: float,
    masked: bool,
    slots: int,
    rows: int,
) -> None:
    """Masked or removed heads, memory that is full again and again, batches that are split: tokens the same, scores
    within 1e-9."""
    counts = {"encoder_layers": layers[0], "decoder_layers": layers[1]}
    counts |= {"encoder_attention_heads": heads, "decoder_attention_heads": heads}
    model = willing(build(seed=seed, pre_norm=pre_norm, **counts).double(), seed, scale)
    mask = random_mask(HeadSpace.of(model), round(kept * len(HeadSpace.of(model))), seed)
    if masked:
        set_mask(model, mask)
    else:
        model = remove_heads(model, mask)
    rules = BeamRules(beam, length_penalty, *longest, min(min_len, longest[1]))
    batch = make_batch(seed=seed, size=size, longest=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "MORE_SLOTS", slots)
        patch.setattr(search, "ROWS", rows)
        found = FastBeamSearch(model, rules)(batch)
    compare(found, stock(model, dictionary, rules, batch), 1e-9)


def test_single_precision(build: Build, make_batch: Callable[..., Batch], dictionary: Dictionary) -> None:
    """Tokens the same, scores within 1e-4."""
    rules = BeamRules(5, max_len_a=1.2, max_len_b=10)
    for seed in range(5):
        model, batch = willing(build(seed=seed, pre_norm=seed % 2 == 0), seed), make_batch(seed=seed, size=9)
        compare(FastBeamSearch(model, rules)(batch), stock(model, dictionary, rules, batch), 1e-4)


def test_masked_and_removed_agree(build: Build, make_batch: Callable[..., Batch], random_mask: Mask) -> None:
    """Within 1e-12 in float64."""
    model, batch, rules = willing(build(seed=3).double(), 3), make_batch(size=6), BeamRules(3, max_len_b=12)
    whole = FastBeamSearch(model, rules)(batch)
    mask = random_mask(HeadSpace.of(model), 9)
    removed = FastBeamSearch(remove_heads(model, mask), rules)(batch)
    set_mask(model, mask)
    compare(FastBeamSearch(model, rules)(batch), removed, 1e-12)
    clear_mask(model)
    compare(FastBeamSearch(model, rules)(batch), whole, 0)
    assert [float(each[0]["score"]) for each in whole] != [float(each[0]["score"]) for each in removed]


def test_forced_lengths(build: Build, make_batch: Callable[..., Batch], dictionary: Dictionary) -> None:
    """Measurements of speed have them: no hypothesis ends before the last step, all do there."""
    model, batch, rules = build(), make_batch(size=4), BeamRules(5, max_len_b=9, min_len=9)
    found = FastBeamSearch(model, rules)(batch)
    assert compare(found, stock(model, dictionary, rules, batch), 1e-4) == {10}


def test_empty_hypotheses(build: Build, make_batch: Callable[..., Batch], dictionary: Dictionary) -> None:
    """No word but the end: one hypothesis instead of three."""
    model, batch, rules = build(), make_batch(size=4), BeamRules(3, max_len_b=0, min_len=0)
    found = FastBeamSearch(model, rules)(batch)
    assert compare(found, stock(model, dictionary, rules, batch), 1e-4) == {1}
    assert [len(each) for each in found] == [1] * 4


def test_targets_are_not_looked_at(build: Build, make_batch: Callable[..., Batch]) -> None:
    model, batch, rules = build(), make_batch(size=4), BeamRules(2, max_len_b=9)
    source = {"net_input": {"src_tokens": batch["net_input"]["src_tokens"]}}
    compare(FastBeamSearch(model, rules)(source), FastBeamSearch(model, rules)(batch), 0)


def test_right_padded_sources(
    build: Build, make_batch: Callable[..., Batch], dictionary: Dictionary, exact_softmax: None
) -> None:
    model, batch, rules = build().double(), make_batch(size=6), BeamRules(3, max_len_a=1.0)
    tokens = batch["net_input"]["src_tokens"]
    order = tokens.eq(dictionary.pad()).to(torch.uint8).argsort(dim=1, stable=True)
    batch["net_input"]["src_tokens"] = tokens.gather(1, order)
    compare(FastBeamSearch(model, rules)(batch), stock(model, dictionary, rules, batch), 1e-9)


def test_a_length_that_no_hypothesis_can_have(build: Build, make_batch: Callable[..., Batch]) -> None:
    with pytest.raises(ValueError, match="min_len 9 is above the longest length, 5"):
        FastBeamSearch(build(), BeamRules(max_len_b=5, min_len=9))(make_batch())


def test_a_model_that_is_not_finite(build: Build, make_batch: Callable[..., Batch], task: Namespace) -> None:
    """fairseq's generator stops there, too, with an assertion."""
    model = build()
    torch.nn.init.constant_(model.decoder.layers[0].fc1.weight, float("nan"))
    for longest in (0, 5):
        with pytest.raises(ValueError, match="not finite"):
            FastBeamSearch(model, BeamRules(max_len_b=longest, min_len=0))(make_batch())
