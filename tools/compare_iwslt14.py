"""Compares the recipe of IWSLT14 with what fairseq's script made of the same sentences: valid and test, line by line.

    python tools/compare_iwslt14.py FOLDER [--examples 3]

FOLDER has {valid,test}.{de,en}.gz as prepare-iwslt14.sh leaves them, tokenised and in lower case. The raw sentences are
not there, so the recipe is fed what can be made of the prepared ones: `spaced`, special characters back as they were
and spaces left between tokens; and `detokenised`, spaces taken away by sacremoses' detokeniser as well. Both have lost
the capitals, which Moses' list of abbreviations knows.
"""

from __future__ import annotations

import argparse
import difflib
import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

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
KINDS = {  # of a difference, by the tokens on either side
    "abbreviation or full stop": re.compile(r"\."),
    "quotation mark": re.compile(r"&quot;"),
    "apostrophe": re.compile(r"&apos;|'"),
    "hyphen or dash": re.compile(r"[-–—]"),
    "comma or number": re.compile(r"[,\d]"),
}


def official(folder: Path, split: str, language: str) -> list[str]:
    """The lines of a prepared split."""
    with gzip.open(folder / f"{split}.{language}.gz", "rt", encoding="utf-8", newline="\n") as lines:
        return [line.removesuffix("\n") for line in lines]


def unescaped(line: str) -> str:
    """The line with Moses' special characters as they were; the ampersand last."""
    for entity, character in ENTITIES.items():
        line = line.replace(entity, character)
    return line


def feeds(language: str) -> dict[str, Callable[[str], str]]:
    """Ways to make text of a prepared line, by name."""
    from sacremoses import MosesDetokenizer

    moses = MosesDetokenizer(lang=language)
    return {"spaced": unescaped, "detokenised": lambda line: str(moses.detokenize(line.split(), unescape=True))}


def again(lines: list[str], language: str, feed: Callable[[str], str]) -> list[str]:
    """The lines as the recipe makes them of what a feed makes of them."""
    return [line.lower() for line in iwslt14.tokenised(iter(map(feed, lines)), language)]


def kind(one: str, other: str) -> str:
    """The kind of the first difference between two lines."""
    first, second = one.split(), other.split()
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    for operation, a, b, c, d in matcher.get_opcodes():
        if operation != "equal":
            changed = " ".join(first[a:b] + second[c:d])
            return next((name for name, pattern in KINDS.items() if pattern.search(changed)), "other")
    return "white space"


def compared(folder: Path) -> Iterator[tuple[str, str, str, list[tuple[str, str]], int]]:
    """For every feed, split and language: the pairs of prepared and own lines that differ, and the number of lines."""
    for language in iwslt14.LANGUAGES:
        for name, feed in feeds(language).items():
            for split in SPLITS:
                lines = official(folder, split, language)
                own = again(lines, language, feed)
                yield (
                    name,
                    split,
                    language,
                    [pair for pair in zip(lines, own, strict=True) if len(set(pair)) > 1],
                    len(lines),
                )


def main() -> None:
    """Prints how many lines are equal, the kinds of the others, and examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--examples", type=int, default=0, help="of every kind")
    arguments = parser.parse_args()
    for name, split, language, differing, total in compared(arguments.folder):
        kinds: dict[str, list[tuple[str, str]]] = {}
        for pair in differing:
            kinds.setdefault(kind(*pair), []).append(pair)
        counts = Counter({label: len(pairs) for label, pairs in kinds.items()})
        said = ", ".join(f"{label} {count}" for label, count in counts.most_common())
        equal = total - len(differing)
        print(f"{name}, {split}.{language}: {equal:,} of {total:,} equal ({equal / total:.2%}); {said}")
        for label, pairs in kinds.items():
            for prepared, own in pairs[: arguments.examples]:
                print(f"  {label}\n    script: {prepared}\n    recipe: {own}")


if __name__ == "__main__":
    main()
