"""Compares the recipe of IWSLT14 with what fairseq's script made of the same sentences: valid and test, line by line.

    python tools/compare_iwslt14.py FOLDER

FOLDER has {valid,test}.{de,en}.gz as prepare-iwslt14.sh leaves them, tokenised and in lower case. The raw sentences are
not there, so the recipe is fed what can be made of the prepared ones, special characters as they were: `spaced`, with
spaces left between tokens but for those before an English apostrophe; and `detokenised`, spaces taken away by
sacremoses' detokeniser. The latter has a capital after a full stop, since Moses leaves a full stop with its word where
the next one is in lower case. All other capitals are lost, and Moses' list of abbreviations knows them.
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from headprune.data.standard import iwslt14

SPLITS = ("valid", "test")
ENTITIES = {
    "&lt;": "<",
    "&gt;": ">",
    "&apos;": "'",
    "&quot;": '"',
    "&#91;": "[",
    "&#93;": "]",
    "&#124;": "|",
    "&amp;": "&",
}


class Compared(NamedTuple):
    """One side of a split, fed one way: its lines, and of those that differ the script's and the recipe's."""

    feed: str
    side: str  # as the file is named, `valid.de`
    lines: int
    differing: list[tuple[str, str]]


def official(path: Path) -> list[str]:
    """The lines of a prepared file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        return [line.removesuffix("\n") for line in lines]


def unescaped(line: str) -> str:
    """The line with Moses' special characters as they were; the ampersand last."""
    for entity, character in ENTITIES.items():
        line = line.replace(entity, character)
    return line


def capitals(tokens: list[str]) -> list[str]:
    """The tokens with a capital where a full stop stands before."""
    return [word.capitalize() if last == "." else word for last, word in zip(["", *tokens], tokens, strict=False)]


def feeds(language: str) -> dict[str, Callable[[str], str]]:
    """Ways to make text of a prepared line, by name."""
    from sacremoses import MosesDetokenizer

    moses = MosesDetokenizer(lang=language)
    apostrophe = re.compile(r" (?='[a-z])" if language == "en" else r"(?!)")
    return {
        "spaced": lambda line: apostrophe.sub("", unescaped(line)),
        "detokenised": lambda line: str(moses.detokenize(capitals(line.split()), unescape=True)),
    }


def again(lines: list[str], language: str, feed: Callable[[str], str]) -> list[str]:
    """The lines as the recipe makes them of what a feed makes of them."""
    return [line.lower() for line in iwslt14.tokenised(iter(map(feed, lines)), language)]


def compared(folder: Path) -> Iterator[Compared]:
    """Every feed, split and language."""
    for language in iwslt14.LANGUAGES:
        for name, feed in feeds(language).items():
            for split in SPLITS:
                lines = official(folder / f"{split}.{language}.gz")
                pairs = zip(lines, again(lines, language, feed), strict=True)
                differing = [(script, recipe) for script, recipe in pairs if script != recipe]
                yield Compared(name, f"{split}.{language}", len(lines), differing)


def main() -> None:
    """Prints how many lines are equal, and those that are not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for found in compared(parser.parse_args().folder):
        print(f"{found.feed}, {found.side}: {found.lines - len(found.differing):,} of {found.lines:,} lines equal")
        for script, recipe in found.differing:
            print(f"  script: {script}\n  recipe: {recipe}")


if __name__ == "__main__":
    main()
