"""Dictionaries of models: from the folder of their data, or stand-ins of the right size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.data import Dictionary

SPECIAL = 4  # fairseq's own symbols, which stand in no file


def stand_in(words: int) -> Any:
    """A dictionary of so many symbols, the special ones included, for a model whose words nobody reads."""
    dictionary = Dictionary()
    for number in range(words - len(dictionary)):
        dictionary.add_symbol(f"word{number}")
    return dictionary


def dictionary_of(path: Path) -> Any:
    """The dictionary of a file as fairseq-preprocess writes it, `word count` a line.

    :raises FileNotFoundError: there is none.
    :raises ValueError: it is not one.
    """
    if not path.is_file():
        others = ", ".join(sorted(other.name for other in path.parent.glob("dict*.txt"))) or "none"
        raise FileNotFoundError(f"there is no dictionary {path}; in its folder: {others}")
    try:
        return Dictionary.load(str(path))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is no dictionary of fairseq, `word count` a line: {error}") from error


def require_size(dictionary: Any, rows: int, part: str, where: Path | str) -> None:
    """:raises ValueError: the dictionary has another number of symbols than the embeddings have rows."""
    if len(dictionary) != rows:
        raise ValueError(
            f"{where} has {len(dictionary) - SPECIAL} words and {SPECIAL} special ones, the embeddings of the {part} "
            f"have {rows} rows: it is another dictionary than the model was trained with; give the folder of its "
            "own data"
        )
