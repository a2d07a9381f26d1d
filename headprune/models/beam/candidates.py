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


def best(log_probabilities: Tensor, totals: Tensor, number: int) -> Candidates:
    """The best continuations: those of the groups of words with the best bests.

    One pass looks for the best word of every group; the `number` best words of a sentence are in the `number` groups
    whose best are best, all that need sorting.

    :param log_probabilities: of the next word (sentences, hypotheses, words, a multiple of `GROUP`); those of a
        hypothesis may all be no numbers, which stands for −∞
    :param totals: of the hypotheses so far (sentences, hypotheses)
    :returns: `number` candidates of every sentence
    """
    sentences, rows, words = log_probabilities.shape
    groups = log_probabilities.view(sentences, -1, GROUP)
    tops = groups.amax(-1).view(sentences, rows, -1) + totals.unsqueeze(-1)
    tops = tops.nan_to_num_(nan=float("-inf"), neginf=float("-inf")).flatten(1)
    chosen = tops.topk(min(number, tops.shape[1]), sorted=False).indices  # (sentences, groups)
    members = groups.gather(1, chosen.unsqueeze(-1).expand(-1, -1, GROUP))
    members += totals.gather(1, chosen // (words // GROUP)).unsqueeze(-1)
    scores, places = members.nan_to_num_(nan=float("-inf"), neginf=float("-inf")).flatten(1).topk(number)
    index = chosen.gather(1, places // GROUP) * GROUP + places % GROUP
    return Candidates(scores, index % words, index // words)


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


def continued(candidates: Candidates, ends: Tensor, beam: int) -> Candidates:
    """The best `beam` candidates that do not end.

    :param ends: which candidates end (sentences, candidates); no more than leave `beam` of them
    """
    ranks = torch.arange(ends.shape[1], device=ends.device) + ends * ends.shape[1]
    order = ranks.topk(beam, largest=False).indices
    return Candidates(*(each.gather(1, order) for each in (candidates.scores, candidates.words, candidates.parents)))
