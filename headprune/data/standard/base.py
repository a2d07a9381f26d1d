"""The description of a standard corpus: where its files are, and how they become train, valid and test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from headprune.data.sources import Source

Texts = dict[str, list[str]]  # lines by split
Build = Callable[[Mapping[str, Path], Path], None]  # (fetched files by name, folder to write <split>.<suffix> into)

SUFFIX = {"pairs": "tsv", "text": "txt"}
CLEANING = "cleaning.tsv"  # beside the splits, where a corpus is cleaned: what became of the pairs of its parts


@dataclass(frozen=True)
class Route:
    """One way to a corpus: all of these files, and what makes splits of them."""

    sources: tuple[Source, ...]
    build: Build


@dataclass(frozen=True)
class Standard:
    """A corpus that is fetched, not shipped."""

    name: str
    kind: Literal["pairs", "text"]  # folders of {train,valid,test}.tsv, or of .txt
    routes: tuple[Route, ...]  # the first that works
    licence: str  # one line
    home: str  # where its licence and its description are
    languages: tuple[str, str] | None = None  # source and target of pairs
    counts: Mapping[str, int] = field(default_factory=dict)  # by split: pairs, or tokens with an end for every line
    exact: bool = True  # other counts are an error; else they are told and recorded
    shares: str = ""  # the corpus whose files these are, too; empty: it has its own

    @property
    def suffix(self) -> str:
        return SUFFIX[self.kind]

    @property
    def shelf(self) -> str:
        """The name under which fetched files are kept, and looked for in a mirror."""
        return self.shares or self.name


def count(path: Path, kind: str) -> int:
    """Pairs of a .tsv file, or tokens of a .txt file: words and an end for every line."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        return sum(1 if kind == "pairs" else len(line.split()) + 1 for line in lines)


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file; only a line feed ends a line, unlike with `str.splitlines`."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def write_pairs(path: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """One pair a line, sides separated by a tab."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{source}\t{target}\n" for source, target in pairs)


def plain(text: str) -> str:
    """The text without byte order marks and control characters; white space of any kind is one space."""
    text = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in text.replace("\ufeff", ""))
    return " ".join(text.split())
