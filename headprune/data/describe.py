"""The contents of a prepared corpus, counted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headprune.data.corpora import Corpus, Pairs
from headprune.data.lengths import longest
from headprune.data.splits import SplitFiles

FAIRSEQ_SPECIAL = 4  # <s>, <pad>, </s>, <unk>: in every dictionary, but not in its file


def describe(
    corpus: Corpus,
    before: Mapping[str, Pairs],
    after: Mapping[str, Pairs],
    pieces: Mapping[str, Pairs],
    binarised: Path,
) -> dict[str, Any]:
    """Count pairs, words and tokens of every split, and identify the input.

    :param before: text by split, as in the corpus
    :param after: text by split, after the train filter
    :param pieces: the same as space-separated subword pieces
    :param binarised: folder with the dictionaries
    :returns: a JSON-able dict, of which only `splits.test` and `sha256.test` depend on the test split:

        - `corpus`: name, source, target, licence; `sha256`: see `identify`
        - `vocabulary`: symbols in the dictionary by language, fairseq's special and padding symbols included
        - `splits`: by split `pairs_before_filter`, what `count` returns, and `longest`, see `lengths.longest`
    """
    languages = (corpus.source, corpus.target)
    symbols = {language: read_symbols(binarised / f"dict.{language}.txt") for language in languages}
    return {
        **identify(
            corpus, ("name", "source", "target", "licence"), {split: as_text(pairs) for split, pairs in before.items()}
        ),
        "vocabulary": {language: len(known) + FAIRSEQ_SPECIAL for language, known in symbols.items()},
        "splits": {
            split: {
                "pairs_before_filter": len(before[split]),
                **count(after[split], pieces[split], symbols),
                "longest": longest(pieces[split], before[split], after[split], languages),
            }
            for split in before
        },
    }


def count(text: Pairs, pieces: Pairs, symbols: Mapping[str, set[str]]) -> dict[str, Any]:
    """Counts of one split.

    :param symbols: known pieces by language, source first
    :returns: `pairs`, and by language `words` (separated by whitespace), `tokens` (subword pieces without the
        end of the sentence), `mean_words` and `mean_tokens` (per sentence), `unknown_tokens` (pieces that are
        not in the dictionary)
    """
    result: dict[str, Any] = {"pairs": len(text)}
    counts: dict[str, dict[str, float]] = {}
    for side, (language, known) in enumerate(symbols.items()):
        words = sum(len(pair[side].split()) for pair in text)
        tokens = [piece for pair in pieces for piece in pair[side].split(" ")]
        counts[language] = {
            "words": words,
            "tokens": len(tokens),
            "mean_words": round(words / len(text), 3),
            "mean_tokens": round(len(tokens) / len(text), 3),
            "unknown_tokens": sum(token not in known for token in tokens),
        }
    for name in ("words", "tokens", "mean_words", "mean_tokens", "unknown_tokens"):
        result[name] = {language: values[name] for language, values in counts.items()}
    return result


def read_symbols(path: Path) -> set[str]:
    """The symbols of a fairseq dictionary file, which has `symbol count` on each line."""
    return {line.rsplit(" ", 1)[0] for line in path.read_text(encoding="utf-8").split("\n") if line}


def identify(corpus: SplitFiles, attributes: tuple[str, ...], text: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The marks that tell one corpus from another.

    :param attributes: of the corpus, to be told
    :param text: by split
    :returns: `corpus`: the attributes; `sha256`: of each split's file, or of its text where it has several, and under
        `train+valid` of the text of these two, which is all that a trained model depends on and is independent of
        compression
    """
    digests = {}
    for split, lines in text.items():
        files = corpus.files(split)
        content = files[0].read_bytes() if len(files) == 1 else lines.encode("utf-8")
        digests[split] = hashlib.sha256(content).hexdigest()
    learned_from = hashlib.sha256((text["train"] + text["valid"]).encode("utf-8")).hexdigest()
    return {
        "corpus": {name: getattr(corpus, name) for name in attributes},
        "sha256": {**digests, "train+valid": learned_from},
    }


def as_text(pairs: Pairs) -> str:
    """`source<tab>target<newline>` of every pair."""
    return "".join(f"{source}\t{target}\n" for source, target in pairs)
