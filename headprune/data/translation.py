"""The translation recipe: from a parallel corpus to what fairseq trains on.

The test references are written out, binarised and counted, and influence nothing else: subword model and
dictionary are learned on the train split alone, and no filter touches the valid and test splits.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from headprune.data.binarise import binarise
from headprune.data.corpora import Corpus, Pairs, read_pairs
from headprune.data.describe import as_text, describe
from headprune.data.lengths import Bounds, check_sentences
from headprune.data.recipe import Recipe
from headprune.data.splits import SPLITS
from headprune.data.staging import STATISTICS, staged_folder, write_statistics
from headprune.data.subwords import encode, learn


@dataclass(frozen=True)
class TranslationRecipe(Recipe[Corpus]):
    """The way from a parallel corpus to training data. Raises ValueError on values outside their rule."""

    vocabulary: int = 2000  # subword pieces, learned on both sides of the filtered train split together
    max_words: int | None = None  # train pairs with more words on either side are left out; None: keep all
    joined: bool = True  # one dictionary for both sides, which shared embeddings need
    subword: Literal["sentencepiece"] = "sentencepiece"  # byte-pair pieces, no text normalisation
    corpora: ClassVar[type[Corpus]] = Corpus

    def __post_init__(self) -> None:
        if self.vocabulary < 1:
            raise ValueError(f"vocabulary is {self.vocabulary}: must be at least 1")
        if self.max_words is not None and self.max_words < 1:
            raise ValueError(f"max_words is {self.max_words}: must be at least 1, or None to keep every pair")
        if self.subword != "sentencepiece":
            raise ValueError(f"unknown subword {self.subword!r}; available: sentencepiece")

    def prepare(self, corpus: Corpus, folder: Path | str, bounds: Bounds | None = None) -> dict[str, Any]:
        return prepare(corpus, self, folder, bounds)

    def text(self, corpus: Corpus) -> dict[str, str]:
        return {split: as_text(read_pairs(corpus, split)) for split in SPLITS}

    def check(self, corpus: Corpus, statistics: Mapping[str, Any], bounds: Bounds) -> None:
        check_sentences(corpus, statistics, bounds)


def prepare(
    corpus: Corpus, recipe: TranslationRecipe, folder: Path | str, bounds: Bounds | None = None
) -> dict[str, Any]:
    """Verify, filter, cut into subwords and binarise a corpus; `folder` appears complete or not at all.

    The folder then holds:

    - raw/<split>.src, raw/<split>.tgt: the text as it is in the corpus, one sentence a line, in its order
    - subword.model: the SentencePiece model
    - bin/: dict.<language>.txt and fairseq's datasets
    - statistics.json: the recipe, the corpus, and what `headprune.data.describe.describe` counts

    Equal inputs give equal bytes. An earlier result in `folder` is replaced.

    :param bounds: what will be asked of the splits
    :returns: the content of statistics.json
    :raises ValueError: a corpus file is damaged or malformed, the filter leaves no pair, the train split
        cannot yield that many subword pieces, or a sentence is longer than its bound
    :raises FileNotFoundError: a split of the corpus has no file
    :raises FileExistsError: `folder` holds something else
    :raises OSError: `folder` cannot be written
    """
    with staged_folder(Path(folder), marker=STATISTICS) as work:
        corpus_splits = {split: read_pairs(corpus, split) for split in SPLITS}
        train = within(corpus_splits["train"], recipe.max_words)
        if not train:
            raise ValueError(f"max_words = {recipe.max_words} leaves no train pair of {corpus.name}")
        splits = {**corpus_splits, "train": train}
        write_sides(splits, work / "raw", ("src", "tgt"))

        model = work / "subword.model"
        model.write_bytes(learn((side for pair in train for side in pair), recipe.vocabulary))
        pieces = {split: cut(pairs, model) for split, pairs in splits.items()}
        write_sides(pieces, work / "pieces", (corpus.source, corpus.target))
        binarise(work / "pieces", work / "bin", corpus.source, corpus.target, recipe.joined)
        shutil.rmtree(work / "pieces")

        description = describe(corpus, corpus_splits, splits, pieces, work / "bin")
        check_sentences(corpus, description, bounds or {})
        return write_statistics(work, recipe=recipe.told, **description)


def within(pairs: Pairs, max_words: int | None) -> Pairs:
    """The pairs with at most `max_words` whitespace-separated words on each side; all of them for None."""
    if max_words is None:
        return pairs
    return [pair for pair in pairs if all(len(side.split()) <= max_words for side in pair)]


def cut(pairs: Pairs, model: Path) -> Pairs:
    """The same pairs as space-separated subword pieces."""
    sources, targets = (encode(model, side) for side in zip(*pairs, strict=True))
    return list(zip(sources, targets, strict=True))


def write_sides(splits: dict[str, Pairs], folder: Path, suffixes: tuple[str, str]) -> None:
    """Write <split>.<suffix> for both sides of every split, one line a sentence."""
    folder.mkdir()
    for split, pairs in splits.items():
        for suffix, side in zip(suffixes, zip(*pairs, strict=True), strict=True):
            text = "".join(f"{line}\n" for line in side)
            (folder / f"{split}.{suffix}").write_bytes(text.encode("utf-8"))
