"""enwik8: the first 100,000,000 bytes of an English Wikipedia (Mahoney), of which 90, 5 and 5 million are the splits.

The cuts are those that Transformer-XL and its followers make. One that falls into a character moves to its end, by
three bytes at most. Every line is a unit of text, so that an end of line stands for the line feed of the file; a split
that a cut ends within a line has one more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from headprune.data.sources import Source
from headprune.data.standard.base import Route, Standard
from headprune.data.unpacking import unpack

ARCHIVE, FILE = "enwik8.zip", "enwik8"
SHARES = {"train": 90, "valid": 5, "test": 5}  # per cent of the bytes


def build(files: Mapping[str, Path], folder: Path) -> None:
    """The bytes as they are, cut in three."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        (path,) = (p for p in unpack(files[ARCHIVE], Path(name) / "zip", 2**27) if p.name == FILE)
        content = path.read_bytes()
    begin, percent = 0, 0
    for split, share in SHARES.items():
        percent += share
        end = whole_characters(content, len(content) * percent // 100)
        (folder / f"{split}.txt").write_bytes(content[begin:end])
        begin = end


def whole_characters(content: bytes, end: int) -> int:
    """The first position from `end` on that is not within a character of UTF-8."""
    while end < len(content) and content[end] & 0b1100_0000 == 0b1000_0000:
        end += 1
    return end


ENWIK8 = Standard(
    name="enwik8",
    kind="text",
    routes=(
        Route(
            (
                Source(
                    ARCHIVE,
                    ("http://mattmahoney.net/dc/enwik8.zip",),
                    36_445_475,
                    {"sha1": "d856b1ccd937c51aeb9c342e47666fb8c38e7e72"},
                ),
            ),
            build,
        ),
    ),
    licence="CC BY-SA 3.0 and GFDL, Wikipedia contributors",
    home="https://mattmahoney.net/dc/textdata.html",
)
