"""Splits of binarised data that are parts of another split, and the marks of the files that they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headprune.results.provenance import file_sha256


@dataclass(frozen=True)
class Portion:
    """The examples that stand for a split.

    :param source: the split of the folder that they are of
    :param numbers: theirs in it, rising; None: all
    """

    source: str
    numbers: Sequence[int] | None = None

    def of(self, total: int) -> Sequence[int]:
        """The numbers of its examples, of so many that the split has."""
        return range(total) if self.numbers is None else self.numbers


def digest_of(files: Sequence[Path]) -> str:
    """A mark of the names and contents of files."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name}\0{file_sha256(path)}\0".encode())
    return total.hexdigest()
