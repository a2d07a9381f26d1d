"""Parallel corpora: the embedded ones, the standard ones that are fetched, a user's own; verified pairs.

A corpus is a folder with train.tsv, valid.tsv and test.tsv, each possibly gzipped (.tsv.gz): UTF-8, one pair
a line, source and target separated by a tab. The folder's name ends in the language pair (`talks-de-en`). A
file SHA256SUMS in it, as sha256sum writes it, is optional and verified where present.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headprune.data.splits import EMBEDDED, SplitFiles, checksums, read_verified, unknown_dataset
from headprune.data.standard import STANDARD, folder_of, standard_names

Pairs = list[tuple[str, str]]  # (source, target)

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_PAIR = re.compile(r"-([a-z]{2,3})-([a-z]{2,3})$")
# A line read back must be one line for every reader: str.splitlines, fairseq, sacrebleu and shell tools.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


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
    folder = Path(name_or_path)
    if not folder.is_dir():
        raise ValueError(unknown_dataset(str(name_or_path), [*CORPORA, *standard_names("pairs")]))
    pair = _PAIR.search(folder.resolve().name)
    if pair is None and not (source and target):
        raise ValueError(f"dataset {folder}: the folder's name must end in the language pair, as in talks-de-en")
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


def read_pairs(corpus: Corpus, split: str) -> Pairs:
    """Read and verify the sentence pairs of one split, in the order of the file.

    :return: (source, target) pairs, each side as it stands in the file
    :raises ValueError: checksum mismatch, undecodable or malformed line (with file, line and rule), no pairs
    :raises FileNotFoundError: the split has no file
    """
    path, lines = read_verified(corpus, split, unit="pair")
    return [_parse(line, path, number) for number, line in enumerate(lines, start=1)]


def _parse(line: bytes, path: Path, number: int) -> tuple[str, str]:
    """Split one line into (source, target), or raise ValueError that names file, line and rule."""
    rule = None
    columns: list[str] = []
    try:
        columns = line.decode("utf-8").split("\t")
    except UnicodeDecodeError as error:
        rule = f"must be UTF-8 ({error.reason} at byte {error.start})"
    else:
        if len(columns) != 2:
            rule = f"must have 2 columns separated by a tab, has {len(columns)}"
        elif not (columns[0].strip() and columns[1].strip()):
            rule = "must have text in both columns"
        elif found := _CONTROL.search(columns[0] + columns[1]):
            rule = f"must not contain control characters or line separators, has U+{ord(found[0]):04X}"
    if rule is not None:
        raise ValueError(f"{path}, line {number}: {rule}")
    return columns[0], columns[1]
