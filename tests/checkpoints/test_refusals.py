"""Files that cannot be opened: the error tells what was found, what was expected, what to do."""

from __future__ import annotations

import os
import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from headprune.checkpoints import open_model
from tests.checkpoints.conftest import StockModel, in_old_form

State = dict[str, Any]
Stock = Callable[[str], StockModel]


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


class Surprise:
    """An object of a class that only its writer has."""


def architecture(name: str) -> Callable[[State], Any]:
    def change(state: State) -> State:
        state["cfg"]["model"].arch = name
        return state

    return change


def argument(**values: Any) -> Callable[[State], Any]:
    def change(state: State) -> State:
        vars(state["cfg"]["model"]).update(values)
        return state

    return change


def weight(name: str, tensor: torch.Tensor | None) -> Callable[[State], Any]:
    def change(state: State) -> State:
        if tensor is None:
            del state["model"][name]
        else:
            state["model"][name] = tensor
        return state

    return change


ROW = "encoder.layers.0.fc1.weight"
FILES: dict[str, tuple[Callable[[State], Any], str]] = {
    "a convolutional model": (
        architecture("fconv"),
        r"cannot be pruned: its architecture 'fconv' is of fairseq's family 'fconv'; known are all_attention_lm, .*",
    ),
    "a near miss": (
        architecture("transformer_iwslt_de_e"),
        r"unknown architecture 'transformer_iwslt_de_e'; did you mean 'transformer_iwslt_de_en'\?",
    ),
    "BASE layers": (argument(base_layers=2), r"trained with base_layers = 2 \(BASE layers, .*not known here"),
    "factors of heads": (argument(scale_heads=True), "trained with scale_heads = True"),
    "no architecture": (
        lambda state: {**state, "cfg": {"model": Namespace()}},
        "does not tell its architecture: there is no 'arch'",
    ),
    "one tensor": (lambda state: torch.ones(3), "is no checkpoint of fairseq: it holds one Tensor"),
    "weights alone": (
        lambda state: state["model"],
        r"it holds encoder.version, .*, …; expected 'model', with weights, and 'args' or 'cfg'",
    ),
    "nothing": (lambda state: {}, "it holds nothing; expected 'model'"),
    "no weights": (lambda state: {**state, "model": {}}, "expected 'model', with weights"),
    "another width": (weight(ROW, torch.ones(3, 16)), f"its weights do not fit its arguments: another shape of {ROW}"),
    "a missing weight": (weight(ROW, None), f"its weights do not fit its arguments: missing {ROW}"),
    "a further weight": (weight("encoder.what", torch.ones(2)), "do not fit its arguments: unexpected encoder.what"),
    "widths that heads do not divide": (argument(encoder_attention_heads=3), "its arguments make no model"),
    "an object": (lambda state: {**state, "extra_state": Surprise()}, "is refused: .*Surprise, whose code would run"),
}


@pytest.mark.parametrize("case", FILES)
def test_what_a_file_holds_is_told(state: State, tmp_path: Path, case: str) -> None:
    change, message = FILES[case]
    path = tmp_path / "model.pt"
    torch.save(change(state), path)
    with pytest.raises(ValueError, match=message) as error:
        open_model(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_is_named_and_never_run(state: State, tmp_path: Path, zipped: bool) -> None:
    path, ran = tmp_path / "model.pt", tmp_path / "ran"
    torch.save({**state, "args": Payload(ran)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"is refused: it holds more than tensors and plain data, posix\.mkdir"):
        open_model(path)
    assert not ran.exists()


@pytest.mark.parametrize("kept", [0, 1, 100, -2000])
def test_a_truncated_file(stock: Stock, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(stock("separate, pre-norm").checkpoint.read_bytes()[:kept])
    with pytest.raises(ValueError, match="model.pt is damaged, or no checkpoint at all"):
        open_model(path)


def test_text_and_folders_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_text("not a checkpoint\n", encoding="utf-8")
    with pytest.raises(ValueError, match="model.pt is damaged, or no checkpoint at all"):
        open_model(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="is a folder; name the checkpoint in it, such as .*checkpoint_best.pt"):
        open_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="none.pt"):
        open_model(tmp_path / "none.pt")


def changed_dictionary(stock: Stock, tmp_path: Path, change: Callable[[list[str]], list[str]]) -> tuple[Path, Path]:
    made = stock("separate, pre-norm")
    data = shutil.copytree(made.data, tmp_path / "data")
    words = data / "dict.xx.txt"
    lines = words.read_text(encoding="utf-8").splitlines()
    words.write_text("".join(f"{line}\n" for line in change(lines)), encoding="utf-8")
    return made.checkpoint, data


DICTIONARIES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "too long": (
        lambda lines: [*lines, "more 1"],
        r"dict.xx.txt has 21 words and 4 special ones, the embeddings of the encoder have 24 rows: .* its own data",
    ),
    "too short": (lambda lines: lines[1:], "dict.xx.txt has 19 words"),
    "no dictionary": (lambda lines: ["word"], "dict.xx.txt is no dictionary of fairseq, `word count` a line"),
}


@pytest.mark.parametrize("case", DICTIONARIES)
def test_another_dictionary(stock: Stock, tmp_path: Path, case: str) -> None:
    change, message = DICTIONARIES[case]
    with pytest.raises(ValueError, match=message):
        open_model(*changed_dictionary(stock, tmp_path, change))


def test_a_folder_without_dictionaries(state: State, stock: Stock, tmp_path: Path) -> None:
    (tmp_path / "dict.de.txt").write_text("a 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no data of two languages, .*; in it: dict.de.txt"):
        open_model(stock("separate, pre-norm").checkpoint, tmp_path)
    torch.save(in_old_form(state), tmp_path / "old.pt")
    with pytest.raises(FileNotFoundError, match=r"there is no dictionary .*dict.xx.txt; in its folder: dict.de.txt"):
        open_model(tmp_path / "old.pt", tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        open_model(tmp_path / "old.pt", tmp_path / "nowhere")
