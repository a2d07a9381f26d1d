"""docs/own-corpora.md names every corpus that has a name, and the page is found from where readers begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from headprune.data import CORPORA, STANDARD, TEXT_CORPORA

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-corpora.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*CORPORA, *TEXT_CORPORA, *STANDARD])
def test_every_corpus_with_a_name_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    "word", ["train.tsv", "train.de", "SHA256SUMS", "$HEADPRUNE_MIRROR", "$HEADPRUNE_CACHE", "-de-en"]
)
def test_what_a_folder_needs_is_documented(word: str) -> None:
    assert word in PAGE


@pytest.mark.parametrize("page", ["README.md", "docs/profiles.md"])
def test_readers_find_the_page(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "own-corpora.md)" in text
    assert "profile-keys.md)" in text
