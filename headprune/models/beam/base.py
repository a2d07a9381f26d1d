"""The rules of a beam search, and what a search is to those who call it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

Hypothesis = Mapping[str, Tensor]  # fairseq's `tokens` (subwords and end), `score`, `positional_scores` (of each token)


@dataclass(frozen=True)
class BeamRules:
    """Hypotheses kept, their lengths, their scores, in the words of `fairseq-generate`."""

    beam: int = 5
    length_penalty: float = 1.0  # power of the length, end of sentence included, that a score is divided by
    max_len_a: float = 0.0
    max_len_b: int = 200
    min_len: int = 1

    def longest(self, source: int, positions: int) -> int:
        """The most subwords of a hypothesis, end of sentence not counted: a · source + b, and no more than the decoder
        has positions for.

        :param source: columns of the batch, padding included
        :param positions: of the decoder
        :raises ValueError: `min_len` is above that.
        """
        longest = min(int(self.max_len_a * source + self.max_len_b), positions - 1)
        if self.min_len > longest:
            raise ValueError(
                f"min_len {self.min_len} is above the longest length, {longest}, of sources of {source} subwords"
            )
        return longest

    def arguments(self) -> Namespace:
        """The same for fairseq."""
        return Namespace(
            beam=self.beam,
            lenpen=self.length_penalty,
            max_len_a=self.max_len_a,
            max_len_b=self.max_len_b,
            min_len=self.min_len,
        )


class BeamSearch(Protocol):
    """A beam search with one model, whose weights and gates stay as they are when the search is made."""

    def __call__(self, batch: Mapping[str, Any]) -> list[list[Hypothesis]]:
        """The best hypotheses of every sentence, in the order of the batch, the best first.

        :param batch: as fairseq collates sentence pairs; the targets are not looked at
        """
