"""Corpora in the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from headprune.data.kinds import CorpusKind
from headprune.data.splits import SPLITS, SplitFiles, unknown_dataset
from headprune.data.standard import CLEANING, RECORD, Standard, folder_of, obtain
from headprune.system.terminal import Column, say, show


def known(console: Console, kinds: Sequence[CorpusKind]) -> None:
    """All corpora that have a name, and whether they are there."""
    rows = []
    for kind in kinds:
        for name, each in kind.embedded.items():
            rows.append((name, kind.name, "embedded", each.licence))
    for kind in kinds:
        for standard in kind.standard.values():
            there = (folder_of(standard) / RECORD).is_file()
            rows.append((standard.name, kind.name, "fetched" if there else "to be fetched", standard.licence))
    columns = (Column("corpus", "name"), Column("kind", "name"), Column("where", "name"), Column("licence", spare=True))
    show(console, columns, rows)


def obtained(console: Console, name: str, kinds: Sequence[CorpusKind]) -> None:
    """Fetches a corpus if it is a standard one that is not there; says where it is and what it holds.

    :raises ValueError, OSError: the corpus is unknown or damaged, or cannot be had
    """
    standard = next((kind.standard[name] for kind in kinds if name in kind.standard), None)
    if standard is not None:
        _standard(console, standard)
    else:
        _own(console, *_find(name, kinds))


def _standard(console: Console, standard: Standard) -> None:
    folder = obtain(standard, tell=lambda line: say(console, line))
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / RECORD} is damaged ({error}); remove {folder}, and it is built again") from None
    unit = "pairs" if standard.kind == "pairs" else "tokens with an end for every line"
    say(console, f"{standard.name} is in {folder}")
    for split, number in record["counts"].items():
        say(console, f"{standard.name} {split}: {number:,} {unit}, verified")
    if (folder / CLEANING).is_file():
        _cleaning(console, folder / CLEANING)
    say(console, f"licence: {standard.licence}; see {standard.home}")


def _cleaning(console: Console, path: Path) -> None:
    """The table of what became of the pairs of every part of a corpus."""
    titles, *rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    show(console, (Column(titles[0], "name"), *(Column(title, "number") for title in titles[1:])), rows)


def _own(console: Console, kind: CorpusKind, found: SplitFiles) -> None:
    splits = {split: kind.read(found, split) for split in SPLITS}
    for split, held in splits.items():
        known = all(path.name in found.sha256 for path in found.files(split))
        checked = "verified" if known else "no checksum known"
        say(console, f"{found.name} {split}: {len(held):,} {kind.unit}, {checked}")
    for line in kind.tell(found, splits):
        say(console, f"{found.name} {line}")
    say(console, f"licence: {found.licence}")


def _find(name: str, kinds: Sequence[CorpusKind]) -> tuple[CorpusKind, SplitFiles]:
    """A corpus by its name, or that in a folder: of the kind that owns it, or else of the first.

    :raises ValueError: there is none of this name.
    """
    folder = Path(os.path.expanduser(name))
    if not folder.is_dir() and not any(name in kind.names for kind in kinds):
        raise ValueError(unknown_dataset(name, [each for kind in kinds for each in kind.names]))
    named = (kind for kind in kinds if name in kind.names)
    kind = next(named, None) or next((kind for kind in kinds if kind.owns(folder)), kinds[0])
    return kind, kind.find(name)
