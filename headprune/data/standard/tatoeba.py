"""German-English sentence pairs of Tatoeba, as manythings.org/anki gives them out.

The file grows and has no splits. A pair belongs to a split by the hash of its English side, so that a sentence keeps
its split when the file grows, and all its translations are in the same one.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from headprune.data.sources import Source
from headprune.data.standard.base import Route, Standard, plain, read_lines, write_pairs
from headprune.data.unpacking import unpack

PERCENT = {"test": 1, "valid": 1}  # of the English sentences


def split_of(english: str) -> str:
    """The split of all pairs with this English side: one in a hundred is test, another valid."""
    place = int.from_bytes(hashlib.sha256(english.encode()).digest()[:8], "big") % 100
    if place < PERCENT["test"]:
        return "test"
    return "valid" if place < PERCENT["test"] + PERCENT["valid"] else "train"


def build(files: Mapping[str, Path], folder: Path) -> None:
    """Train pairs whose German side is in valid or test as well are left out."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        (path,) = (p for p in unpack(files["deu-eng.zip"], Path(name) / "zip", 2**28) if p.name == "deu.txt")
        columns = [line.split("\t") for line in read_lines(path)]
    pairs = [(plain(row[1]), plain(row[0])) for row in columns if len(row) >= 2]
    pairs = [pair for pair in dict.fromkeys(pairs) if all(pair)]
    splits: dict[str, list[tuple[str, str]]] = {"train": [], "valid": [], "test": []}
    for pair in pairs:
        splits[split_of(pair[1])].append(pair)
    tested = {german for split in ("valid", "test") for german, _ in splits[split]}
    splits["train"] = [pair for pair in splits["train"] if pair[0] not in tested]
    for split, chosen in splits.items():
        write_pairs(folder / f"{split}.tsv", chosen)


TATOEBA = Standard(
    name="tatoeba-deu-eng",
    kind="pairs",
    languages=("de", "en"),
    routes=(Route((Source("deu-eng.zip", ("https://www.manythings.org/anki/deu-eng.zip",), largest=2**27),), build),),
    licence="CC BY 2.0 FR, Tatoeba contributors, by way of manythings.org/anki",
    home="https://www.manythings.org/anki/",
)
