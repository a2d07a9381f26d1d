"""Tiny checkpoints that stock fairseq trained and wrote, with their data as fairseq-preprocess leaves them."""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headprune.models.compat as compat

import fairseq_cli.train
import numpy as np
import pytest
import torch

from headprune.data.binarise import binarise
from headprune.training.trainer import configuration

WORDS = [f"{one}{two}" for one in "abcdef" for two in ("o@@", "u", "i")]  # some of them go on in the next one
SIZES = {"encoder-embed-dim": 16, "decoder-embed-dim": 16, "encoder-ffn-embed-dim": 24, "decoder-ffn-embed-dim": 24}
SIZES |= {"encoder-layers": 2, "decoder-layers": 2, "encoder-attention-heads": 2, "decoder-attention-heads": 2}
UNEVEN = {"decoder-embed-dim": 24, "decoder-attention-heads": 3, "decoder-layers": 1, "encoder-attention-heads": 4}
PRE_NORM = ["--encoder-normalize-before", "--decoder-normalize-before"]

# Of every kind: its architecture, whether there is one dictionary, sizes, and further arguments.
KINDS: dict[str, tuple[str, bool, dict[str, int], list[str]]] = {
    "joined, post-norm": ("transformer_iwslt_de_en", True, {}, ["--share-all-embeddings"]),
    "separate, pre-norm": ("transformer", False, {}, PRE_NORM),
    "separate, uneven": ("transformer_wmt_en_de", False, UNEVEN, ["--share-decoder-input-output-embed"]),
}


@dataclass(frozen=True)
class StockModel:
    """The files that `fairseq-train` leaves."""

    checkpoint: Path
    data: Path


def write_pairs(folder: Path, sentences: int = 60) -> Path:
    """Runs of neighbours in `WORDS`, and the same with other letters: one word tells the next."""
    folder.mkdir()
    rng = random.Random(5)
    for split in ("train", "valid", "test"):
        starts = [rng.randrange(len(WORDS)) for _ in range(sentences)]
        lines = [[WORDS[(start + i) % len(WORDS)] for i in range(rng.randint(4, 9))] for start in starts]
        (folder / f"{split}.xx").write_text("".join(f"{' '.join(line)}\n" for line in lines), encoding="utf-8")
        turned = (" ".join(line).replace("a", "z") for line in lines)
        (folder / f"{split}.yy").write_text("".join(f"{line}\n" for line in turned), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text of both sides, `valid.xx` and so on."""
    return write_pairs(tmp_path_factory.mktemp("own") / "pieces")


@pytest.fixture(scope="session")
def stock(pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StockModel]:
    """`stock(kind)`: trained by stock fairseq for a few updates, once for all tests."""
    made: dict[str, StockModel] = {}

    def of(kind: str) -> StockModel:
        if kind not in made:
            made[kind] = _train(kind, pieces, tmp_path_factory.mktemp("stock"))
        return made[kind]

    return of


def _train(kind: str, pieces: Path, folder: Path) -> StockModel:
    architecture, joined, sizes, further = KINDS[kind]
    binarise(pieces, folder / "data-bin", "xx", "yy", joined)
    argv = [str(folder / "data-bin"), "--task", "translation", "--arch", architecture, "--max-tokens", "400"]
    argv += [f"--{name}={value}" for name, value in (SIZES | sizes).items()] + further
    argv += ["--optimizer", "adam", "--lr", "0.01", "--max-update", "50", "--dropout", "0", "--seed", "2"]
    argv += ["--criterion", "cross_entropy", "--num-workers", "0"]
    argv += ["--disable-validation", "--no-epoch-checkpoints", "--save-interval", "1000"]
    compat.reset_process_state()
    fairseq_cli.train.main(configuration([*argv, "--save-dir", str(folder / "checkpoints")]))
    return StockModel(folder / "checkpoints" / "checkpoint_last.pt", folder / "data-bin")


def in_old_form(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint as fairseq 0.9 wrote it: one namespace of all arguments, numbers of numpy among its scores."""
    arguments = vars(state["cfg"]["model"]) | {"task": "translation", "source_lang": "xx", "target_lang": "yy"}
    arguments["left_pad_source"] = "True"
    del arguments["_name"]
    extra = {"val_loss": np.float64(1.25), "history": np.arange(3.0), "train_iterator": {"epoch": 2}}
    history = [{"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {"best": np.float32(1)}}]
    history[0]["num_updates"] = 7
    kept = {"model": state["model"], "optimizer_history": history, "extra_state": extra}
    return {"args": Namespace(**arguments), **kept, "last_optimizer_state": {}}


@pytest.fixture
def state(stock: Callable[[str], StockModel]) -> dict[str, Any]:
    """The content of a checkpoint of stock fairseq, to be changed."""
    return torch.load(stock("separate, pre-norm").checkpoint, weights_only=True)  # type: ignore[no-any-return]
