"""Corpora in the terminal."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console

from headprune.data.corpora import CORPORA, Corpus, corpus, read_pairs
from headprune.data.splits import SPLITS
from headprune.data.standard import CLEANING, RECORD, STANDARD, Standard, folder_of, obtain
from headprune.data.text import TEXT_CORPORA, TextCorpus, read_lines, text_corpus
from headprune.system.terminal import Column, say, show


def known(console: Console) -> None:
    """All corpora that have a name, and whether they are there."""
    rows = []
    for kind, embedded in (("pairs", CORPORA), ("text", TEXT_CORPORA)):
        for name, each in embedded.items():  # type: ignore[attr-defined]
            rows.append((name, kind, "embedded", each.licence))
    for standard in STANDARD.values():
        there = (folder_of(standard) / RECORD).is_file()
        rows.append((standard.name, standard.kind, "fetched" if there else "to be fetched", standard.licence))
    columns = (Column("corpus", "name"), Column("kind", "name"), Column("where", "name"), Column("licence", spare=True))
    show(console, columns, rows)


def obtained(console: Console, name: str) -> None:
    """Fetches a corpus if it is a standard one that is not there; says where it is and what it holds.

    :raises ValueError, OSError: the corpus is unknown or damaged, or cannot be had
    """
    if name in STANDARD:
        _standard(console, STANDARD[name])
    else:
        _own(console, _find(name))


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


def _own(console: Console, found: Corpus | TextCorpus) -> None:
    for split in SPLITS:
        known = all(path.name in found.sha256 for path in found.files(split))
        checked = "verified" if known else "no checksum known"
        lines = read_pairs(found, split) if isinstance(found, Corpus) else read_lines(found, split)
        unit = "pairs" if isinstance(found, Corpus) else "lines"
        say(console, f"{found.name} {split}: {len(lines):,} {unit}, {checked}")
    say(console, f"licence: {found.licence}")


def _find(name: str) -> Corpus | TextCorpus:
    """A corpus of pairs, or of text where the name or the folder is of one."""
    folder = Path(os.path.expanduser(name))
    texts = any((folder / f"train{suffix}").is_file() for suffix in (".txt", ".txt.gz"))
    texts = texts or (folder / "wiki.train.tokens").is_file()
    return text_corpus(name) if name in TEXT_CORPORA or texts else corpus(name)
