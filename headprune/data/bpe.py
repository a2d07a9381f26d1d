"""Byte-pair codes of other people, as subword-nmt and fastBPE write them, applied by subword-nmt."""

from __future__ import annotations

import io
import re
from pathlib import Path

from subword_nmt.apply_bpe import BPE

VERSION = re.compile(r"#version: \d+\.\d+")
END_AT_LETTER = "#version: 0.2"  # the end of a word is marked at its last letter, as fastBPE does, too


def encoder(codes: Path, vocabulary: Path | None = None, threshold: int | None = None) -> BPE:
    """The encoder that cuts words by the codes of a file; pieces that go on in the next one are marked by `@@`.

    Sennrich, Haddow and Birch 2016, section 3.2.

    :param vocabulary: pieces with their numbers; a piece that is not among them is cut again, until its parts are
    :param threshold: pieces with lower numbers are not among them
    :raises ValueError: a file is no such file; names the line.
    """
    lines = codes.read_text(encoding="utf-8").split("\n")
    versioned = VERSION.fullmatch(lines[0].strip()) is not None
    pairs, counted = [], False
    for number, line in enumerate(lines, start=1):
        if (number == 1 and versioned) or not line.strip():
            continue
        match line.split():
            case [one, other]:
                pass
            case [one, other, count] if count.isdigit():
                counted = True
            case _:
                raise ValueError(f"{codes}, line {number}: must be two pieces, as subword-nmt and fastBPE write them")
        pairs.append(f"{one} {other}")
    if not pairs:
        raise ValueError(f"{codes} holds no codes")
    head = [END_AT_LETTER] if counted else [lines[0].strip()] if versioned else []
    known = None if vocabulary is None else pieces_of(vocabulary, threshold)
    return BPE(io.StringIO("\n".join([*head, *pairs])), vocab=known)


def pieces_of(vocabulary: Path, threshold: int | None = None) -> set[str]:
    """The pieces of a file of `subword-nmt get-vocab`, or of a dictionary of fairseq: `piece number` a line.

    :param threshold: of their numbers, the lowest
    :raises ValueError: it is no such file; names the line.
    """
    found = set()
    for number, line in enumerate(vocabulary.read_text(encoding="utf-8").splitlines(), start=1):
        piece, _, count = line.strip().rpartition(" ")
        if not piece or not count.isdigit():
            raise ValueError(f"{vocabulary}, line {number}: must be a piece and a number, as subword-nmt writes them")
        if threshold is None or int(count) >= threshold:
            found.add(piece)
    return found
