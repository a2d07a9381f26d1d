"""Parallel corpora: the embedded ones, the standard ones that are fetched, a user's own; verified pairs.

A corpus is a folder with train, valid and test: each a file train.tsv, one pair a line, source and target separated
by a tab, or two as Moses has them, train.de and train.en, in which a pair is the same line of both. UTF-8, possibly
gzipped (.gz). The folder's name ends in the language pair (`talks-de-en`). A file SHA256SUMS in it, as sha256sum
writes it, is optional and verified where present.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headprune.data.splits import (
    EMBEDDED,
    SplitFiles,
    broken,
    check_characters,
    checksums,
    decoded,
    read_verified,
    unknown_dataset,
)
from headprune.data.standard import STANDARD, folder_of, standard_names

OTHER_NAMES = {"valid": ("val", "dev", "validation", "development", "tune"), "test": ("tst", "eval")}
Pairs = list[tuple[str, str]]  # (source, target)

_LANGUAGE = re.compile(r"[a-z]{2,3}")
LANGUAGES = re.compile(r"-([a-z]{2,3})-([a-z]{2,3})$")


@dataclass(frozen=True)
class Corpus(SplitFiles):
    """A parallel corpus on disk. Raises ValueError on language codes that are malformed or equal."""

    name: str
    source: str  # language code, two or three lower-case letters
    target: str
    folder: Path
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)  # file name -> hex digest; {}: unknown
    licence: str = "unknown"  # one line

    def __post_init__(self) -> None:
        for side in ("source", "target"):
            code = getattr(self, side)
            if not _LANGUAGE.fullmatch(code):
                raise ValueError(f"{side} language {code!r} of {self.name}: expected two or three letters a-z")
        if self.source == self.target:
            raise ValueError(f"source and target language of {self.name} are both {self.source!r}")

    def candidates(self, split: str) -> tuple[str, ...]:
        return f"{split}.tsv", f"{split}.tsv.gz"

    def files(self, split: str) -> tuple[Path, ...]:
        """The file of one split, or its two, source first.

        :raises ValueError: the split is not one of SPLITS, a side is missing, or files have the same part twice
        :raises FileNotFoundError: there is neither
        """
        sides = [self._side(split, language) for language in (self.source, self.target)]
        if not any(sides):
            try:
                return super().files(split)
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{error}; nor a pair {_pair(self, split)}{self._instead(split)}") from None
        for side, other, language in zip(sides, reversed(sides), (self.source, self.target), strict=True):
            if side is None:
                raise ValueError(f"{self.name}: {other} is there, its other side {split}.{language}[.gz] is not")
        for name in self.candidates(split):
            if (self.folder / name).is_file():
                raise ValueError(f"{self.name}: both {name} and {_pair(self, split)} in {self.folder}: remove one")
        return tuple(side for side in sides if side is not None)

    def _side(self, split: str, language: str) -> Path | None:
        """The file of one side of a split that lies in two."""
        found = [path for end in ("", ".gz") if (path := self.folder / f"{split}.{language}{end}").is_file()]
        if len(found) > 1:
            raise ValueError(f"{self.name}: both {found[0].name} and {found[1].name} in {self.folder}: remove one")
        return found[0] if found else None

    def _instead(self, split: str) -> str:
        """The files that lie there under the names that others give a split, for the error message."""
        stems = {split, *OTHER_NAMES.get(split, ())}
        names = sorted(path.name for path in self.folder.glob("*") if path.name.split(".")[0] in stems)
        return f"; found {', '.join(names[:6])}" if names else ""


CORPORA: dict[str, Corpus] = {
    "lohelp-de-en": Corpus(
        name="lohelp-de-en",
        source="de",
        target="en",
        folder=EMBEDDED / "lohelp-de-en",
        sha256={
            "train.tsv.gz": "51d79208feef646de86a9b544e65337a6dde3c24d65bac3b227cd7132d3978ad",
            "valid.tsv.gz": "75332684cb2be3d34203775e7059a212ae183752876f579eaa68e5e476b8852b",
            "test.tsv.gz": "99e7c71c7b2a4c846bd872113d8d289529f8d3ae1b53fb6c03d635b38ee30ec3",
        },
        licence="MPL-2.0, LibreOffice contributors; see LICENSE and NOTICE in its folder",
    ),
    "bible-fr-en": Corpus(
        name="bible-fr-en",
        source="fr",
        target="en",
        folder=EMBEDDED / "bible-fr-en",
        sha256={
            "train.tsv.gz": "2da3bff372a98ff669017e61fe2b8df9ec586482b300ebefdc49abe4defb35d8",
            "valid.tsv.gz": "13d54ade1add919c92e3fd2b92b90d301c25b31ce26b6dcbb30adde66ad0c7db",
            "test.tsv.gz": "c90fb20a8cd19a41862b28462c72fc023596ecd47ac5ee48962daf7924343868",
        },
        licence="public domain (Louis Segond 1910; derived from the WEB); see LICENSE in its folder",
    ),
}


def corpus(name_or_path: str | Path, source: str | None = None, target: str | None = None) -> Corpus:
    """Find an embedded or a standard corpus by name, or a user's own by its folder. Nothing is fetched.

    :param name_or_path: a key of CORPORA, a standard corpus, or a folder; a known name wins over a folder of that name
    :param source: source language of a folder; default: the end of the folder's name, as in `talks-de-en`
    :param target: target language of a folder; likewise
    :raises ValueError: unknown name (with the nearest known one), a folder without a split, unknown languages
    """
    known = CORPORA.get(str(name_or_path)) or _standard(str(name_or_path))
    if known is not None:
        if (source or known.source, target or known.target) != (known.source, known.target):
            raise ValueError(f"dataset {known.name!r} is {known.source}-{known.target}, not {source}-{target}")
        return known
    folder = Path(os.path.expanduser(name_or_path))
    if not folder.is_dir():
        raise ValueError(unknown_dataset(str(name_or_path), [*CORPORA, *standard_names("pairs")]))
    pair = LANGUAGES.search(folder.resolve().name)
    if pair is None and not (source and target):
        raise ValueError(
            f"dataset {folder}: the folder's name must end in the language pair, as in talks-de-en: source first"
        )
    ends = pair.groups() if pair else ("", "")
    own = Corpus(folder.resolve().name, source or ends[0], target or ends[1], folder, checksums(folder))
    own.require_every_split()
    return own


def _standard(name: str) -> Corpus | None:
    """A standard corpus of pairs as it lies, or will lie, in the cache; read once it has been obtained."""
    standard = STANDARD.get(name)
    if standard is None or standard.languages is None:
        return None
    folder = folder_of(standard)
    return Corpus(name, *standard.languages, folder, checksums(folder), standard.licence)


def _pair(corpus: Corpus, split: str) -> str:
    return f"{split}.{corpus.source} and {split}.{corpus.target}"


def read_pairs(corpus: Corpus, split: str) -> Pairs:
    """Read and verify the sentence pairs of one split, in the order of the file.

    :returns: (source, target) pairs, each side as it stands in the file
    :raises ValueError: checksum mismatch, undecodable or malformed line (with file, line and rule), no pairs, or two
        files of different length
    :raises FileNotFoundError: the split has no file
    """
    files = corpus.files(split)
    lines = [read_verified(corpus, path, unit="pair" if len(files) == 1 else "sentence") for path in files]
    if len(files) == 1:
        return [_parse(line, files[0], number) for number, line in enumerate(lines[0], start=1)]
    if len(lines[0]) != len(lines[1]):
        counts = " and ".join(f"{path} has {len(each):,} lines" for path, each in zip(files, lines, strict=True))
        raise ValueError(f"{counts}: a pair is the same line of both files")
    sides = [
        [_sentence(line, path, number) for number, line in enumerate(each, start=1)]
        for path, each in zip(files, lines, strict=True)
    ]
    return list(zip(*sides, strict=True))


def _parse(line: bytes, path: Path, number: int) -> tuple[str, str]:
    """Split one line into (source, target), or raise ValueError that names file, line and rule."""
    columns = decoded(line, path, number).split("\t")
    if len(columns) != 2:
        raise broken(path, number, f"must have 2 columns separated by a tab, has {len(columns)}")
    if not (columns[0].strip() and columns[1].strip()):
        raise broken(path, number, "must have text in both columns")
    for column in columns:
        check_characters(column, path, number)
    return columns[0], columns[1]


def _sentence(line: bytes, path: Path, number: int) -> str:
    """One side of a pair, or ValueError that names file, line and rule."""
    text = decoded(line, path, number)
    if not text.strip():
        raise broken(path, number, "must have text, as its other side does or should")
    check_characters(text, path, number)
    return text
