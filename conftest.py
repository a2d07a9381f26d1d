"""Fixtures that several folders of tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """The embedded German–English corpus with a small vocabulary and its shortest train pairs; valid and test whole."""
    from headprune.data import TranslationRecipe, corpus, prepare
    from headprune.evaluation.corpus import TranslationCorpus

    folder = tmp_path_factory.mktemp("corpus") / "lohelp-de-en"
    prepare(corpus("lohelp-de-en"), TranslationRecipe(vocabulary=400, max_words=3), folder)
    return TranslationCorpus(folder)
