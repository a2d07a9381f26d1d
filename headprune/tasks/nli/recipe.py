"""The recipe of natural language inference: from judged pairs to what fairseq's `sentence_prediction` trains on.

The test examples are written out, binarised and counted, and influence nothing else: subword model, dictionary and the
list of labels are of the train split alone.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from headprune.data.binarise import renumber
from headprune.data.describe import FAIRSEQ_SPECIAL, identify
from headprune.data.lengths import Bounds
from headprune.data.recipe import Recipe
from headprune.data.splits import SPLITS
from headprune.data.staging import STATISTICS, staged_folder, write_statistics
from headprune.tasks.nli.corpora import COLUMNS, JudgedCorpus, JudgedPair, labels_of, read_judged
from headprune.tasks.nli.subwords import Cut, Learned, Released, Subwords, symbols_of

FIELDS = {"premise": "input0", "hypothesis": "input1", "label": "label"}  # the folders that fairseq reads
MARKS = 4  # of RoBERTa around two sentences: <s> premise </s></s> hypothesis </s>
Pieces = dict[str, list[str]]  # lines of space-separated pieces by column


@dataclass(frozen=True)
class JudgedRecipe(Recipe[JudgedCorpus]):
    """The way from judged pairs to training data. Raises ValueError on values outside their rule."""

    vocabulary: int = 2000  # subword pieces, learned on premises and hypotheses of the train split together
    gpt2: Path | None = None  # folder of the files of a released model, whose pieces are used instead
    corpora: ClassVar[type[JudgedCorpus]] = JudgedCorpus

    def __post_init__(self) -> None:
        if self.vocabulary < 1:
            raise ValueError(f"vocabulary is {self.vocabulary}: must be at least 1")

    @property
    def subwords(self) -> Subwords:
        """The pieces that sentences are cut into.

        :raises ValueError: a file of a released model is missing.
        """
        return Learned(self.vocabulary) if self.gpt2 is None else Released(self.gpt2)

    @property
    def told(self) -> dict[str, Any]:
        return self.subwords.told

    def prepare(self, corpus: JudgedCorpus, folder: Path | str, bounds: Bounds | None = None) -> dict[str, Any]:
        return prepare(corpus, self, folder, bounds)

    def text(self, corpus: JudgedCorpus) -> dict[str, str]:
        return {split: _as_text(read_judged(corpus, split)) for split in SPLITS}

    def check(self, corpus: JudgedCorpus, statistics: Mapping[str, Any], bounds: Bounds) -> None:
        for split, bound in bounds.items():
            longest = statistics["splits"][split]["longest"]
            if longest["tokens"] > bound.tokens:
                raise ValueError(
                    f"{corpus.path(split)}, example {longest['example']}: {longest['tokens']:,} subwords with the "
                    f"marks around them; at most {bound.tokens:,} fit: {bound.reason}"
                )


def prepare(
    corpus: JudgedCorpus, recipe: JudgedRecipe, folder: Path | str, bounds: Bounds | None = None
) -> dict[str, Any]:
    """Verifies, cuts into subwords and binarises a corpus; `folder` appears complete or not at all.

    The folder then holds:

    - raw/<split>.premise, .hypothesis, .label: the examples, one a line
    - subword.model: the SentencePiece model, where one is learned
    - bin/input0, bin/input1, bin/label: fairseq's dictionaries and datasets
    - statistics.json: the recipe, the corpus, the labels, and what `describe` counts

    Equal inputs give equal bytes. An earlier result in `folder` is replaced.

    :param bounds: what will be asked of the splits
    :returns: the content of statistics.json
    :raises ValueError: a corpus file is damaged or malformed, a label is unknown, the train split cannot yield that
        many pieces, or an example is longer than its bound.
    :raises FileNotFoundError: a split of the corpus has no file.
    :raises FileExistsError: `folder` holds something else.
    :raises OSError: `folder` cannot be written.
    """
    with staged_folder(Path(folder), marker=STATISTICS) as work:
        splits = {split: read_judged(corpus, split) for split in SPLITS}
        labels = labels_of(corpus, splits)
        sides = (side for example in splits["train"] for side in example[:2])
        cut = recipe.subwords.ready(work, sides)
        pieces = {split: _cut(examples, cut, corpus.path(split)) for split, examples in splits.items()}
        words = Counter(piece for side in COLUMNS[:2] for line in pieces["train"][side] for piece in line.split(" "))
        dictionary = recipe.subwords.dictionary(words)
        known = {**dict.fromkeys(FIELDS, dictionary), "label": "".join(f"{label} 1\n" for label in labels)}
        for column, name in FIELDS.items():
            _write(work / "raw", column, {split: [getattr(e, column) for e in splits[split]] for split in SPLITS})
            _write(work / "pieces" / name, "txt", {split: pieces[split][column] for split in SPLITS})
            (work / "pieces" / name / "dict.txt").write_text(known[column], encoding="utf-8", newline="\n")
            renumber(work / "pieces" / name, work / "bin" / name, work / "pieces" / name, ())
        shutil.rmtree(work / "pieces")
        description = describe(corpus, splits, pieces, symbols_of(dictionary))
        recipe.check(corpus, description, bounds or {})
        return write_statistics(work, recipe=recipe.told, **description, labels=labels)


def describe(
    corpus: JudgedCorpus, splits: Mapping[str, Sequence[JudgedPair]], pieces: Mapping[str, Pieces], symbols: set[str]
) -> dict[str, Any]:
    """Counts the examples, words and tokens of every split, and identifies the input.

    :returns: a JSON-able dict, of which only `splits.test` and `sha256.test` depend on the test split:

        - `corpus`, `sha256`: see `headprune.data.describe.identify`
        - `vocabulary`: symbols in the dictionary, fairseq's special ones included
        - `splits`: by split what `count` returns
    """
    return {
        **identify(corpus, ("name", "licence"), {split: _as_text(examples) for split, examples in splits.items()}),
        "vocabulary": len(symbols) + FAIRSEQ_SPECIAL,
        "splits": {split: count(splits[split], pieces[split], symbols) for split in splits},
    }


def count(examples: Sequence[JudgedPair], pieces: Pieces, symbols: set[str]) -> dict[str, Any]:
    """Counts of one split.

    :returns: `examples`, and how many have each of the `labels`; `words` (between white space); `tokens` (pieces and
        the marks of RoBERTa) and `mean_tokens` of an example; `unknown_tokens`; `longest`: `tokens` of an `example`,
        from 1
    """
    both = [f"{one} {other}".split(" ") for one, other in zip(pieces["premise"], pieces["hypothesis"], strict=True)]
    lengths = [len(line) + MARKS for line in both]
    most = max(range(len(lengths)), key=lengths.__getitem__)
    return {
        "examples": len(examples),
        "labels": dict(sorted(Counter(example.label for example in examples).items())),
        "words": sum(len(side.split()) for example in examples for side in example[:2]),
        "tokens": sum(lengths),
        "mean_tokens": round(sum(lengths) / len(lengths), 3),
        "unknown_tokens": sum(piece not in symbols for line in both for piece in line),
        "longest": {"tokens": lengths[most], "example": most + 1},
    }


def _cut(examples: Sequence[JudgedPair], cut: Cut, path: Path) -> Pieces:
    """Pieces of both sides, and the label, which is one word."""
    sides = {name: cut([getattr(example, name) for example in examples]) for name in COLUMNS[:2]}
    for name, lines in sides.items():
        if "" in lines:
            raise ValueError(f"{path}, example {lines.index('') + 1}: the {name} has no letter that subwords know")
    return {**sides, "label": [example.label for example in examples]}


def _write(folder: Path, suffix: str, lines: Mapping[str, Sequence[str]]) -> None:
    """Writes <split>.<suffix> for every split."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, each in lines.items():
        (folder / f"{split}.{suffix}").write_bytes("".join(f"{line}\n" for line in each).encode("utf-8"))


def _as_text(examples: Sequence[JudgedPair]) -> str:
    """`premise<tab>hypothesis<tab>label<newline>` of every example."""
    return "".join("\t".join(example) + "\n" for example in examples)
