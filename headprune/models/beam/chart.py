"""The record of a search, from which finished hypotheses are read at the end."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from headprune.models.beam.base import Hypothesis
from headprune.models.beam.candidates import Candidates


@dataclass(frozen=True)
class Ended:
    """Hypotheses that ended at one step; each (hypotheses,)."""

    steps: Tensor
    sentences: Tensor
    parents: Tensor  # which hypotheses of the step before they end
    totals: Tensor  # sums of log-probabilities
    scores: Tensor  # totals over a power of the length


@dataclass
class Chart:
    """The hypotheses of `size` sentences after every step, and those that ended."""

    size: int
    steps: list[tuple[Tensor, Candidates]] = field(default_factory=list)  # sentences not yet done, their hypotheses
    ended: list[Ended] = field(default_factory=list)

    def end(self, sentences: Tensor, candidates: Candidates, which: Tensor, length_penalty: float) -> None:
        """Notes the hypotheses that end at the step after those that there are.

        :param sentences: numbers of the sentences of the candidates
        :param which: of the candidates (sentences, candidates); fewer columns than candidates have are the first
        :param length_penalty: power of the length, end included, that totals are divided by
        """
        row, column = which.nonzero(as_tuple=True)
        parents, totals = candidates.parents[row, column], candidates.scores[row, column]
        scores = totals / (len(self.steps) + 1) ** length_penalty
        self.ended.append(Ended(torch.full_like(row, len(self.steps)), sentences[row], parents, totals, scores))

    def hypotheses(self, end: int) -> list[list[Hypothesis]]:
        """The hypotheses that ended, by sentence, the best first.

        :param end: the word that ends a sentence
        """
        found = Ended(*(torch.cat([getattr(each, item.name) for each in self.ended]) for item in fields(Ended)))
        words, totals = self._traced(found, end)
        shares = totals.diff(dim=1, prepend=totals.new_zeros(len(totals), 1))
        sentences, steps = found.sentences.tolist(), found.steps.tolist()
        result: list[list[Hypothesis]] = [[] for _ in range(self.size)]
        for i in found.scores.float().argsort(descending=True, stable=True).tolist():
            own = slice(steps[i] + 1)
            result[sentences[i]].append(
                {"tokens": words[i, own], "score": found.scores[i], "positional_scores": shares[i, own]}
            )
        return result

    def _traced(self, found: Ended, end: int) -> tuple[Tensor, Tensor]:
        """Words and running totals of hypotheses, from their ends to their beginnings.

        :returns: (hypotheses, longest), (hypotheses, longest); what follows a hypothesis' end is of no meaning
        """
        longest = int(found.steps.max()) + 1
        words = found.steps.new_full((len(found.steps), longest), end)
        totals = found.totals.unsqueeze(1).repeat(1, longest)
        slots, rows = found.parents, found.steps.new_zeros(self.size)
        for step in range(longest - 2, -1, -1):
            sentences, candidates = self.steps[step]
            begun = step < found.steps
            rows[sentences] = torch.arange(len(sentences), device=rows.device)
            place = (rows[found.sentences].where(begun, 0), slots.where(begun, 0))
            words[:, step] = candidates.words[place].where(begun, end)
            totals[:, step] = candidates.scores[place].where(begun, found.totals)
            slots = candidates.parents[place].where(begun, slots)
        return words, totals
