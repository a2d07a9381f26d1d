"""The recipe of language modeling: from a text corpus to what fairseq's language models train on.

The test text is written out, binarised and counted, and influences nothing else: subword model and dictionary are
learned on the train split alone.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from headprune.data.binarise import binarise_text
from headprune.data.describe import FAIRSEQ_SPECIAL, identify, read_symbols
from headprune.data.lengths import Bounds, check_sizes
from headprune.data.recipe import Recipe
from headprune.data.splits import SPLITS
from headprune.data.staging import STATISTICS, staged_folder, write_statistics
from headprune.data.subwords import learn
from headprune.data.text import TextCorpus, read_lines
from headprune.data.units import UNITS, Units, cut

MODEL = "subword.model"


@dataclass(frozen=True)
class LanguageModelingRecipe(Recipe[TextCorpus]):
    """The way from a text corpus to training data. Raises ValueError on values outside their rule."""

    units: Units = "bpe"  # bpe: SentencePiece byte-pair pieces; words; characters; bytes: of the UTF-8 text
    vocabulary: int | None = 2000  # bpe: pieces; others: the most frequent units are kept, None: no limit
    minimum_count: int = 1  # units that the train split has less often are unknown; 1: none
    split_punctuation: bool = False  # words: make punctuation words of their own, which raw text needs
    corpora: ClassVar[type[TextCorpus]] = TextCorpus

    def __post_init__(self) -> None:
        if self.units not in UNITS:
            raise ValueError(f"unknown units {self.units!r}; available: {', '.join(UNITS)}")
        if self.vocabulary is not None and self.vocabulary < 1:
            raise ValueError(f"vocabulary is {self.vocabulary}: must be at least 1, or None for no limit")
        if self.vocabulary is None and self.units == "bpe":
            raise ValueError("vocabulary is None: units bpe need a number of pieces")
        if self.minimum_count < 1:
            raise ValueError(f"minimum_count is {self.minimum_count}: must be at least 1")
        if self.split_punctuation and self.units != "words":
            raise ValueError(f"split_punctuation is for units words, not {self.units}")

    def prepare(self, corpus: TextCorpus, folder: Path | str, bounds: Bounds | None = None) -> dict[str, Any]:
        return prepare(corpus, self, folder, bounds)

    def text(self, corpus: TextCorpus) -> dict[str, str]:
        return _joined({split: read_lines(corpus, split) for split in SPLITS})

    def check(self, corpus: TextCorpus, statistics: Mapping[str, Any], bounds: Bounds) -> None:
        check_sizes(corpus, statistics, bounds)


def prepare(
    corpus: TextCorpus, recipe: LanguageModelingRecipe, folder: Path | str, bounds: Bounds | None = None
) -> dict[str, Any]:
    """Verify, cut into units and binarise a corpus; `folder` appears complete or not at all.

    The folder then holds:

    - raw/<split>.txt: the text as it is in the corpus
    - subword.model: the SentencePiece model, for units bpe
    - bin/: dict.txt, most frequent first, and fairseq's datasets, where every line ends in `</s>`
    - statistics.json: the recipe, the corpus, and what `describe` counts

    Equal inputs give equal bytes. An earlier result in `folder` is replaced.

    :param bounds: what will be asked of the splits
    :returns: the content of statistics.json
    :raises ValueError: a corpus file is damaged or malformed, the train split cannot yield that many pieces, or a
        split has fewer tokens than its bound
    :raises FileNotFoundError: a split of the corpus has no file
    :raises FileExistsError: `folder` holds something else
    :raises OSError: `folder` cannot be written
    """
    with staged_folder(Path(folder), marker=STATISTICS) as work:
        lines = {split: read_lines(corpus, split) for split in SPLITS}
        if not any(line.strip() for line in lines["train"]):
            raise ValueError(f"{corpus.path('train')}: nothing but white space")
        write_splits(lines, work / "raw")
        if (learned := subword_model(lines["train"], recipe)) is not None:
            (work / MODEL).write_bytes(learned)
        pieces = {split: _cut(corpus, split, lines[split], recipe, work / MODEL) for split in SPLITS}
        write_splits(pieces, work / "pieces")
        # Pieces are never dropped from the dictionary: those that the train split uses are fewer than asked for.
        most = None if recipe.units == "bpe" else recipe.vocabulary
        binarise_text(work / "pieces", work / "bin", recipe.minimum_count, most)
        shutil.rmtree(work / "pieces")
        description = describe(corpus, lines, pieces, work / "bin")
        check_sizes(corpus, description, bounds or {})
        return write_statistics(work, recipe=recipe.told, **description)


def subword_model(lines: list[str], recipe: LanguageModelingRecipe) -> bytes | None:
    """The SentencePiece model that is learned from the lines with text; None where units are not pieces.

    :raises ValueError: the lines cannot yield that many pieces
    """
    if recipe.units != "bpe":
        return None
    assert recipe.vocabulary is not None
    return learn((line for line in lines if line.strip()), recipe.vocabulary)


def describe(
    corpus: TextCorpus, lines: dict[str, list[str]], pieces: dict[str, list[str]], binarised: Path
) -> dict[str, Any]:
    """Count lines, words, tokens and bytes of every split, and identify the input.

    :param lines: text by split
    :param pieces: the same as space-separated units
    :returns: a JSON-able dict, of which only `splits.test` and `sha256.test` depend on the test split:

        - `corpus`, `sha256`: see `headprune.data.describe.identify`
        - `vocabulary`: symbols in the dictionary, fairseq's special and padding symbols included
        - `splits`: by split what `count` returns
    """
    symbols = read_symbols(binarised / "dict.txt")
    return {
        **identify(corpus, ("name", "licence"), _joined(lines)),
        "vocabulary": len(symbols) + FAIRSEQ_SPECIAL,
        "splits": {split: count(lines[split], pieces[split], symbols) for split in SPLITS},
    }


def _joined(lines: Mapping[str, list[str]]) -> dict[str, str]:
    """The text of every split, its newlines included."""
    return {split: "".join(f"{line}\n" for line in lines[split]) for split in SPLITS}


def count(lines: list[str], pieces: list[str], symbols: set[str]) -> dict[str, int]:
    """Counts of one split.

    :returns: `lines`, `words` (between white space), `bytes` (of the text in UTF-8, a newline after every line, as wc
        counts), `tokens` (units, and the `</s>` that ends every line: what a language model predicts),
        `unknown_tokens` (units that are not in the dictionary)
    """
    units = Counter(unit for line in pieces for unit in line.split(" ") if unit)
    return {
        "lines": len(lines),
        "words": sum(len(line.split()) for line in lines),
        "bytes": sum(len(line.encode("utf-8")) + 1 for line in lines),
        "tokens": units.total() + len(lines),
        "unknown_tokens": sum(number for unit, number in units.items() if unit not in symbols),
    }


def write_splits(splits: dict[str, list[str]], folder: Path) -> None:
    """Write <split>.txt for every split."""
    folder.mkdir()
    for split, lines in splits.items():
        (folder / f"{split}.txt").write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))


def _cut(corpus: TextCorpus, split: str, lines: list[str], recipe: LanguageModelingRecipe, model: Path) -> list[str]:
    try:
        return cut(lines, recipe.units, model, recipe.split_punctuation)
    except ValueError as error:
        raise ValueError(f"{corpus.path(split)}: {error}") from None
