"""Moments of contexts against numpy, example by example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary
from model_families import classifier, for_classifier, for_language_model, language_model
from reconstructing import MODULES, stacked, watched
from torch import Tensor

from headprune.gates import set_gates
from headprune.heads import attention_points
from headprune.scoring.reconstruction import (
    context_moments,
    contexts,
)

Build = Callable[..., Any]
Batch = dict[str, Any]


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=8) for seed in (1, 2)]


def test_moments_are_those_of_single_examples(
    build: Build, batches: list[Batch], rebatch: Callable[..., list[Batch]]
) -> None:
    """Batches of one example hold no padding: every position counts. numpy, relative 1e-5 in float32 forward passes."""
    model = build()
    singles = [one for batch in batches for one in rebatch(batch, 1)]
    with watched(model) as (ins, _):
        for one in singles:
            model(**one["net_input"])
    for extra in (0, 3):  # columns of padding more on both sides
        padded = [one for batch in batches for one in rebatch(batch, 5, extra)]
        moments = context_moments(model, padded)
        assert list(moments) == MODULES
        for name, rows in stacked(ins).items():
            assert moments[name].count == len(rows)
            assert moments[name].second.dtype == torch.float64
            np.testing.assert_allclose(moments[name].mean, rows.mean(0), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(moments[name].second, rows.T @ rows / len(rows), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(moments[name].variance, rows.var(0), rtol=1e-4, atol=1e-6)
    words = sum(int(batch["net_input"]["src_lengths"].sum()) for batch in batches)
    targets = sum(batch["ntokens"] for batch in batches)
    assert {name: moment.count for name, moment in moments.items()} == {
        name: words if name.startswith("encoder") else targets for name in MODULES
    }


def test_contexts_come_in_the_order_of_the_forward_pass(build: Build, batches: list[Batch]) -> None:
    found = contexts(build(), batches[0])
    assert list(found) == ["encoder.0", "encoder.1", "decoder.0", "cross.0", "decoder.1", "cross.1"]


def test_moments_see_the_gates_that_are_set(build: Build, batches: list[Batch]) -> None:
    model = build()
    plain = context_moments(model, batches)["encoder.0"]  # its input depends on no gate
    gates = torch.ones(24)
    gates[0], gates[2] = 0, 0.5
    set_gates(model, gates)
    factors = torch.tensor([0, 1, 0.5, 1], dtype=torch.float64).repeat_interleave(8)
    gated = context_moments(model, batches)["encoder.0"]
    torch.testing.assert_close(gated.mean, factors * plain.mean, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(gated.second, factors.outer(factors) * plain.second, rtol=1e-6, atol=1e-9)
    assert torch.equal(model.encoder.layers[0].self_attn.out_proj.gate, gates[:4])
    per_example = torch.ones(8, 24)
    per_example[3:] = 0
    set_gates(model, per_example)
    rows = contexts(model, batches[0])["encoder.0"]
    words = int(batches[0]["net_input"]["src_lengths"][:3].sum())
    assert int(rows.ne(0).any(1).sum()) == words


def test_observing_leaves_the_stock_model_also_after_errors(
    build: Build, batches: list[Batch], logits: Callable[[Any, Batch], Tensor], unchanged: Callable[[Any], Any]
) -> None:
    model = build()
    with unchanged(model):
        context_moments(model, batches)
        broken = {**batches[0], "net_input": {**batches[0]["net_input"], "prev_output_tokens": torch.ones(8, 0)}}
        with pytest.raises(Exception):  # noqa: B017
            context_moments(model, [broken])
    assert torch.equal(logits(model, batches[0]), logits(build(stock=True), batches[0]))
    assert not any(point.module.out_proj._forward_pre_hooks for point in attention_points(model))
    with pytest.raises(ValueError, match="at least one position"):
        context_moments(model, [])
    model.train()
    context_moments(model, batches)
    assert model.training


def test_positions_that_are_not_the_batchs_are_refused(build: Build, batches: list[Batch]) -> None:
    wrong = {**batches[0], "target": torch.zeros(3, dtype=torch.long)}
    wrong["net_input"] = {**wrong["net_input"], "src_tokens": batches[0]["net_input"]["src_tokens"]}
    model = build()
    model.encoder.forward = lambda src_tokens, **_: type(model.encoder).forward(model.encoder, src_tokens[:, 1:])
    with pytest.raises(ValueError, match=r"encoder.0 has contexts for"):
        contexts(model, wrong)


def test_padding_does_not_count_in_other_families(dictionary: Dictionary, batches: list[Batch]) -> None:
    """A decoder alone counts the targets that are not padding; a classifier, whose targets are labels, the tokens."""
    found = context_moments(language_model(dictionary), [for_language_model(batches[0])])
    assert {name: m.count for name, m in found.items()} == dict.fromkeys(
        ["decoder.0", "decoder.1"], batches[0]["ntokens"]
    )
    words = int(batches[0]["net_input"]["src_lengths"].sum())
    found = context_moments(classifier(dictionary), [for_classifier(batches[0])])
    assert {name: m.count for name, m in found.items()} == dict.fromkeys(["encoder.0", "encoder.1"], words)
