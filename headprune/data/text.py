"""Text corpora for language modeling: the embedded one, a user's own, and their verified lines.

A text corpus is a folder with one UTF-8 file for each split, possibly gzipped: train.txt, valid.txt, test.txt, or
wiki.train.tokens and so on, as WikiText is distributed. Every line is one unit of text (a paragraph, a sentence);
blank lines are lines, too. A file SHA256SUMS, as sha256sum writes it, is optional and verified where present.
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
    checksums,
    decoded,
    read_verified,
    unknown_dataset,
)
from headprune.data.standard import STANDARD, folder_of, standard_names

# No text has them, and binary files do. White space of any kind is left alone: what cuts into units deals with it.
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class TextCorpus(SplitFiles):
    """A text corpus on disk."""

    name: str
    folder: Path
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)  # file name -> hex digest; {}: unknown
    licence: str = "unknown"  # one line

    def candidates(self, split: str) -> tuple[str, ...]:
        return f"{split}.txt", f"{split}.txt.gz", f"wiki.{split}.tokens", f"wiki.{split}.tokens.gz"


TEXT_CORPORA: dict[str, TextCorpus] = {
    "austen": TextCorpus(
        name="austen",
        folder=EMBEDDED / "austen",
        sha256={
            "train.txt.gz": "0337b7cf8075d5fc132d0e579e411e791bea66b1afec44d369fb3d0f97c00140",
            "valid.txt.gz": "be01b1cedded94e19c5206ee6e273d8ec865dbfea3bf7c8c979b7a6242e1a88c",
            "test.txt.gz": "3910d683656ec8b2fce43de603b50f0bae226261f10abfd66952d31c3fdbed3f",
        },
        licence="public domain (Jane Austen, 1811-1818); see LICENSE in its folder",
    ),
}


def text_corpus(name_or_path: str | Path) -> TextCorpus:
    """Find an embedded or a standard text corpus by name, or a user's own by its folder. Nothing is fetched.

    :param name_or_path: a key of TEXT_CORPORA, a standard corpus, or a folder; known names win over folders
    :raises ValueError: unknown name (with the nearest known one), a folder without a split, or with two files of one
    """
    known = TEXT_CORPORA.get(str(name_or_path)) or _standard(str(name_or_path))
    if known is not None:
        return known
    folder = Path(os.path.expanduser(name_or_path))
    if not folder.is_dir():
        raise ValueError(unknown_dataset(str(name_or_path), [*TEXT_CORPORA, *standard_names("text")]))
    own = TextCorpus(folder.resolve().name, folder, checksums(folder))
    own.require_every_split()
    return own


def _standard(name: str) -> TextCorpus | None:
    """A standard corpus of text as it lies, or will lie, in the cache; read once it has been obtained."""
    standard = STANDARD.get(name)
    if standard is None or standard.kind != "text":
        return None
    return TextCorpus(name, folder_of(standard), checksums(folder_of(standard)), standard.licence)


def read_lines(corpus: TextCorpus, split: str) -> list[str]:
    """Read and verify the lines of one split, without their newlines; blank lines are kept.

    :raises ValueError: checksum mismatch, a damaged file, a line that is not text (with file, line and rule), no lines
    :raises FileNotFoundError: the split has no file
    """
    path = corpus.path(split)
    lines = read_verified(corpus, path, unit="paragraph or sentence")
    return [_decode(line, path, number) for number, line in enumerate(lines, start=1)]


def _decode(line: bytes, path: Path, number: int) -> str:
    """The text of one line, or ValueError that names file, line and rule."""
    text = decoded(line, path, number)
    if found := _BINARY.search(text):
        raise broken(path, number, f"must not contain control characters, has U+{ord(found[0]):04X}")
    if number == 1 and text.startswith(_BYTE_ORDER_MARK):
        raise broken(path, number, "must not begin with a byte order mark, U+FEFF")
    return text
