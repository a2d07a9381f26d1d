"""Profiles with models from checkpoints that are refused when they are checked: key, value, rule; nothing has run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from headprune import removal
from headprune.checkpoints import open_model, outline_of
from headprune.config import load
from headprune.heads import HeadSpace
from tests.checkpoints.conftest import StockModel
from tests.checkpoints.own_profile import profile_of, run

Stock = Callable[[str], StockModel]
KIND = "separate, pre-norm"


def methods(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"methods": list(entries), "treatments": []}


def model(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The model of a profile with other keys; None: without one."""

    def change(profile: dict[str, Any]) -> dict[str, Any]:
        own = profile["models"]["stock"] | changes
        return {"models": {"stock": {key: value for key, value in own.items() if value is not None}}}

    return change


def data(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda profile: {"datasets": {"letters": profile["datasets"]["letters"] | changes}}


TRAINED = {"architecture": {"width": 16, "heads": 2}, "training": {"updates": 3}}
TUNING = {"tuning": {"trials": 2, "seeds": [9], "budgets": [4]}}
BAD: dict[str, tuple[Any, str]] = {
    "joint": (
        methods({"name": "dsp", "arm": "joint", "mode": "joint"}),
        r"methods\[0\].mode is 'joint', which trains model and gates from new weights; model 'stock' is given",
    ),
    "from scratch": (
        {"treatments": [{"name": "from_scratch", "of": ["magnitude"]}]},
        r"treatments\[0\].name is 'from_scratch', .* model 'stock' is given as a checkpoint",
    ),
    "gates without a training": (
        model(further_training=None),
        r"methods\[2\]: 'dsp.pipelined' trains, .*further_train",
    ),
    "no file": (model(checkpoint="/nowhere.pt"), r"models.stock.checkpoint: there is no checkpoint /nowhere.pt"),
    "training": (model(training={"updates": 3}), "training beside a checkpoint: the model is trained"),
    "architecture": (model(architecture={"width": 16}), "architecture beside a checkpoint: the checkpoint tells it"),
    "both": (model(checkpoints={1: "x.pt"}), "one of `checkpoint`, for every seed, and `checkpoints`"),
    "unknown key": (model(further_trainin={"updates": 3}), "unknown key 'further_trainin'; did you mean 'further_tr"),
    "other data": (data(data_bin="/nowhere"), r"models.stock.dataset: there is no folder /nowhere"),
    "no text there": (
        data(references={"valid": "/nowhere", "test": "/nowhere"}),
        "models.stock.dataset: references.valid: there is no file /nowhere",
    ),
    "a split that there is": (data(divide_valid={"test": 0.5}), "divide_valid.test: .* has a split 'test'; leave the"),
    "other text": (
        {"datasets": {"letters": {"corpus": "lohelp-de-en"}}},
        r"models.stock.dataset: it is of corpus lohelp-de-en, whose dictionary is made anew",
    ),
    "a trained model": (
        {"models": {"stock": {"dataset": "letters", "track": "mt_tokens", **TRAINED}}},
        "models.stock.checkpoint|architecture beside a checkpoint|one of `checkpoint`",
    ),
    "a trained model on binarised text": (
        {
            "models": {"stock": {"dataset": "letters", "track": "mt", **TRAINED}},
            "datasets": {"letters": {"data_bin": "/data", "references": {"valid": "v", "test": "t"}}},
        },
        "models.stock.dataset is 'letters', of data_bin /data: its models are given by `checkpoint`",
    ),
    "a classifier": (model(track="nli"), "checkpoint: a profile trains the models of this track; `headprune prune`"),
    "tuning": (
        TUNING,
        "tuning: model 'stock' is one `checkpoint` for every seed, so that trials would tune on what is",
    ),
    "no text": (data(track="mt"), "references: of no split; BLEU of text needs those of valid and test"),
    "all divided": (data(divide_valid={"train": 0.5, "test": 0.5}), "divide_valid: .* leaves nothing of valid"),
    "budget": ({"budgets": [13]}, r"budgets: budget 13 is outside 0…12, the heads of model 'stock'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused_at_once(stock: Stock, tmp_path: Path, case: str) -> None:
    change, message = BAD[case]
    profile = profile_of(stock(KIND), tmp_path / "results")
    with pytest.raises(ValueError, match=message):
        load(profile | (change(profile) if callable(change) else change))
    assert not (tmp_path / "results").exists()


def test_a_missing_split_is_refused(stock: Stock, tmp_path: Path) -> None:
    folder = shutil.copytree(stock(KIND).data, tmp_path / "data")
    for path in folder.glob("test.*"):
        path.unlink()
    made = StockModel(stock(KIND).checkpoint, folder)
    with pytest.raises(ValueError, match=r"dataset: .* no split 'test'; its splits: train, valid; `divide_valid: {t"):
        load(profile_of(made, tmp_path / "results"))
    load(profile_of(made, tmp_path, datasets={"letters": {"data_bin": str(folder), "divide_valid": {"test": 0.5}}}))


def test_another_dictionary_is_refused(stock: Stock, tmp_path: Path) -> None:
    other = shutil.copytree(stock(KIND).data, tmp_path / "data")
    words = (other / "dict.yy.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (other / "dict.yy.txt").write_text("".join(words[:-2]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"models.stock.checkpoint: .*dict.yy.txt has \d+ words .* the decoder have"):
        load(profile_of(StockModel(stock(KIND).checkpoint, other), tmp_path))


def test_a_pruned_model_is_refused_and_a_whole_one_of_ours_is_not(stock: Stock, tmp_path: Path) -> None:
    model = open_model(stock(KIND).checkpoint, stock(KIND).data).model
    removal.save(model, tmp_path / "whole.pt")
    assert outline_of(tmp_path / "whole.pt").heads == HeadSpace.of(model).names
    removal.save(removal.remove_heads(model, HeadSpace.of(model).keep(range(6))), tmp_path / "pruned.pt")
    with pytest.raises(ValueError, match="has 6 of 12 heads: it was pruned before"):
        load(profile_of(StockModel(tmp_path / "pruned.pt", stock(KIND).data), tmp_path / "results"))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"left_pad_source": False}, "was trained with left_pad_source = False; a profile reads data with True"),
        ({"source_lang": "yy", "target_lang": "xx"}, "translates yy-xx, the dataset xx-yy: give .* `languages: yy-xx`"),
    ],
    ids=["padding", "direction"],
)
def test_other_settings_of_the_task_are_refused(
    stock: Stock, tmp_path: Path, task: dict[str, Any], message: str
) -> None:
    state = torch.load(stock(KIND).checkpoint, weights_only=True)
    state["cfg"]["task"] |= task
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=f"models.stock.checkpoint: .* {message}"):
        load(profile_of(StockModel(tmp_path / "other.pt", stock(KIND).data), tmp_path / "results"))


def test_a_model_that_does_not_tell_its_languages_is_refused_for_the_other_direction(
    stock: Stock, tmp_path: Path
) -> None:
    """One set of files serves both directions; here their dictionaries have the same size, so that weights fit."""
    made = stock(KIND)
    removal.save(open_model(made.checkpoint, made.data).model, tmp_path / "whole.pt")
    entries = {"methods": [{"name": "unpruned"}], "treatments": [], "ablations": []}
    turned = {"letters": {"data_bin": str(made.data), "languages": "yy-xx"}}
    profile = profile_of(StockModel(tmp_path / "whole.pt", made.data), tmp_path / "results", datasets=turned, **entries)
    cells = pd.read_parquet(run(profile, without=("speed",)).folder / "cells.parquet")
    assert set(cells["status"]) == {"failed"}
    assert cells["reason"].str.contains("the dictionary of the encoder has .* that of the data .*, or others").all()
