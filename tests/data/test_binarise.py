from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from headprune.data.binarise import binarise, contained_logging
from headprune.data.splits import SPLITS


@pytest.fixture
def pieces(tmp_path: Path) -> Path:
    folder = tmp_path / "pieces"
    folder.mkdir()
    for split in SPLITS:
        (folder / f"{split}.de").write_text("▁b ▁b ▁c\n▁b\n" if split == "train" else "▁b ▁rare\n")
        (folder / f"{split}.en").write_text("▁a ▁a ▁c ▁a ▁a\n▁b\n" if split == "train" else "▁a\n")
    return folder


def symbols(folder: Path, language: str) -> list[str]:
    lines = (folder / f"dict.{language}.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("madeupword")]


def test_joined_dictionary_counts_both_sides_of_train_only(pieces: Path, tmp_path: Path) -> None:
    binarise(pieces, tmp_path / "bin", "de", "en", joined=True)
    assert symbols(tmp_path / "bin", "de") == symbols(tmp_path / "bin", "en") == ["▁a 4", "▁b 4", "▁c 2"]


def test_separate_dictionaries(pieces: Path, tmp_path: Path) -> None:
    binarise(pieces, tmp_path / "bin", "de", "en", joined=False)
    assert symbols(tmp_path / "bin", "de") == ["▁b 3", "▁c 1"]
    assert symbols(tmp_path / "bin", "en") == ["▁a 4", "▁b 1", "▁c 1"]


def test_logging_is_left_alone(pieces: Path, tmp_path: Path) -> None:
    root, logger = logging.getLogger(), logging.getLogger("fairseq_cli.preprocess")
    before = list(root.handlers), root.level, list(logger.handlers)
    binarise(pieces, tmp_path / "bin", "de", "en", joined=True)
    assert (list(root.handlers), root.level, list(logger.handlers)) == before
    assert not (tmp_path / "bin" / "preprocess.log").exists()


def test_an_import_inside_cannot_configure_the_root_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with contained_logging():
        logging.basicConfig(level=root.level + 1)  # what fairseq's modules do
    assert not root.handlers


def test_importing_the_package_imports_neither_torch_nor_fairseq() -> None:
    code = "import sys, headprune.data; assert not {'torch', 'fairseq', 'sentencepiece'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
