"""Checks that the sentences of a prepared corpus fit what will read them, and that there is enough running text.

Found here, a violation is an error of the data; found by what reads them, hours of training have gone before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headprune.data.corpora import Corpus, Pairs
from headprune.data.splits import SplitFiles


@dataclass(frozen=True)
class Bound:
    """A demand on a split: of pairs, that no side has more tokens than this; of text, that it has as many."""

    tokens: int  # end of the sentence included
    reason: str  # who asks, with the key that changes it


Bounds = Mapping[str, Bound]  # by split


def strictest(limits: Mapping[str, Mapping[str, Sequence[Bound]]], always: Mapping[str, Bound]) -> dict[str, Bound]:
    """The bound of every split that allows least.

    :param limits: of models, by their names and by split; `{}` in a reason stands for the name
    :param always: a bound of every split, whatever reads it
    """
    found = {}
    for split, bound in always.items():
        own = [Bound(b.tokens, b.reason.format(name)) for name, each in limits.items() for b in each.get(split, ())]
        found[split] = min([*own, bound], key=lambda each: each.tokens)
    return found


def longest(pieces: Pairs, before: Pairs, after: Pairs, languages: tuple[str, str]) -> dict[str, dict[str, int]]:
    """The longest sentence of a split, by language.

    :param pieces: space-separated subword pieces of `after`
    :param before: the pairs of the file, of which a filter left `after`
    :returns: `tokens`, the end of the sentence included, as fairseq counts; `line` of the file, from 1
    """
    found = {}
    for side, language in enumerate(languages):
        lengths = [pair[side].count(" ") + 2 for pair in pieces]
        position = max(range(len(lengths)), key=lengths.__getitem__)
        found[language] = {"tokens": lengths[position], "line": before.index(after[position]) + 1}
    return found


def check_sentences(corpus: Corpus, statistics: Mapping[str, Any], bounds: Bounds) -> None:
    """:raises ValueError: a sentence of pairs is too long; names file, line and limit.

    :param statistics: what `prepare` counted
    """
    for split, bound in bounds.items():
        _check_split(corpus, split, statistics["splits"].get(split, {}).get("longest", {}), bound)


def check_sizes(corpus: SplitFiles, statistics: Mapping[str, Any], bounds: Bounds) -> None:
    """:raises ValueError: a split of text has too few tokens; names file and limit.

    :param statistics: what `prepare` counted
    """
    for split, bound in bounds.items():
        counts = statistics["splits"].get(split, {})
        if counts.get("tokens", bound.tokens) < bound.tokens:
            raise ValueError(
                f"{corpus.path(split)}: {counts['tokens']:,} tokens; at least {bound.tokens:,} are needed: "
                f"{bound.reason}"
            )


def _check_split(corpus: Corpus, split: str, found: Mapping[str, Mapping[str, int]], bound: Bound) -> None:
    files = corpus.files(split)
    for side, language in enumerate((corpus.source, corpus.target)):
        tokens = found.get(language, {}).get("tokens", 0)
        if tokens > bound.tokens:
            raise ValueError(
                f"{files[side % len(files)]}, line {found[language]['line']}: {tokens:,} {language} subwords, the end "
                f"of the sentence included; at most {bound.tokens:,} fit: {bound.reason}"
            )
