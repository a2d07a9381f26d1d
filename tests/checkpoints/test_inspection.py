"""Checkpoints looked at: counts against torch's own, and what is said of those that cannot be pruned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from headprune import removal
from headprune.checkpoints import open_model
from headprune.cli.commands import app
from headprune.own import display
from headprune.own.inspection import inspect
from tests.checkpoints.conftest import KINDS, StockModel

Stock = Callable[[str], StockModel]


@pytest.mark.parametrize("kind", KINDS)
def test_parts_add_up_to_the_parameters(stock: Stock, kind: str) -> None:
    """Tables that are shared stand in the file twice and count once."""
    made = stock(kind)
    found = inspect(made.checkpoint, made.data)
    weights = torch.load(made.checkpoint, weights_only=True)["model"]
    own = {tensor.data_ptr(): tensor.numel() for name, tensor in weights.items() if "version" not in name}
    assert sum(found.parameters.values()) == sum(own.values())
    assert "others" not in found.parameters
    assert found.refusal == ""
    assert len(found.dictionaries) == 2


def test_heads_by_module(stock: Stock) -> None:
    found = inspect(stock("separate, uneven").checkpoint)
    assert found.heads == {"encoder.0": 4, "encoder.1": 4, "cross.0": 3, "decoder.0": 3}
    assert found.architecture == "transformer_wmt_en_de"
    assert found.updates == 50
    attention = 4 * (16 * 16 + 16)  # of one module of the encoder
    assert found.parameters["attention of the encoder"] == 2 * attention
    assert found.parameters["feed-forward layers"] == 2 * (2 * 16 * 24 + 24 + 16) + (2 * 24 * 24 + 24 + 24)


def test_what_cannot_be_pruned_is_counted_and_told(state: dict[str, Any], tmp_path: Path) -> None:
    state["cfg"]["model"].arch = "lstm"
    torch.save(state, tmp_path / "model.pt")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "model.pt"), "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["prunable"] is False
    assert "its architecture 'lstm' is of fairseq's family 'lstm'" in found["refusal"]
    assert found["parameters"]["feed-forward layers"] > 0


def test_the_data_of_a_model_saved_here_are_looked_at(stock: Stock, tmp_path: Path) -> None:
    """Its file holds its words: a folder with the same ones is its own, whatever their number in another."""
    made = stock("separate, pre-norm")
    removal.save(open_model(made.checkpoint, made.data).model, tmp_path / "own.pt")
    found = inspect(tmp_path / "own.pt", made.data)
    assert found.refusal == ""
    assert [Path(place).name for place in found.dictionaries] == ["dict.xx.txt", "dict.yy.txt"]
    turned = tmp_path / "turned"  # the same files, in names of the other direction, as one folder serves both
    turned.mkdir()
    for place in made.data.iterdir():
        shutil.copy(place, turned / place.name.replace("xx-yy", "yy-xx"))
    places = [Path(place) for place in inspect(tmp_path / "own.pt", turned).dictionaries]
    assert places == [turned / "dict.xx.txt", turned / "dict.yy.txt"]
    lone = tmp_path / "lone"  # dictionaries without data, which do not tell the direction
    lone.mkdir()
    for place in found.dictionaries:
        shutil.copy(place, lone)
    assert inspect(tmp_path / "own.pt", lone).refusal == ""
    words = (lone / "dict.yy.txt").read_text(encoding="utf-8").splitlines()
    (lone / "dict.yy.txt").write_text("\n".join([*words[1:], words[0]]) + "\n", encoding="utf-8")
    assert "its dictionary of the decoder has" in inspect(tmp_path / "own.pt", lone).refusal
    (tmp_path / "empty").mkdir()
    assert "there is no dictionary in" in inspect(tmp_path / "own.pt", tmp_path / "empty").refusal
    console = Console(width=80, record=True)
    display.inspection(console, found)
    assert "languages not told, updates not told" in console.export_text()


def test_the_picture(stock: Stock) -> None:
    console = Console(width=80, record=True)
    display.inspection(console, inspect(stock("joined, post-norm").checkpoint))
    text = console.export_text()
    assert "architecture transformer_iwslt_de_en, task translation" in text
    assert "cross: 4 heads in 2 modules (2 + 2)" in text
    assert "can be pruned: 12 heads" in text
