"""Fixtures that several folders of tests share. A test computes on the CPU unless `make test-gpu` asks for a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
CACHES = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}  # of tools

# Folders whose files take minutes: they begin first, so that no core waits for the last of them.
LONG = (
    *("tests/e2e", "tests/training", "tests/pipeline", "tests/check", "tests/paper_figures", "tests/models"),
    *("tests/verification", "tests/report", "tests/checkpoints"),
)

if "HEADPRUNE_TEST_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks
else:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as `headprune.__main__` does


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of `LONG` before the others; the order within is kept. `make test` asks xdist to keep it, too."""
    folders = {folder: rank for rank, folder in enumerate(LONG)}
    items.sort(key=lambda item: folders.get("/".join(item.nodeid.split("/")[:2]), len(LONG)))


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_in_the_repository() -> Iterator[None]:
    """Tests write into folders of their own."""
    before = {path.name for path in ROOT.iterdir()}
    yield
    left = {path.name for path in ROOT.iterdir()} - before - CACHES
    assert not left, f"tests left {', '.join(sorted(left))} in {ROOT}"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """The embedded German–English corpus with a small vocabulary and its shortest train pairs; valid and test whole."""
    from headprune.data import TranslationRecipe, corpus, prepare
    from headprune.tasks.translation.corpus import TranslationCorpus

    folder = tmp_path_factory.mktemp("corpus") / "lohelp-de-en"
    prepare(corpus("lohelp-de-en"), TranslationRecipe(vocabulary=400, max_words=3), folder)
    return TranslationCorpus(folder)


@pytest.fixture(scope="session")
def trainable(tmp_path_factory):
    """The corpus of `prepared`, with 40 pairs to validate and 10 to test: most of a short training is validation."""
    from headprune.data import TranslationRecipe, corpus, prepare, read_pairs
    from headprune.tasks.translation.corpus import TranslationCorpus

    own = tmp_path_factory.mktemp("trainable") / "short-de-en"
    own.mkdir()
    for split, size in (("train", None), ("valid", 40), ("test", 10)):
        pairs = read_pairs(corpus("lohelp-de-en"), split)[:size]
        (own / f"{split}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    prepare(corpus(own), TranslationRecipe(vocabulary=400, max_words=3), own.parent / "prepared")
    return TranslationCorpus(own.parent / "prepared")


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory):
    """The first paragraphs of the embedded text corpus, prepared with 300 BPE pieces; about 4,000 valid tokens."""
    from headprune.data import LanguageModelingRecipe, prepare, read_lines, text_corpus

    own = tmp_path_factory.mktemp("text") / "novels"
    own.mkdir()
    for split, lines in (("train", 300), ("valid", 40), ("test", 30)):
        text = "".join(f"{line}\n" for line in read_lines(text_corpus("austen"), split)[:lines])
        (own / f"{split}.txt").write_text(text, encoding="utf-8")
    prepare(text_corpus(own), LanguageModelingRecipe(vocabulary=300), own.parent / "prepared")
    return own.parent / "prepared"


@pytest.fixture(scope="session")
def language_corpus(text_folder):
    """`text_folder` for evaluation."""
    from headprune.tasks.language_modeling.corpus import LanguageCorpus

    return LanguageCorpus(text_folder)
