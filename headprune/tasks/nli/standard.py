"""MNLI, SNLI and RTE, from their archives. Addresses and sums are those that Tensorflow Datasets publishes.

The papers chose hyper-parameters on the development sets that they report, as the test sets of GLUE have no labels.
Here the development set is the test set, and a part of the train set is held out for all choices: that of the premises
whose hash says so, so that no premise is in both.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from headprune.data.sources import Source
from headprune.data.standard.base import Route, Standard, plain, read_lines
from headprune.data.unpacking import unpack

Examples = list[tuple[str, str, str]]  # (premise, hypothesis, label)
UNDECIDED = "-"  # of SNLI, where no label has a majority
GLUE = "https://dl.fbaipublicfiles.com/glue/data"


def read_columns(path: Path) -> Iterator[tuple[str, str, str]]:
    """Premise, hypothesis and label of a file whose first line names its columns; a quotation mark is a letter.

    :raises ValueError: a column is missing, or a line is too short.
    """
    first, *lines = read_lines(path)
    names = first.strip().split("\t")
    gold = "gold_label" if "gold_label" in names else "label"
    missing = [name for name in ("sentence1", "sentence2", gold) if name not in names]
    if missing:
        raise ValueError(f"{path.name}: no column {missing[0]!r}; the first line names {', '.join(names)}")
    places = [names.index(name) for name in ("sentence1", "sentence2", gold)]
    for number, line in enumerate(lines, start=2):
        row = line.split("\t")
        if len(row) <= max(places):
            raise ValueError(f"{path.name}, line {number}: {len(row)} columns, expected {len(names)}")
        premise, hypothesis, label = (plain(row[place]) for place in places)
        if premise and hypothesis and label != UNDECIDED:
            yield premise, hypothesis, label


def is_held_out(premise: str, percent: int) -> bool:
    """True if all examples of a premise are for choices, not for training."""
    return int.from_bytes(hashlib.sha256(premise.encode()).digest()[:8], "big") % 100 < percent


def build(archive: str, names: Mapping[str, str], percent: int, files: Mapping[str, Path], folder: Path) -> None:
    """The splits of an archive.

    :param names: of the files in it, by split; without `valid`, it is held out of the train set
    :param percent: of the premises of the train set that are held out
    :raises ValueError: a file is missing in the archive, or is not what it should be.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        wanted = set(names.values())  # SNLI's archive has a member `Icon\r` beside them
        found = {path.name: path for path in unpack(files[archive], Path(temporary) / "zip", 2**31, only=wanted)}
        missing = [name for name in names.values() if name not in found]
        if missing:
            raise ValueError(f"{archive} holds no {missing[0]}")
        splits = {split: list(read_columns(found[name])) for split, name in names.items()}
    if "valid" not in splits:
        held = [is_held_out(premise, percent) for premise, _, _ in splits["train"]]
        splits["valid"] = [row for row, out in zip(splits["train"], held, strict=True) if out]
        splits["train"] = [row for row, out in zip(splits["train"], held, strict=True) if not out]
    for split, examples in splits.items():
        with (folder / f"{split}.tsv").open("w", encoding="utf-8", newline="\n") as file:
            file.writelines("\t".join(example) + "\n" for example in examples)


def archived(source: Source, names: Mapping[str, str], percent: int = 0) -> tuple[Route, ...]:
    """The only way to a corpus: one archive."""
    return (Route((source,), partial(build, source.name, names, percent)),)


MNLI_ZIP = Source(
    "MNLI.zip",
    (f"{GLUE}/MNLI.zip",),
    312_783_507,
    {"sha256": "e7c1d896d26ed6caf700110645df426cc2d8ebf02a5ab743d5a5c68ac1c83633"},
)
SNLI_ZIP = Source(
    "snli_1.0.zip",
    ("https://nlp.stanford.edu/projects/snli/snli_1.0.zip",),
    94_550_081,
    {"sha256": "afb3d70a5af5d8de0d9d81e2637e0fb8c22d1235c2749d83125ca43dab0dbd3e"},
)
RTE_ZIP = Source(
    "RTE.zip",
    (f"{GLUE}/RTE.zip",),
    697_150,
    {"sha256": "6bf86de103ecd335f3441bd43574d23fef87ecc695977a63b82d5efb206556ee"},
)
MNLI_HOME, MNLI_LICENCE = "https://cims.nyu.edu/~sbowman/multinli/", "OANC, CC BY and others by genre: see its home"


def _mnli(name: str, tested: str, count: int) -> Standard:
    return Standard(
        name=name,
        kind="pairs",
        routes=archived(MNLI_ZIP, {"train": "train.tsv", "test": tested}, percent=2),
        licence=MNLI_LICENCE,
        home=MNLI_HOME,
        counts={"test": count},
    )


MNLI = _mnli("mnli", "dev_mismatched.tsv", 9_832)  # the set that differentiable subset pruning reports
MNLI_MATCHED = _mnli("mnli-matched", "dev_matched.tsv", 9_815)
SNLI = Standard(
    name="snli",
    kind="pairs",
    routes=archived(
        SNLI_ZIP,
        {split: f"snli_1.0_{name}.txt" for split, name in (("train", "train"), ("valid", "dev"), ("test", "test"))},
    ),
    licence="CC BY-SA 4.0",
    home="https://nlp.stanford.edu/projects/snli/",
    counts={"train": 549_367, "valid": 9_842, "test": 9_824},
)
RTE = Standard(
    name="rte",
    kind="pairs",
    routes=archived(RTE_ZIP, {"train": "train.tsv", "test": "dev.tsv"}, percent=10),
    licence="of the RTE challenges; see its home",
    home="https://gluebenchmark.com/tasks",
    counts={"test": 277},
)
STANDARD_JUDGED = {each.name: each for each in (MNLI, MNLI_MATCHED, SNLI, RTE)}
