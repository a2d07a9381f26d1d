"""One name for the preparation of every kind of corpus."""

from __future__ import annotations

import json
from dataclasses import asdict
from json import JSONDecodeError
from pathlib import Path
from typing import Any, overload

from headprune.data import language_modeling, translation
from headprune.data.corpora import Corpus, read_pairs
from headprune.data.describe import as_text, identify
from headprune.data.language_modeling import LanguageModelingRecipe
from headprune.data.lengths import Bounds, check_lengths
from headprune.data.splits import SPLITS
from headprune.data.staging import STATISTICS
from headprune.data.text import TextCorpus, read_lines
from headprune.data.translation import TranslationRecipe


@overload
def prepare(
    corpus: Corpus, recipe: TranslationRecipe, folder: Path | str, bounds: Bounds | None = None
) -> dict[str, Any]: ...
@overload
def prepare(
    corpus: TextCorpus, recipe: LanguageModelingRecipe, folder: Path | str, bounds: Bounds | None = None
) -> dict[str, Any]: ...
def prepare(corpus: Any, recipe: Any, folder: Path | str, bounds: Bounds | None = None) -> dict[str, Any]:
    """What `translation.prepare` or `language_modeling.prepare` does, by the kind of the corpus.

    :raises TypeError: the recipe is for another kind of corpus.
    """
    if isinstance(corpus, Corpus) and isinstance(recipe, TranslationRecipe):
        return translation.prepare(corpus, recipe, folder, bounds)
    if isinstance(corpus, TextCorpus) and isinstance(recipe, LanguageModelingRecipe):
        return language_modeling.prepare(corpus, recipe, folder, bounds)
    raise TypeError(f"{type(recipe).__name__} does not prepare a {type(corpus).__name__}")


def check_prepared(corpus: Corpus | TextCorpus, recipe: Any, folder: Path, bounds: Bounds) -> None:
    """Asks of what lies in `folder` what `prepare` would, without doing its work again.

    Says nothing where nothing lies there, or where it was made of other text or by another recipe.

    :raises ValueError: a sentence is too long, or a split too short
    """
    try:
        statistics = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
        if statistics["recipe"] == asdict(recipe):
            check_lengths(corpus, statistics, bounds)
    except (OSError, KeyError, TypeError, AttributeError, JSONDecodeError):
        return
    except ValueError:
        if _sha256(corpus) == statistics["sha256"]:
            raise


def _sha256(corpus: Corpus | TextCorpus) -> dict[str, str] | None:
    """What statistics.json would identify the text by; None where it cannot be read."""
    try:
        if isinstance(corpus, Corpus):
            text = {split: as_text(read_pairs(corpus, split)) for split in SPLITS}
        else:
            text = {split: "".join(f"{line}\n" for line in read_lines(corpus, split)) for split in SPLITS}
        return dict(identify(corpus, (), text)["sha256"])
    except (OSError, ValueError):
        return None
