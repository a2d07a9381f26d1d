"""Corpora whose test set is sealed: what computes masks holds no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from headprune.tasks import TASKS
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


@pytest.mark.parametrize("track", ["mt", "lm", "lm_blocks", "nli"])
def test_a_corpus_is_that_of_its_folder_now(track: str, tmp_path: Path) -> None:
    """A process that prepares data again reads what it has prepared, not what was there before."""
    for name in ("first", "second"):
        told = {"corpus": {"name": name, "source": "de", "target": "en"}, "recipe": {}}
        (tmp_path / "statistics.json").write_text(json.dumps(told), encoding="utf-8")
        corpus = TASKS[track].work.corpus(tmp_path, torch.device("cpu"))
        assert corpus.statistics["corpus"]["name"] == name
