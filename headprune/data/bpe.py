"""Byte-pair codes of other people, as subword-nmt and fastBPE write them, applied to words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

END = "</w>"
MARK = "@@"
VERSION = re.compile(r"#version: (\d+)\.(\d+)")


@dataclass(frozen=True)
class Codes:
    """Merges of neighbouring pieces, the first to be made first.

    :param ranks: of pairs, by their pieces
    :param joined: the end of a word is marked at its last letter (subword-nmt since 0.2, fastBPE); else it is a piece
    """

    ranks: Mapping[tuple[str, str], int]
    joined: bool

    @classmethod
    def read(cls, path: Path) -> Codes:
        """The codes of a file.

        :raises ValueError: it is no such file; names the line.
        """
        lines = path.read_text(encoding="utf-8").split("\n")
        version = VERSION.fullmatch(lines[0].strip())
        ranks: dict[tuple[str, str], int] = {}
        counted = False
        for number, line in enumerate(lines, start=1):
            if (number == 1 and version) or not line.strip():
                continue
            match line.split():
                case [one, other]:
                    pass
                case [one, other, count] if count.isdigit():
                    counted = True
                case _:
                    raise ValueError(
                        f"{path}, line {number}: must be two pieces, as subword-nmt and fastBPE write them"
                    )
            ranks.setdefault((one, other), len(ranks))
        if not ranks:
            raise ValueError(f"{path} holds no codes")
        return cls(ranks, counted or (version is not None and (int(version[1]), int(version[2])) >= (0, 2)))

    def pieces(self, word: str) -> list[str]:
        """The pieces of a word: of its neighbours those that come first among the codes are merged, from the left,
        until none are among them.

        Sennrich, Haddow and Birch 2016, section 3.2.
        """
        parts = [*word[:-1], word[-1] + END] if self.joined else [*word, END]
        if len(word) == 1:
            return [word]
        while len(parts) > 1:
            pair = min(pairwise(parts), key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if pair not in self.ranks:
                break
            parts = merged(parts, pair)
        parts[-1] = parts[-1].removesuffix(END)
        return [part for part in parts if part]


def merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """The parts of a word after all places of a pair are one part each, from the left."""
    found, place = [], 0
    while place < len(parts):
        both = tuple(parts[place : place + 2]) == pair
        found.append("".join(pair) if both else parts[place])
        place += 2 if both else 1
    return found


def apply(codes: Codes, lines: Iterable[str]) -> list[str]:
    """Lines cut into pieces, those that go on in the next one marked by `@@`.

    :param lines: words between white space
    """
    cut = cache(lambda word: f"{MARK} ".join(codes.pieces(word)))
    return [" ".join(map(cut, line.split())) for line in lines]
