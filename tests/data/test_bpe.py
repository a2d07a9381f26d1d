"""Byte-pair codes of other people: hand-worked words, and merges made by hand, the first that fits each time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.data.bpe import END, Codes, apply

# The merges of figure 1 of Sennrich, Haddow and Birch 2016: `low`, `lowest`, `newer`, `wider`.
PAPER = "r </w>\nl o\nlo w\ne r</w>\n"
WORDS = st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=12)


def codes(folder: Path, text: str) -> Codes:
    (folder / "codes").write_text(text, encoding="utf-8")
    return Codes.read(folder / "codes")


def test_the_words_of_the_paper(tmp_path: Path) -> None:
    """`lower`, which nobody has seen, is `low` and `er`; without a version the end of a word is a piece."""
    found = codes(tmp_path, PAPER)
    assert not found.joined
    assert apply(found, ["lower  low", "", "wider r"]) == ["low@@ er low", "", "w@@ i@@ d@@ er r"]


def test_since_version_0_2_and_in_fastbpe_the_end_belongs_to_the_last_letter(tmp_path: Path) -> None:
    versioned = codes(tmp_path, "#version: 0.2\nl o\nlo w</w>\ne r</w>\n")
    counted = codes(tmp_path, "l o 120\nlo w</w> 90\ne r</w> 90\n")
    assert versioned == counted
    assert apply(versioned, ["low lower"]) == ["low lo@@ w@@ er"]


def test_the_first_of_the_codes_goes_first_and_all_its_places_at_once(tmp_path: Path) -> None:
    """Pairs of `aaaa` are merged from the left; `abab` has both its places merged before a later code looks."""
    assert apply(codes(tmp_path, "#version: 0.2\na a\n"), ["aaaab"]) == ["aa@@ aa@@ b"]
    assert apply(codes(tmp_path, "#version: 0.2\na b\nb a\n"), ["ababc"]) == ["ab@@ ab@@ c"]


def learned(words: list[str], merges: int) -> list[tuple[str, str]]:
    """The most frequent pairs, one after the other."""
    counts = Counter((*word[:-1], word[-1] + END) for word in words)
    found = []
    for _ in range(merges):
        pairs = Counter(pair for word, count in counts.items() for pair in list(pairwise(word)) * count)
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        found.append(best)
        counts = Counter({merged(word, best): count for word, count in counts.items()})
    return found


def merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """A word after a pair has been merged wherever it stands, from the left."""
    parts = list(word)
    for start in range(len(word)):
        if tuple(parts[start : start + 2]) == pair:
            parts[start : start + 2] = ["".join(pair)]
    return tuple(parts)


def by_hand(word: tuple[str, ...], pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    """A word after the first of the pairs that occurs has been merged, and again, until none occurs."""
    for pair in pairs:
        if pair in pairwise(word):
            return by_hand(merged(word, pair), pairs)
    return word


@given(words=WORDS, unseen=WORDS, merges=st.integers(1, 12))
def test_codes_that_were_learned_cut_as_by_hand(words: list[str], unseen: list[str], merges: int) -> None:
    pairs = learned(words, merges)
    if not pairs:
        return
    found = Codes({pair: rank for rank, pair in enumerate(pairs)}, joined=True)
    for word in words + unseen:
        expected = [part.removesuffix(END) for part in by_hand((*word[:-1], word[-1] + END), pairs)]
        assert found.pieces(word) == expected
        assert "".join(found.pieces(word)) == word


@pytest.mark.parametrize("text", ["", "#version: 0.2\n", "a b c d\n", "#version: 0.2\na b\nlonely\n"])
def test_files_that_hold_no_codes(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"codes holds no codes|codes, line \d: must be two pieces"):
        codes(tmp_path, text)
