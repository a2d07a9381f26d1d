"""The record of a search, from which finished hypotheses are read at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    """Words, parents and totals of all hypotheses of every step, by sentence, none of which is ever moved."""

    words: Tensor  # (steps, sentences, hypotheses)
    parents: Tensor
    totals: Tensor
    ended: list[Ended] = field(default_factory=list)

    @classmethod
    def empty(cls, steps: int, sentences: int, beam: int, like: Tensor) -> Chart:
        shape = (steps, sentences, beam)
        numbers = torch.zeros(shape, dtype=torch.long, device=like.device)
        return cls(numbers, numbers.clone(), like.new_zeros(shape))

    def go_on(self, step: int, sentences: Tensor, candidates: Candidates) -> None:
        """Notes the hypotheses that these sentences have after a step."""
        self.words[step, sentences] = candidates.words
        self.parents[step, sentences] = candidates.parents
        self.totals[step, sentences] = candidates.scores

    def end(self, step: int, sentences: Tensor, candidates: Candidates, which: Tensor, length_penalty: float) -> None:
        """Notes the hypotheses that end at a step.

        :param which: of the candidates (sentences, candidates); fewer columns than candidates have are the first
        :param length_penalty: power of the length, end included, that totals are divided by
        """
        row, column = which.nonzero(as_tuple=True)
        parents, totals = candidates.parents[row, column], candidates.scores[row, column]
        scores = totals / (step + 1) ** length_penalty
        self.ended.append(Ended(torch.full_like(row, step), sentences[row], parents, totals, scores))

    def hypotheses(self, end: int) -> list[list[Hypothesis]]:
        """All hypotheses that ended, by sentence, the best first.

        :param end: the word that ends a sentence
        """
        result: list[list[Hypothesis]] = [[] for _ in range(self.words.shape[1])]
        if not self.ended:
            return result
        found = Ended(*(torch.cat([getattr(each, name) for each in self.ended]) for name in Ended.__annotations__))
        words, totals = self._traced(found, end)
        shares = totals.diff(dim=1, prepend=totals.new_zeros(len(totals), 1))
        sentences, steps = found.sentences.tolist(), found.steps.tolist()
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
        slots = found.parents
        for step in range(longest - 2, -1, -1):
            begun = step < found.steps
            place = (step, found.sentences, slots)
            words[:, step] = torch.where(begun, self.words[place], end)
            totals[:, step] = torch.where(begun, self.totals[place], found.totals)
            slots = torch.where(begun, self.parents[place], slots)
        return words, totals
