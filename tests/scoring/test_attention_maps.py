"""Attention probabilities and their statistics, against loops over examples, queries and heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from model_families import FAMILIES, family
from torch import Tensor

from headprune.gates import set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.scoring.attention_maps import (
    AttentionMap,
    attention_maps,
    head_means,
    largest_weight,
    normalised_entropy,
)

PAD, EOS = 1, 2

Build = Callable[..., Any]
Batch = dict[str, Any]

__all__ = ["family"]  # a fixture


Row = tuple[int, np.ndarray, np.ndarray]  # head of the model, weights of the visible keys, which of them are words


def rows_by_hand(model: Any, batch: Batch) -> list[Row]:
    """A row for every real query of every head: softmax over the keys that are real and, in a decoder, not to come."""
    rows, start = [], 0
    net = batch["net_input"]
    source, target = net["src_tokens"], net.get("prev_output_tokens", net["src_tokens"])
    for point in attention_points(model):
        attention, given = point.module, {}
        hook = attention.register_forward_pre_hook(lambda _, a, k, g=given: g.update(k), with_kwargs=True)
        with torch.no_grad():
            model(**net)
        hook.remove()
        queries = source if point.type == "encoder" else target
        keys = target if point.type == "decoder" else source
        q, k = attention.q_proj(given["query"]), attention.k_proj(given["key"])
        for b in range(len(source)):
            for t in range(queries.shape[1]):
                if queries[b, t] == PAD:
                    continue
                last = t + 1 if point.type == "decoder" else keys.shape[1]
                seen = [s for s in range(last) if keys[b, s] != PAD]
                for h in range(attention.num_heads):
                    part = slice(h * attention.head_dim, (h + 1) * attention.head_dim)
                    scores = (k[seen, b, part] @ q[t, b, part]).detach().double().numpy() / math.sqrt(
                        attention.head_dim
                    )
                    weights = np.exp(scores - scores.max())
                    rows.append((start + h, weights / weights.sum(), (keys[b, seen] != EOS).numpy()))
        start += attention.num_heads
    return rows


def means_by_hand(model: Any, batches: list[Batch], statistic: Callable[[np.ndarray, np.ndarray], float | None]):
    found: list[list[float]] = [[] for _ in HeadSpace.of(model)]
    for batch in batches:
        for head, weights, words in rows_by_hand(model, batch):
            value = statistic(weights, words)
            if value is not None:
                found[head].append(value)
    return [float(np.mean(values)) for values in found]


def confidence_of(weights: np.ndarray, words: np.ndarray) -> float | None:
    return float(weights[words].max()) if words.any() else None


def entropy_of(weights: np.ndarray, words: np.ndarray) -> float | None:
    return float(scipy.stats.entropy(weights)) / math.log(len(weights)) if len(weights) > 1 else None


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
@pytest.mark.parametrize(("statistic", "by_hand"), [(largest_weight, confidence_of), (normalised_entropy, entropy_of)])
def test_means_equal_the_loop(family: tuple[Any, list[Batch]], statistic: Any, by_hand: Any) -> None:
    """numpy and scipy.stats.entropy; absolute 1e-6, the model being fp32."""
    model, batches = family
    found = head_means(model, batches, statistic)
    assert found.shape == (len(HeadSpace.of(model)),)
    np.testing.assert_allclose(found.numpy(), means_by_hand(model, batches, by_hand), rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_weights_are_distributions_over_real_keys(family: tuple[Any, list[Batch]]) -> None:
    model, batches = family
    for map in attention_maps(model, batches[1]):
        mass = map.weights.sum(-1).transpose(1, 2)[map.queries]
        torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-6)
        assert map.point.type != "decoder" or not map.weights.triu(1).any()


def make_uniform(model: Any) -> None:
    """All queries 0: every visible key gets the same weight."""
    with torch.no_grad():
        for point in attention_points(model):
            point.module.q_proj.weight.zero_()
            point.module.q_proj.bias.zero_()


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_uniform_attention_has_entropy_one(family: tuple[Any, list[Batch]]) -> None:
    model, batches = family
    make_uniform(model)
    found = head_means(model, batches, normalised_entropy)
    torch.testing.assert_close(found, torch.ones_like(found), rtol=0, atol=1e-6)


def test_confidence_of_uniform_attention(build: Build, batches: list[Batch]) -> None:
    """1 / n for n visible keys. Decoder: query t sees t + 1, and the first of them, the end symbol, is no word."""
    model = build()
    make_uniform(model)
    found = head_means(model, batches, largest_weight).view(6, 4)
    sources = torch.cat([batch["net_input"]["src_tokens"].ne(PAD).sum(1) for batch in batches])
    targets = torch.cat([batch["target"].ne(PAD).sum(1) for batch in batches])
    decoder = [1 / (t + 1) for n in targets.tolist() for t in range(1, n)]
    expected = [1 / (sources.sum() / len(sources)), sum(targets / sources) / targets.sum(), sum(decoder) / len(decoder)]
    for type_, value in enumerate(expected):
        torch.testing.assert_close(
            found[2 * type_ : 2 * type_ + 2], torch.full((2, 4), value).double(), rtol=0, atol=1e-6
        )


def test_a_head_that_looks_at_one_word_is_certain(build: Build) -> None:
    """Counted by hand: one query sees three keys and picks the second; another sees one key; a third is padding."""
    weights = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    weights[0, 0, 0, 1] = 1
    weights[0, 1, 0] = torch.tensor([0.25, 0.25, 0.5])
    weights[0, :, 1, 0] = weights[0, :, 2, 2] = 1
    point = attention_points(build())[0]
    map = AttentionMap(point, weights, torch.tensor([[True, True, False]]), torch.tensor([[False, False, True]]))
    values, defined = largest_weight(map)
    assert values[0, :, 0].tolist() == [1, 0.25]
    assert defined.tolist() == [[True, True, False]]
    values, defined = normalised_entropy(map)
    assert values[0, :, 0].tolist() == pytest.approx([0, 1.5 * math.log(2) / math.log(3)])
    assert defined.tolist() == [[True, False, False]]


@pytest.mark.parametrize("statistic", [largest_weight, normalised_entropy])
def test_batching_and_padding_do_not_matter(
    build: Build, make_batch: Callable[..., Batch], rebatch: Callable[..., list[Batch]], statistic: Any
) -> None:
    model, batch = build(), make_batch(seed=1, size=6)
    one, two, three = (
        head_means(model, rebatch(batch, size, extra), statistic) for size, extra in ((6, 0), (1, 0), (4, 3))
    )
    torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
    torch.testing.assert_close(one, three, rtol=0, atol=1e-6)


def test_the_model_is_left_as_it_was(
    build: Build, batches: list[Batch], logits: Callable[[Any, Batch], Tensor], unchanged: Callable[[Any], Any]
) -> None:
    model = build().train()
    with unchanged(model):
        in_training = head_means(model, batches, largest_weight)
    torch.testing.assert_close(in_training, head_means(build(), batches, largest_weight))
    assert torch.equal(logits(model.eval(), batches[0]), logits(build(stock=True), batches[0]))
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_hooks_go_when_the_pass_fails(build: Build, batches: list[Batch]) -> None:
    model, broken = build(), {"net_input": {**batches[0]["net_input"], "nonsense": 1}}
    with pytest.raises(TypeError, match="nonsense"):
        head_means(model, [broken], largest_weight)
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert not any(point.module.skip_embed_dim_check for point in attention_points(model))


def test_a_mask_stays_in_force(
    build: Build, batches: list[Batch], random_mask: Callable[..., HeadMask], logits: Callable[[Any, Batch], Tensor]
) -> None:
    model = build()
    set_mask(model, random_mask(HeadSpace.of(model), 9))
    before = logits(model, batches[0])
    masked = head_means(model, batches, normalised_entropy)
    assert torch.equal(logits(model, batches[0]), before)
    assert not torch.allclose(masked, head_means(build(), batches, normalised_entropy), atol=1e-4)


def test_what_cannot_be_measured_is_refused(build: Build, batches: list[Batch]) -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        head_means(build(), [], largest_weight)
    model = build()
    del model.encoder.layers[1].self_attn.dropout_module
    with pytest.raises(ValueError, match=r"encoder\.1.*no `dropout_module`"):
        attention_maps(model, batches[0])
