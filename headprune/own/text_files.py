"""Folders of text: sentence pairs in one file or two, or running text, for train and valid (docs/own-corpora.md)."""

from __future__ import annotations

import re
from pathlib import Path

# `valid.tsv`, `valid.de`, `valid.txt`, `wiki.valid.tokens`; fairseq's own `valid.bin` and `valid.de-en.de` are none.
TEXT = re.compile(r"(wiki\.)?(?P<split>train|valid|test)\.(?P<ending>tsv|txt|tokens|(?!bin|idx)[a-z]{2,3})(\.gz)?")

PAIR = re.compile(r"-([a-z]{2,3})-([a-z]{2,3})$")


def text_splits(folder: Path) -> set[str]:
    """The splits that a folder has as text; empty for one of fairseq-preprocess."""
    names = [path.name for path in folder.iterdir() if path.is_file()]
    if any(re.fullmatch(r"(train|valid|test)(\..+)?\.(idx|bin)", name) for name in names):
        return set()
    return {found["split"] for name in names if (found := TEXT.fullmatch(name))}


def files_of(folder: Path) -> list[Path]:
    """The files of train and valid in a folder of text."""
    found = {path: TEXT.fullmatch(path.name) for path in sorted(folder.iterdir())}
    return [path for path, match in found.items() if match and match["split"] != "test"]


def named_pair(folder: Path) -> tuple[str, str] | None:
    """The source and the target language that the name of a folder ends in, `talks-de-en`; None: it does not."""
    found = PAIR.search(folder.resolve().name)
    return (found[1], found[2]) if found else None


def dictionaries_of(data: Path, checkpoint: Path, given: Path | None) -> Path:
    """The folder of a model's dictionaries: the one that is given, or that of the checkpoint or of the text.

    :param given: None: not
    :raises ValueError: none of them holds dictionaries.
    """
    places = [given] if given is not None else [checkpoint.parent, data]
    found = next((place for place in places if list(place.glob("dict*.txt"))), None)
    if found is None:
        raise ValueError(
            f"{data} is text, and there is no dict.*.txt in {' or '.join(map(str, places))}: --dictionaries names the "
            "folder of those that the model was trained with"
        )
    return found
