"""One name for the preparation of every kind of corpus."""

from __future__ import annotations

import json
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from headprune.data.describe import identify
from headprune.data.lengths import Bounds
from headprune.data.recipe import Recipe
from headprune.data.splits import SplitFiles
from headprune.data.staging import STATISTICS


def prepare(
    corpus: SplitFiles, recipe: Recipe[Any], folder: Path | str, bounds: Bounds | None = None
) -> dict[str, Any]:
    """Makes training data of a corpus in a folder, as the recipe says.

    :returns: the content of statistics.json
    :raises TypeError: the recipe is for another kind of corpus.
    """
    if not isinstance(corpus, recipe.corpora):
        raise TypeError(f"{type(recipe).__name__} does not prepare a {type(corpus).__name__}")
    return recipe.prepare(corpus, folder, bounds)


def check_prepared(corpus: SplitFiles, recipe: Any, folder: Path, bounds: Bounds) -> None:
    """Asks of what lies in `folder` what `prepare` would, without doing its work again.

    Says nothing where nothing lies there, or where it was made of other text or by another recipe.

    :param recipe: a frozen dataclass and a `Recipe`
    :raises ValueError: a sentence is too long, or a split too short
    """
    try:
        statistics = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
        if statistics["recipe"] == recipe.told:
            recipe.check(corpus, statistics, bounds)
    except (OSError, KeyError, TypeError, AttributeError, JSONDecodeError):
        return
    except ValueError:
        if _sha256(corpus, recipe) == statistics["sha256"]:
            raise


def _sha256(corpus: SplitFiles, recipe: Recipe[Any]) -> dict[str, str] | None:
    """The digests by which statistics.json would identify the text; None where it cannot be read."""
    try:
        return dict(identify(corpus, (), recipe.text(corpus))["sha256"])
    except (OSError, ValueError):
        return None
