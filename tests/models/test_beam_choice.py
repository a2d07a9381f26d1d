"""The choice of the way to search: fast where the model is known, fairseq's for all others and for whoever asks."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from fairseq.tasks.fairseq_task import FairseqTask
from model_families import language_model
from torch import nn

from headprune.gates import set_gates
from headprune.models.beam import BeamRules, FastBeamSearch, PlainBeamSearch, beam_search, unsupported

Build = Callable[..., Any]
Batch = dict[str, Any]
RULES = BeamRules(3, max_len_a=1.0, max_len_b=5)
ODD: dict[str, dict[str, Any]] = {
    "adaptive softmax": {"adaptive_softmax_cutoff": "10,20", "share_all_embeddings": False},
    "dropped layers": {"decoder_layerdrop": 0.5},
    "noise on weights": {"quant_noise_pq": 0.1},
    "source among the keys": {"cross_self_attention": True, "no_cross_attention": True},
    "scaled heads": {"scale_heads": True},
}


@pytest.fixture
def searched(dictionary: Dictionary) -> FairseqTask:
    """fairseq's way from a task to a generator, without a corpus."""
    task = FairseqTask(Namespace())
    task.__class__ = type("Searched", (FairseqTask,), {"target_dictionary": dictionary})
    return task


def agree(model: Any, task: Any, batch: Batch) -> None:
    """Both ways to search find the same."""
    ours, theirs = (beam_search(model, task, RULES, kind)(batch) for kind in ("fast", "fairseq"))
    assert [[h["tokens"].tolist() for h in own] for own in ours] == [[h["tokens"].tolist() for h in o] for o in theirs]


def test_a_transformer_is_searched_fast_unless_told_otherwise(
    build: Build, searched: FairseqTask, make_batch: Callable[..., Batch]
) -> None:
    for arguments in ({}, {"stock": True}, {"keep_heads": '{"encoder.0": [], "decoder.1": []}'}):
        model = build(**arguments)
        assert unsupported(model, RULES) is None
        assert isinstance(beam_search(model, searched, RULES), FastBeamSearch)
        assert isinstance(beam_search(model, searched, RULES, "fairseq"), PlainBeamSearch)
        agree(model, searched, make_batch(size=4))


@pytest.mark.parametrize("odd", ODD)
def test_odd_parts_are_left_to_fairseq(
    build: Build, searched: FairseqTask, make_batch: Callable[..., Batch], odd: str
) -> None:
    model = build(**ODD[odd])
    assert "not ordinary" in str(unsupported(model, RULES)) or "no plain" in str(unsupported(model, RULES))
    assert isinstance(beam_search(model, searched, RULES), PlainBeamSearch)
    agree(model, searched, make_batch(size=3))


class Biased(nn.Linear):
    """A projection of a kind of its own."""


class Renamed(TransformerModel):
    """A variety of fairseq's Transformer."""


def test_what_the_fast_way_does_not_know_is_named(build: Build, dictionary: Dictionary) -> None:
    assert "is no Transformer" in str(unsupported(language_model(dictionary), RULES))
    assert "dictionary of 86 words" in str(unsupported(build(), BeamRules(42)))
    assert "precision" in str(unsupported(build().half(), RULES))
    model = build()
    model.__class__ = Renamed
    assert "Renamed is no Transformer" in str(unsupported(model, RULES))
    model = build()
    model.decoder.layers[1].register_forward_hook(lambda *_: None)
    assert "hooks" in str(unsupported(model, RULES))
    model = build()
    model.make_generation_fast_(retain_dropout=True)
    assert "drops units" in str(unsupported(model, RULES))
    model = build()
    model.decoder.layers[0].self_attn.k_proj.__class__ = Biased
    assert "projection" in str(unsupported(model, RULES))


def test_gates_of_every_example_are_left_to_fairseq(build: Build) -> None:
    model = build()
    set_gates(model, torch.rand(5, 24))
    assert "every example" in str(unsupported(model, RULES))
    set_gates(model, torch.rand(24))
    assert unsupported(model, RULES) is None


def test_gates_between_0_and_1(build: Build, searched: FairseqTask, make_batch: Callable[..., Batch]) -> None:
    model = build(seed=4)
    set_gates(model, torch.rand(24, generator=torch.Generator().manual_seed(1)))
    agree(model, searched, make_batch(size=5))


def test_the_plain_way_leaves_the_model_as_it_was(
    build: Build, searched: FairseqTask, make_batch: Callable[..., Batch]
) -> None:
    model, batch = build(), make_batch(size=4)
    before = model(**batch["net_input"])[0]
    for kind in ("fast", "fairseq"):
        beam_search(model, searched, RULES, kind)(batch)
        assert torch.equal(model(**batch["net_input"])[0], before)
