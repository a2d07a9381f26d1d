"""sacrebleu's BLEU and chrF2 of many corpora at once, from their totals, in its default settings.

A test compares both with sacrebleu's own functions, number by number, to 1e-9.
"""

from __future__ import annotations

import numpy as np

from headprune.statistics.base import Array

ORDERS = 4  # of n-grams in BLEU
BETA = 2  # of chrF: the weight of recall


def bleu(totals: Array) -> Array:
    """BLEU with exponential smoothing (Papineni et al. 2002; NIST's mteval-v13a for orders without a match).

    :param totals: (corpora, 10): lengths of system and references, then by order matches and n-grams
    :returns: (corpora,) from 0 to 100
    """
    length, references = totals[:, 0], totals[:, 1]
    matches, ngrams = totals[:, 2 : 2 + ORDERS], totals[:, 2 + ORDERS :]
    with np.errstate(divide="ignore", invalid="ignore"):
        halved = np.exp2(np.cumsum(matches == 0, axis=1))  # 2, 4, … for the first, the second order without a match
        logs = np.log(np.where(matches == 0, 1 / halved, matches)) - np.log(ngrams)
        brevity = np.minimum(1 - references / length, 0)
        found = 100 * np.exp(brevity + logs.mean(axis=1))
    return np.where(matches.any(axis=1) & ngrams.all(axis=1), found, 0.0)


def chrf(totals: Array) -> Array:
    """chrF2 (Popović 2015): the F of precision and recall of characters, each averaged over orders that both have.

    :param totals: (corpora, 18): by order n-grams of the system, n-grams of the references, matches
    :returns: (corpora,) from 0 to 100
    """
    system, references, matches = (totals[:, start::3] for start in range(3))
    both = (system > 0) & (references > 0)
    orders = np.maximum(both.sum(axis=1), 1)
    precision, recall = (
        np.divide(matches, ngrams, out=np.zeros_like(matches), where=both).sum(axis=1) / orders
        for ngrams in (system, references)
    )
    total = BETA**2 * precision + recall
    found = 100 * (1 + BETA**2) * precision * recall
    return np.divide(found, total, out=np.zeros_like(found), where=total > 0)
