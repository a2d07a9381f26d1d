"""Corpora of judged sentence pairs: the embedded one, the standard ones that are fetched, a user's own.

A corpus is a folder with train.tsv, valid.tsv and test.tsv, UTF-8, possibly gzipped (.gz): an example a line, premise,
hypothesis and label separated by tabs. A first line that names these three columns may put them in another order, and
others beside them, which are left out. A file SHA256SUMS, as sha256sum writes it, is verified where present.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from headprune.data.corpora import LANGUAGES
from headprune.data.kinds import CorpusKind
from headprune.data.splits import (
    EMBEDDED,
    SPLITS,
    SplitFiles,
    broken,
    check_characters,
    checksums,
    decoded,
    read_verified,
    unknown_dataset,
)
from headprune.data.standard import folder_of
from headprune.naming import counted
from headprune.tasks.nli.columns import COLUMNS, NAMES, hint, named
from headprune.tasks.nli.standard import STANDARD_JUDGED
from headprune.tasks.nli.subwords import SPECIAL

NO_GOLD = ("-", "-1")  # of SNLI and of the Hugging Face hub, where judges did not agree
MOST_LABELS = 100  # of a corpus; more are a sign of columns in another order
SUSPICIOUS = 20  # of more examples, a label that the first one alone has is a name of a column
ALL_NAMES = ", ".join(" or ".join(names) for names in NAMES.values())


class JudgedPair(NamedTuple):
    """An example as it stands in the file."""

    premise: str
    hypothesis: str
    label: str


@dataclass(frozen=True)
class JudgedCorpus(SplitFiles):
    """A corpus of judged pairs on disk."""

    name: str
    folder: Path
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)  # file name -> hex digest; {}: unknown
    licence: str = "unknown"  # one line
    columns: tuple[str, ...] = COLUMNS  # of files whose first line does not name them

    def candidates(self, split: str) -> tuple[str, ...]:
        return f"{split}.tsv", f"{split}.tsv.gz"


JUDGED_CORPORA: dict[str, JudgedCorpus] = {
    "versenli": JudgedCorpus(
        name="versenli",
        folder=EMBEDDED / "versenli",
        sha256={
            "train.tsv.gz": "13019e3e0efd02f4b902d39822c3101ca8823e8315a61eef2433c41f66a00dc2",
            "valid.tsv.gz": "a3dd4cee09453a1b0b146c112b710affb28edcba6c47a227d52ed79a30e2af8a",
            "test.tsv.gz": "e5765ff571635796c7aff0be201aae792a6e82c668931976d1ffc8d9d3b8d2dd",
        },
        licence="public domain, labels made by rules; see LICENSE and NOTICE in its folder",
        columns=("label", "premise", "hypothesis"),
    ),
}


def judged_corpus(name_or_path: str | Path) -> JudgedCorpus:
    """Finds an embedded or a standard corpus by name, or a user's own by its folder. Nothing is fetched.

    :param name_or_path: a known name wins over a folder of that name
    :raises ValueError: unknown name (with the nearest known one), or a folder without a split.
    """
    name = str(name_or_path)
    if name in JUDGED_CORPORA:
        return JUDGED_CORPORA[name]
    if name in STANDARD_JUDGED:
        folder = folder_of(STANDARD_JUDGED[name])
        return JudgedCorpus(name, folder, checksums(folder), STANDARD_JUDGED[name].licence)
    folder = Path(os.path.expanduser(name))
    if not folder.is_dir():
        raise ValueError(unknown_dataset(name, [*JUDGED_CORPORA, *STANDARD_JUDGED]))
    own = JudgedCorpus(folder.resolve().name, folder, checksums(folder))
    own.require_every_split()
    return own


def read_judged(corpus: JudgedCorpus, split: str) -> list[JudgedPair]:
    """Reads and verifies the examples of a split, in the order of the file.

    :raises ValueError: checksum mismatch, undecodable or malformed line (with file, line and rule), or no examples.
    :raises FileNotFoundError: the split has no file.
    """
    path = corpus.path(split)
    rows = [_row(line, path, number) for number, line in enumerate(read_verified(corpus, path, "example"), start=1)]
    found = named(rows[0], path)
    places, first = (found, 2) if found else ([corpus.columns.index(name) for name in COLUMNS], 1)
    width = len(rows[0]) if found else len(COLUMNS)
    if len(rows) < first:
        raise ValueError(f"{path}: no examples below the names of the columns")
    if found and rows[0] in rows[1:]:
        raise broken(path, rows.index(rows[0], 1) + 1, "names the columns again")
    examples = [_example(row, places, width, path, number) for number, row in enumerate(rows[first - 1 :], start=first)]
    alone = sum(example.label == examples[0].label for example in examples) == 1
    if not found and split == "train" and alone and len(examples) > SUSPICIOUS:
        rule = f"no other line has the label {examples[0].label!r}, as if it named a column"
        raise broken(path, 1, f"{rule}; a first line that does has {ALL_NAMES}")
    return examples


def _row(line: bytes, path: Path, number: int) -> list[str]:
    return decoded(line, path, number).removesuffix("\r").removeprefix("\ufeff").split("\t")


def _example(row: Sequence[str], places: Sequence[int], width: int, path: Path, number: int) -> JudgedPair:
    """The example of a line, or ValueError that names file, line and rule."""
    if not "".join(row).strip():
        raise broken(path, number, "is blank: remove it")
    if len(row) != width:
        raise broken(path, number, f"must have {width} columns separated by a tab, has {len(row)}{hint(row)}")
    for place in places:
        check_characters(row[place], path, number)
    example = JudgedPair(*(" ".join(row[place].split()) for place in places))
    for column, text in zip(COLUMNS, example, strict=True):
        if not text:
            raise broken(path, number, f"must have a {column}")
    if len(example.label) > 1 and example.label[0] == example.label[-1] == '"':
        rule = f"the label {example.label[:60]} is quoted, and a quotation mark is a letter here"
        raise broken(path, number, f"{rule}: write columns without, as csv's QUOTE_NONE does")
    if " " in example.label:
        rule = f"a label is one word, has {example.label[:60]!r}; the columns are {', '.join(COLUMNS)}"
        raise broken(path, number, f"{rule} where the first line does not name them otherwise")
    if example.label in NO_GOLD:
        raise broken(
            path, number, f"the label {example.label!r} stands for none that was agreed on: leave such lines out"
        )
    return example


def labels_of(corpus: JudgedCorpus, splits: Mapping[str, Sequence[JudgedPair]]) -> list[str]:
    """The labels of the train split in alphabetical order, which are the classes of models.

    :raises ValueError: fewer than two or too many, two that differ in case or in how letters are encoded, one that
        fairseq has for itself, or one of another split that the train split lacks.
    """
    known = sorted({example.label for example in splits["train"]})
    _check_labels(corpus.path("train"), known)
    if not 2 <= len(known) <= MOST_LABELS:
        rule = f"2 to {MOST_LABELS} are expected; the columns are {', '.join(corpus.columns)}"
        raise ValueError(f"{corpus.path('train')}: {len(known):,} different labels: {rule}, or as the first line says")
    for split, examples in splits.items():
        for number, example in enumerate(examples, start=1):
            if example.label not in known:
                raise ValueError(
                    f"{corpus.path(split)}, example {number}: label {example.label!r} is not in "
                    f"{corpus.path('train').name}; known ones: {', '.join(known)}"
                )
    return known


def _check_labels(path: Path, labels: Sequence[str]) -> None:
    """ValueError of labels that are one to the eye, or that no dictionary can hold."""
    if taken := [label for label in labels if label in SPECIAL]:
        raise ValueError(f"{path}: the label {taken[0]!r} is a symbol of fairseq's dictionaries: rename it")
    alike: dict[str, str] = {}
    for label in labels:
        other = alike.setdefault(unicodedata.normalize("NFC", label).casefold(), label)
        if other != label:
            raise ValueError(f"{path}: labels {other!a} and {label!a} differ in case or encoding alone: make them one")


def tell(corpus: JudgedCorpus, splits: Mapping[str, Sequence[JudgedPair]]) -> list[str]:
    """Lines for the eye on the labels of every split, and on pairs that two splits share.

    :raises ValueError: as `labels_of`.
    """
    known = labels_of(corpus, splits)
    lines = []
    for split, examples in splits.items():
        counts = Counter(example.label for example in examples)
        lines.append(f"{split} labels: {', '.join(f'{label} {counts[label]:,}' for label in known)}")
    train = {example[:2] for example in splits["train"]}
    for split in ("valid", "test"):
        if shared := sum(example[:2] in train for example in splits[split]):
            lines.append(f"note: {counted(shared, 'pair')} of {split} stand in train, too")
    return lines


def _is_judged(folder: Path) -> bool:
    """True if the first line of a folder's train.tsv has more columns than a pair of sentences.

    A file that cannot be read, or has none, is of judged pairs where the folder's name ends in no pair of languages.
    """
    corpus = JudgedCorpus(folder.name, folder)
    try:
        if read_verified(corpus, corpus.path("train"))[0].count(b"\t") >= len(COLUMNS) - 1:
            return True
    except (OSError, ValueError):
        pass
    files = (folder / name for split in SPLITS for name in corpus.candidates(split))
    return not LANGUAGES.search(folder.resolve().name) and any(path.is_file() for path in files)


JUDGED = CorpusKind(
    "judged pairs", "examples", JUDGED_CORPORA, judged_corpus, read_judged, _is_judged, lambda: STANDARD_JUDGED, tell
)
