"""The best continuations of the hypotheses of a sentence, and which of them end or go on: pure functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GROUP = 64  # words whose best is found before the best words are


@dataclass(frozen=True)
class Candidates:
    """Continuations of the hypotheses of every sentence, the best first; each (sentences, candidates)."""

    scores: Tensor  # sums of log-probabilities
    words: Tensor
    parents: Tensor  # the hypotheses that they continue

    def of(self, sentences: Tensor) -> Candidates:
        """The candidates of some sentences, in that order."""
        return Candidates(self.scores[sentences], self.words[sentences], self.parents[sentences])


def best(log_probabilities: Tensor, totals: Tensor, number: int) -> Candidates:
    """The best continuations: those of the groups of words with the best bests.

    One pass looks for the best word of every group; the `number` best words of a sentence are in the `number` groups
    whose best are best, all that need sorting.

    :param log_probabilities: of the next word (sentences, hypotheses, words, a multiple of `GROUP`); what is no number
        comes first
    :param totals: of the hypotheses so far (sentences, hypotheses)
    :returns: `number` candidates of every sentence
    """
    sentences, rows, words = log_probabilities.shape
    groups = log_probabilities.view(sentences, -1, GROUP)
    tops = (groups.amax(-1).view(sentences, rows, -1) + totals.unsqueeze(-1)).flatten(1)
    chosen = tops.topk(min(number, tops.shape[1]), sorted=False).indices  # (sentences, groups)
    parents = chosen // (words // GROUP)
    members = groups.gather(1, chosen.unsqueeze(-1).expand(-1, -1, GROUP)).add_(totals.gather(1, parents).unsqueeze(-1))
    scores, places = members.flatten(1).topk(number)
    which = places // GROUP
    index = chosen.gather(1, which) * GROUP + places % GROUP
    return Candidates(scores, index % words, parents.gather(1, which))


def forbid(log_probabilities: Tensor, padding: int, end: int, too_short: bool, last: bool) -> None:
    """Takes away, in place, what may not follow: padding; the end of too short a hypothesis; all but the end at last.

    :param log_probabilities: (sentences, hypotheses, words)
    """
    log_probabilities[..., padding] = float("-inf")
    if last:
        log_probabilities[..., :end] = float("-inf")
        log_probabilities[..., end + 1 :] = float("-inf")
    if too_short:
        log_probabilities[..., end] = float("-inf")


def continued(candidates: Candidates, ends: Tensor | None, beam: int) -> Candidates:
    """The best `beam` candidates that do not end.

    :param ends: which candidates end (sentences, candidates), no more than leave `beam` of them; None: none
    """
    parts = (candidates.scores, candidates.words, candidates.parents)
    if ends is None:
        return Candidates(*(each[:, :beam] for each in parts))
    ranks = torch.arange(ends.shape[1], device=ends.device) + ends * ends.shape[1]
    order = ranks.topk(beam, largest=False).indices
    return Candidates(*(each.gather(1, order) for each in parts))
