"""fairseq's RoBERTa with gates: stock where nothing is asked for, and masked equals removed under both of its heads."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.models.roberta import RobertaModel
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from model_families import for_roberta, noisy, roberta
from torch.utils.flop_counter import FlopCounterMode

from headprune import cost, removal
from headprune.gates import clear_mask, set_gates, set_mask
from headprune.heads import HeadSpace
from headprune.models import native
from headprune.models.lean import applies
from headprune.models.roberta import HEAD

TOLERANCE = 1e-5  # fp32
# What is asked of a model, and the shape of what it gives for 3 sentences of at most 7 tokens.
ASKED: dict[str, dict[str, Any]] = {
    "the classification head": {},
    "the classification head by name": {"features_only": True, "classification_head_name": HEAD},
    "features": {"features_only": True},
    "masked tokens": {"masked_tokens": torch.ones(3, 7, dtype=torch.bool).tril()},
}
PRE_NORM = {"encoder_normalize_before": True, "layernorm_embedding": False}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0}


@pytest.fixture
def inputs(batches: list[dict[str, Any]]) -> dict[str, Any]:
    net = for_roberta(batches[0])["net_input"]
    return {
        **net,
        "src_tokens": torch.nn.functional.pad(net["src_tokens"], (0, 7 - net["src_tokens"].shape[1]), value=1),
    }


def stock(words: Dictionary, **arguments: Any) -> Any:
    """fairseq's own model with the weights of `roberta`."""
    torch.manual_seed(1)
    sizes = {"encoder_embed_dim": 16, "encoder_ffn_embed_dim": 24, "encoder_layers": 2, "encoder_attention_heads": 4}
    task = Namespace(source_dictionary=words, target_dictionary=words)
    model = RobertaModel.build_model(Namespace(**sizes, max_positions=64, **arguments), task)
    model.register_classification_head(HEAD, 3)
    return noisy(model)


@pytest.mark.parametrize("arguments", [{}, PRE_NORM, {"dropout": 0.3, "attention_dropout": 0.2}], ids=str)
@pytest.mark.parametrize("asked", ["the classification head", "masked tokens"])
def test_the_lean_way_trains_the_same_within_1e_10(
    dictionary: Dictionary,
    inputs: Any,
    asked: str,
    arguments: dict[str, Any],
    exact_softmax: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outputs and gradients in double precision, with gates in the way; of one seed, and without dropout in C, the same
    masks of dropout."""
    monkeypatch.setattr(native.dropout, "available", lambda x: False)
    found = []
    for lean in (True, False):
        model = (
            roberta(dictionary, lean=lean, **{"dropout": 0.0, "attention_dropout": 0.0} | arguments).double().train()
        )
        assert applies(model.encoder.sentence_encoder) is lean
        set_gates(model, torch.linspace(0, 1, 8, dtype=torch.float64))
        torch.manual_seed(5)
        output = model(**inputs, **ASKED[asked])[0]
        output.square().sum().backward()
        found.append([output, *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10 * float(found[1][0].square().sum()))


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_without_gates_it_is_stock_fairseq_bit_for_bit(dictionary: Dictionary, inputs: Any, asked: Any) -> None:
    ours, theirs = roberta(dictionary), stock(dictionary)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    expected = theirs(**inputs, **(asked or ASKED["the classification head by name"]))[0]
    assert torch.equal(ours(**inputs, **asked)[0], expected)


@pytest.mark.parametrize("arguments", [{}, PRE_NORM], ids=["post-norm", "pre-norm"])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_masked_equals_removed_under_both_heads(
    dictionary: Dictionary, inputs: Any, asked: Any, arguments: Any, random_mask: Any
) -> None:
    model = roberta(dictionary, **arguments)
    space = HeadSpace.of(model)
    for mask in (
        space.keep([]),
        space.keep([4]),
        space.full,
        *(random_mask(space, kept, kept) for kept in range(2, 8)),
    ):
        pruned = removal.remove_heads(model, mask)
        set_mask(model, mask)
        found, expected = (each(**inputs, **asked)[0] for each in (pruned, model))
        torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
        clear_mask(model)


def test_gates_change_the_output(dictionary: Dictionary, inputs: Any) -> None:
    """The plain path calls every gate: none of eight is without effect."""
    model = roberta(dictionary)
    whole = model(**inputs)[0]
    for mask in HeadSpace.of(model).drop_one():
        set_mask(model, mask)
        assert (model(**inputs)[0] - whole).abs().max() > 1e-4


def test_the_head_space_is_of_encoder_modules(dictionary: Dictionary) -> None:
    assert HeadSpace.of(roberta(dictionary)).names == tuple(f"encoder.{i}.{h}" for i in range(2) for h in range(4))


@pytest.mark.parametrize("kept", [[], [0, 1, 6], list(range(8))])
@pytest.mark.parametrize("arguments", [{}, PRE_NORM | {"untie_weights_roberta": True}], ids=["tied", "untied"])
def test_checkpoints_are_a_round_trip(
    dictionary: Dictionary, inputs: Any, tmp_path: Path, kept: list[int], arguments: Any
) -> None:
    model = roberta(dictionary, **arguments)
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep(kept))
    removal.save(pruned, tmp_path / "model.pt")
    loaded = removal.load(tmp_path / "model.pt")
    for asked in ASKED.values():
        assert torch.equal(loaded(**inputs, **asked)[0], pruned(**inputs, **asked)[0])
    assert HeadSpace.of(loaded) == HeadSpace.of(pruned)
    regrown = removal.regrown(loaded)
    set_mask(regrown, HeadSpace.of(model).keep(kept))
    torch.testing.assert_close(regrown(**inputs)[0], pruned(**inputs)[0], rtol=0, atol=TOLERANCE)


def test_fairseq_reads_a_pruned_checkpoint(inputs: Any, tmp_path: Path) -> None:
    """With its own task, which needs to be told the folder of the data alone."""
    entries = "".join(f"w{number} 1\n" for number in range(40))
    for name, content in (("input0", entries), ("label", "no 1\nyes 1\nperhaps 1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dict.txt").write_text(content, encoding="utf-8")
    words = SentencePredictionTask.load_dictionary(str(tmp_path / "input0" / "dict.txt"))
    model = roberta(words)
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep([1, 2, 7]))
    removal.save(pruned, tmp_path / "model.pt")
    path, told = [str(tmp_path / "model.pt")], {"data": str(tmp_path)}
    (loaded,), _, task = checkpoint_utils.load_model_ensemble_and_task(path, told)
    assert torch.equal(loaded.eval()(**inputs)[0], pruned(**inputs)[0])
    assert (task.cfg.num_classes, task.max_positions()) == (3, 64)


@pytest.mark.parametrize("kept", [range(8), [0, 5, 6], [4, 5], []])
def test_multiply_accumulates_are_those_of_torch(dictionary: Dictionary, kept: Any) -> None:
    """One example of nine tokens, on the path whose products the counter knows; it counts FLOPs, two each."""
    model = roberta(dictionary)
    pruned = removal.remove_heads(model, HeadSpace.of(model).keep(kept)).requires_grad_(False)
    if len(kept):
        set_gates(pruned, torch.ones(len(kept)))
    with FlopCounterMode(display=False) as counter:
        pruned(torch.full((1, 9), 5))
    assert counter.get_total_flops() == 2 * cost.macs(pruned, 9, 1)


def test_what_predicts_masked_words_is_of_the_embeddings(dictionary: Dictionary) -> None:
    """Left are two layers (4 · d² + 4 · d, 2 · d · F + F + d, two norms), the norm of the embeddings and the head."""
    d, f = 16, 24
    layer = 4 * d * d + 4 * d + 2 * d * f + f + d + 4 * d
    head = d * d + d + 3 * d + 3
    assert cost.parameters(roberta(dictionary), embeddings=False) == 2 * layer + 2 * d + head
