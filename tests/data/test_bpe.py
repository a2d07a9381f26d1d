"""Byte-pair codes of other people: hand-worked words, and subword-nmt's own command with its own files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from headprune.data.bpe import encoder, pieces_of

# The merges of figure 1 of Sennrich, Haddow and Birch 2016: `low`, `lowest`, `newer`, `wider`.
PAPER = "r </w>\nl o\nlo w\ne r</w>\n"
TEXT = "the lowest of the low\na wider river\nnewer  newest\nunseen wörds\n" * 3


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def command(*words: str | Path, text: str = "") -> str:
    """The output of subword-nmt."""
    done = subprocess.run(["subword-nmt", *map(str, words)], input=text, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_words_of_the_paper(tmp_path: Path) -> None:
    """`lower`, which nobody has seen, is `low` and `er`; without a version the end of a word is a piece."""
    cut = encoder(written(tmp_path / "codes", PAPER)).segment
    assert [cut("lower  low"), cut(""), cut("wider r")] == ["low@@ er low", "", "w@@ i@@ d@@ er r"]


def test_since_version_0_2_and_in_fastbpe_the_end_belongs_to_the_last_letter(tmp_path: Path) -> None:
    versioned = encoder(written(tmp_path / "codes", "#version: 0.2\nl o\nlo w</w>\ne r</w>\n"))
    counted = encoder(written(tmp_path / "fast", "l o 120\nlo w</w> 90\ne r</w> 90\n"))
    assert versioned.segment("low lower") == counted.segment("low lower") == "low lo@@ w@@ er"


@pytest.mark.parametrize("threshold", [None, 4])
def test_pieces_that_a_vocabulary_lacks_are_cut_again(tmp_path: Path, threshold: int | None) -> None:
    """Codes and vocabulary that subword-nmt learned, and what its command makes of them."""
    codes = written(tmp_path / "codes", command("learn-bpe", "-s", "30", text=TEXT))
    pieces = command("apply-bpe", "-c", codes, text=TEXT)
    vocabulary = written(tmp_path / "vocabulary", command("get-vocab", text=pieces))
    words = ["apply-bpe", "-c", codes, "--vocabulary", vocabulary]
    words += [] if threshold is None else ["--vocabulary-threshold", str(threshold)]
    unseen = TEXT + "lowers newly riverbed wide\n"
    cut = encoder(codes, vocabulary, threshold).segment
    found = [cut(line) for line in unseen.splitlines()]
    assert found == command(*words, text=unseen).splitlines()
    assert found != command("apply-bpe", "-c", codes, text=unseen).splitlines()
    known = pieces_of(vocabulary, threshold)
    if threshold is None:
        assert set(pieces.split()) == known
    else:
        assert known < pieces_of(vocabulary)


@pytest.mark.parametrize("text", ["", "#version: 0.2\n", "a b c d\n", "#version: 0.2\na b\nlonely\n"])
def test_files_that_hold_no_codes(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"codes holds no codes|codes, line \d: must be two pieces"):
        encoder(written(tmp_path / "codes", text))


def test_a_file_that_holds_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"vocabulary, line 2: must be a piece and a number"):
        pieces_of(written(tmp_path / "vocabulary", "ab@@ 3\nlonely\n"))
