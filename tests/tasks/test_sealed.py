"""Corpora whose test set is sealed: what computes masks holds no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headprune.tasks.language_modeling.corpus import LanguageCorpus
from headprune.tasks.translation.corpus import TranslationCorpus


def test_a_sealed_corpus_refuses_its_test_set(prepared: TranslationCorpus, text_folder: Path) -> None:
    translation, text = TranslationCorpus(prepared.folder, sealed=True), LanguageCorpus(text_folder, sealed=True)
    readers: list[Any] = [translation.dataset, translation.references, lambda split: translation.batches(split, 4000)]
    readers += [text.stream, lambda split: text.segments(split, 2, 8), lambda split: text.batches(split, 2, 8)]
    for read in readers:
        assert read("valid")
        with pytest.raises(ValueError, match="the test set is sealed"):
            read("test")
    assert prepared.references("test")
