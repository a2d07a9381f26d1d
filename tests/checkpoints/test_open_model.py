"""Models of stock fairseq, opened: what they compute, against fairseq's own loading and generator."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import headprune.models.compat  # noqa: F401

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.scoring.bleu import BleuConfig, Scorer

from headprune import removal
from headprune.checkpoints import open_model
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadSpace
from headprune.models import HeadpruneTransformer
from headprune.settings import Evaluation
from headprune.tasks.translation.data_bin import BinarisedCorpus, DataBin
from headprune.tasks.translation.evaluation import translate
from headprune.tasks.translation.reading import TextReading
from tests.checkpoints.conftest import KINDS, StockModel, in_old_form

Stock = Callable[[str], StockModel]
AS_GENERATE = {"max_len_a": 0.0, "max_len_b": 200}
HEADS = {"joined, post-norm": 12, "separate, pre-norm": 12, "separate, uneven": 14}
SYMMATH = Path(os.environ["HEADPRUNE_SYMMATH"]) if "HEADPRUNE_SYMMATH" in os.environ else None


def generated(checkpoint: Path, data: Path, beam: int, sentences: int | None = None) -> tuple[list[str], float]:
    """Hypotheses of fairseq's own task and generator, `@@` joined, and the BLEU of fairseq's own scorer."""
    overrides = {"data": str(data)}
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)], arg_overrides=overrides)
    model.eval()
    task.load_dataset("valid")
    arguments = Namespace(beam=beam, lenpen=1.0, max_len_a=0.0, max_len_b=200, min_len=1)
    generator, words = task.build_generator([model], arguments), task.target_dictionary
    scorer = Scorer(BleuConfig(pad=words.pad(), eos=words.eos(), unk=words.unk()))
    found = {}
    for batch in task.get_batch_iterator(task.datasets["valid"], max_sentences=16).next_epoch_itr(shuffle=False):
        for number, target, hypotheses in zip(
            batch["id"].tolist(), batch["target"], task.inference_step(generator, [model], batch), strict=True
        ):
            found[number] = words.string(hypotheses[0]["tokens"], "@@ ")
            scorer.add(target.int(), hypotheses[0]["tokens"].int())
    return [found[number] for number in range(len(found))], scorer.score()


@pytest.mark.parametrize("search", ["fast", "fairseq"])
@pytest.mark.parametrize("kind", KINDS)
def test_hypotheses_and_scores_are_those_of_stock_fairseq(stock: Stock, kind: str, search: str) -> None:
    made = stock(kind)
    opened = open_model(made.checkpoint, made.data)
    assert type(opened.model) is HeadpruneTransformer
    assert len(HeadSpace.of(opened.model)) == HEADS[kind]
    corpus = BinarisedCorpus(DataBin(made.data, ("xx", "yy"), TextReading("subword_nmt")))
    ours = translate(opened.model, corpus, "valid", Evaluation(beam=4, search=search, **AS_GENERATE))
    theirs, bleu = generated(made.checkpoint, made.data, beam=4)
    assert ours == theirs
    assert len(set(ours)) > 5  # it says more than one thing

    # fairseq scores the tokens, subwords not joined
    pieces = BinarisedCorpus(DataBin(made.data, ("xx", "yy")))
    lines = translate(opened.model, pieces, "valid", Evaluation(beam=4, search=search, **AS_GENERATE))
    assert pieces.scores(lines, "valid")["bleu_tokenized"].value == pytest.approx(bleu, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_logits_are_those_of_stock_fairseq(stock: Stock, kind: str) -> None:
    made = stock(kind)
    model = open_model(made.checkpoint, made.data).model
    (theirs,), *_ = checkpoint_utils.load_model_ensemble_and_task([str(made.checkpoint)])
    own, expected = model.state_dict(), theirs.state_dict()
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[name], expected[name]) for name in own)
    batch = BinarisedCorpus(DataBin(made.data, ("xx", "yy"))).batches("valid", 4000, range(20))[0]
    with torch.no_grad():
        assert torch.equal(model(**batch["net_input"])[0], theirs.eval()(**batch["net_input"])[0])


def test_the_old_form_opens_with_its_numpy_numbers(state: dict[str, Any], stock: Stock, tmp_path: Path) -> None:
    torch.save(in_old_form(state), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    opened = open_model(tmp_path / "old.pt", stock("separate, pre-norm").data)
    assert opened.description.form == "args"
    assert opened.description.updates == 7
    assert opened.description.pair == ("xx", "yy")
    assert opened.description.flag("left_pad_source", False)
    expected = open_model(stock("separate, pre-norm").checkpoint).model.state_dict()
    own = opened.model.state_dict()
    assert all(torch.equal(own[name], expected[name]) for name in expected)


def in_one(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Queries, keys and values of a module in one tensor, and the output under its old name: fairseq before 0.8."""
    old = {name: tensor for name, tensor in weights.items() if not any(f".{part}_proj." in name for part in "qkv")}
    for name in (name for name in weights if ".q_proj." in name):
        parts = [weights[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
        old[name.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
    old["decoder.embed_out"] = old.pop("decoder.output_projection.weight")
    return old


class AverageMeter:
    """The class of fairseq 0.9 that checkpoints held objects of; it is gone."""

    def __init__(self) -> None:
        self.val, self.sum = 1.0, 2.0


def test_names_and_objects_of_old_fairseq(state: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(AverageMeter, "__module__", "fairseq.meters")
    monkeypatch.setitem(sys.modules, "fairseq.meters", SimpleNamespace(AverageMeter=AverageMeter))
    old = in_old_form(state | {"model": in_one(state["model"])})
    old["extra_state"]["train_meters"] = {"train_loss": AverageMeter()}
    torch.save(old, tmp_path / "old.pt")
    model = open_model(tmp_path / "old.pt").model
    assert all(torch.equal(value, state["model"][name]) for name, value in model.state_dict().items())


def test_nothing_of_where_it_was_trained_is_needed(state: dict[str, Any], tmp_path: Path) -> None:
    """Paths of embeddings on another machine, and what trainings save memory with, are left out."""
    vars(state["cfg"]["model"]).update(encoder_embed_path="/elsewhere/vectors.txt", checkpoint_activations=True)
    torch.save(state, tmp_path / "model.pt")
    model = open_model(tmp_path / "model.pt").model
    assert len(HeadSpace.of(model)) == 12


def test_nested_configurations_are_read(state: dict[str, Any], tmp_path: Path) -> None:
    """Hydra writes them so, without a namespace."""
    flat = vars(state["cfg"]["model"])
    nested: dict[str, Any] = {"_name": "transformer", "encoder": {}, "decoder": {}}
    for key, value in flat.items():
        part, _, rest = key.partition("_")
        (nested[part] if part in ("encoder", "decoder") else nested)[rest or key] = value
        nested.pop("arch", None)
    kept = {key: flat[key] for key in ("share_all_embeddings", "share_decoder_input_output_embed", "activation_fn")}
    state["cfg"]["model"] = {"_name": "transformer", "encoder": nested["encoder"], "decoder": nested["decoder"]} | kept
    torch.save(state, tmp_path / "model.pt")
    model = open_model(tmp_path / "model.pt").model
    assert all(torch.equal(value, state["model"][name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_masked_equals_removed_and_comes_back(stock: Stock, kind: str, tmp_path: Path, random_mask: Any) -> None:
    made = stock(kind)
    model = open_model(made.checkpoint, made.data).model
    batch = BinarisedCorpus(DataBin(made.data, ("xx", "yy"))).batches("valid", 4000, range(20))[0]
    mask = random_mask(HeadSpace.of(model), 5)
    pruned = removal.remove_heads(model, mask)
    removal.save(pruned, tmp_path / "pruned.pt")
    again = open_model(tmp_path / "pruned.pt").model
    set_mask(model, mask)
    with torch.no_grad():
        masked, removed, loaded = (each(**batch["net_input"])[0] for each in (model, pruned, again))
    clear_mask(model)
    assert (masked - removed).abs().max() < 1e-5
    assert torch.equal(removed, loaded)


@pytest.mark.skipif(SYMMATH is None, reason="HEADPRUNE_SYMMATH names no folder with the checkpoint of a third party")
def test_a_checkpoint_of_a_third_party() -> None:
    assert SYMMATH is not None
    opened = open_model(SYMMATH / "checkpoint_best.pt", SYMMATH / "data-bin")
    assert opened.description.updates == 2890
    assert len(HeadSpace.of(opened.model)) == 48
    corpus = BinarisedCorpus(DataBin(SYMMATH / "data-bin", ("sym", "math")))
    (theirs,), _, _ = checkpoint_utils.load_model_ensemble_and_task(
        [str(SYMMATH / "checkpoint_best.pt")], arg_overrides={"data": str(SYMMATH / "data-bin")}
    )
    batch = corpus.batches("valid", 4000, range(20))[0]
    with torch.no_grad():
        own, expected = (each.eval()(**batch["net_input"])[0] for each in (opened.model, theirs))
    assert torch.equal(own, expected)
