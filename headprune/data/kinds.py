"""Kinds of corpora, one a task, for what lists, fetches and counts them whatever they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from headprune.data.corpora import CORPORA, corpus, read_pairs
from headprune.data.splits import SplitFiles
from headprune.data.standard import STANDARD, Standard
from headprune.data.text import TEXT_CORPORA, read_lines, text_corpus


@dataclass(frozen=True)
class CorpusKind:
    """The corpora that a task can have.

    :param name: as lists show it
    :param unit: what `read` gives, in the plural
    :param embedded: those that come along, by name
    :param find: the corpus of a name, or of a folder; raises ValueError where there is none
    :param read: what a split holds, verified; raises ValueError where it is damaged
    :param owns: True if a folder holds a corpus of this kind, by the look of its files
    :param registered: gives those that are fetched, by name
    :param tell: lines for the eye on what all splits hold, of a folder of the user's; raises ValueError where they do
        not fit together
    """

    name: str
    unit: str
    embedded: Mapping[str, SplitFiles]
    find: Callable[[str], SplitFiles]
    read: Callable[[Any, str], Sequence[Any]]
    owns: Callable[[Path], bool]
    registered: Callable[[], Mapping[str, Standard]] = dict
    tell: Callable[[Any, Mapping[str, Sequence[Any]]], Sequence[str]] = lambda found, splits: ()

    @property
    def standard(self) -> Mapping[str, Standard]:
        """The corpora that are fetched, by name."""
        return self.registered()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of corpora that there are of this kind."""
        return (*self.embedded, *self.standard)


def _is_text(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("train.txt", "train.txt.gz", "wiki.train.tokens"))


def _standard(kind: str) -> dict[str, Standard]:
    return {name: each for name, each in STANDARD.items() if each.kind == kind}


# Of a folder that no other kind owns, parallel corpora say what it should be.
PAIRS = CorpusKind("pairs", "pairs", CORPORA, corpus, read_pairs, lambda folder: False, partial(_standard, "pairs"))
TEXT = CorpusKind("text", "lines", TEXT_CORPORA, text_corpus, read_lines, _is_text, partial(_standard, "text"))
