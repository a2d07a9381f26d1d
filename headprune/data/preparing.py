"""One name for the preparation of every kind of corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any, overload

from headprune.data import language_modelling, translation
from headprune.data.corpora import Corpus
from headprune.data.language_modelling import LanguageModellingRecipe
from headprune.data.text import TextCorpus
from headprune.data.translation import TranslationRecipe


@overload
def prepare(corpus: Corpus, recipe: TranslationRecipe, folder: Path | str) -> dict[str, Any]: ...
@overload
def prepare(corpus: TextCorpus, recipe: LanguageModellingRecipe, folder: Path | str) -> dict[str, Any]: ...
def prepare(corpus: Any, recipe: Any, folder: Path | str) -> dict[str, Any]:
    """What `translation.prepare` or `language_modelling.prepare` does, by the kind of the corpus.

    :raises TypeError: the recipe is for another kind of corpus.
    """
    if isinstance(corpus, Corpus) and isinstance(recipe, TranslationRecipe):
        return translation.prepare(corpus, recipe, folder)
    if isinstance(corpus, TextCorpus) and isinstance(recipe, LanguageModellingRecipe):
        return language_modelling.prepare(corpus, recipe, folder)
    raise TypeError(f"{type(recipe).__name__} does not prepare a {type(corpus).__name__}")
