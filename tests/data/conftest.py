"""A small corpus: a slice of the embedded one, written as a user's own folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headprune.data import Corpus, TranslationRecipe, corpus, prepare, read_pairs

Splits = dict[str, list[tuple[str, str]]]

RECIPE = TranslationRecipe(vocabulary=300, max_words=12)


@pytest.fixture(scope="session")
def splits() -> Splits:
    """The first pairs of lohelp-de-en: 400 train, 40 valid, 40 test."""
    embedded = corpus("lohelp-de-en")
    return {split: read_pairs(embedded, split)[:size] for split, size in (("train", 400), ("valid", 40), ("test", 40))}


@pytest.fixture(scope="session")
def write_corpus() -> Callable[[Path, Splits], Corpus]:
    """A function that writes a corpus folder and finds it again."""

    def write(folder: Path, splits: Splits) -> Corpus:
        folder.mkdir(parents=True)
        for split, pairs in splits.items():
            (folder / f"{split}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
        return corpus(folder)

    return write


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, splits: Splits, write_corpus: Callable[..., Corpus]) -> Corpus:
    """The small corpus on disk."""
    return write_corpus(tmp_path_factory.mktemp("corpora") / "tiny-de-en", splits)


@pytest.fixture(scope="session")
def recipe() -> TranslationRecipe:
    """A small vocabulary, and a filter that drops some train pairs."""
    return RECIPE


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny: Corpus) -> Path:
    """The small corpus, prepared; tests read it only."""
    folder = tmp_path_factory.mktemp("prepared") / "tiny"
    prepare(tiny, RECIPE, folder)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no mirror."""
    monkeypatch.setenv("HEADPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HEADPRUNE_MIRROR", raising=False)
    return tmp_path / "cache"
