"""Interpolated modified Kneser–Ney n-gram models (Chen & Goodman 1998, section 4.1.6): what neural models must beat.

    p_k(w | h) = max(c(h w) − D(c), 0) / Σ_w' c(h w')  +  γ(h) · p_{k−1}(w | h without its first token)

c counts occurrences at the highest order; at lower orders it counts the distinct tokens seen before h w. D is one of
three discounts by count (1, 2, 3 and more) of every order, γ(h) is what they free, and p_0 is uniform over the
vocabulary. The text is one stream of tokens, as for language models with a memory: histories cross ends of lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNSEEN = -1


@dataclass(frozen=True)
class Order:
    """The n-grams of one length, by number, and what is known of their histories.

    A k-gram is known by its key: the number of its history, a (k − 1)-gram, times the vocabulary, plus its last token.
    """

    keys: np.ndarray  # (k-grams,) sorted
    counts: np.ndarray  # (k-grams,)
    totals: np.ndarray  # (histories,) Σ_w c(h w)
    freed: np.ndarray  # (histories,) γ(h) · Σ_w c(h w)
    discounts: np.ndarray  # (4,) by count, 3 standing for 3 and more; 0 for count 0

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Numbers of k-grams; UNSEEN where there is none.

        :param keys: of any shape
        :returns: of the same shape
        """
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, UNSEEN)


class KneserNey:
    """A model of order n, learned at once from a text.

    :param tokens: the training text (tokens,), integers from 0 to `vocabulary` − 1
    :param order: n ≥ 1, the length of the longest n-grams
    :param vocabulary: symbols that can occur
    :raises ValueError: an order below 1, a text shorter than the order, or tokens outside the vocabulary.
    """

    def __init__(self, tokens: np.ndarray, order: int, vocabulary: int) -> None:
        tokens = np.asarray(tokens, dtype=np.int64)
        if order < 1 or len(tokens) < order:
            raise ValueError(f"order {order} for a text of {len(tokens)} tokens: must be 1 to its length")
        if tokens.min() < 0 or tokens.max() >= vocabulary:
            raise ValueError(f"tokens from {tokens.min()} to {tokens.max()} are outside a vocabulary of {vocabulary}")
        self.vocabulary = vocabulary
        self.orders: list[Order] = []
        # Of every k-gram of the text, by its end: numbers of its history and of itself.
        history = np.zeros(len(tokens), dtype=np.int64)
        grams = []  # by order: (keys, occurrences, place of the first one, number by end)
        for k in range(1, order + 1):
            ends = np.arange(k - 1, len(tokens))
            found = np.unique(
                history[ends] * vocabulary + tokens[ends], return_index=True, return_inverse=True, return_counts=True
            )
            keys, first, inverse, occurrences = found
            number = np.full(len(tokens), UNSEEN, dtype=np.int64)
            number[ends] = inverse
            grams.append((keys, occurrences, ends[first], number))
            history = np.concatenate([[UNSEEN], number[:-1]])
        for k, (keys, occurrences, _, number) in enumerate(grams, start=1):
            # Of all orders but the highest: distinct longer n-grams that end in this one.
            counts = occurrences if k == order else np.bincount(number[grams[k][2]], minlength=len(keys))
            self.orders.append(_order(keys, counts, vocabulary, 1 if k == 1 else len(grams[k - 2][0])))

    def probabilities(self, tokens: np.ndarray, start: int = 0) -> np.ndarray:
        """p(token | all tokens before it) of the tokens from `start` on.

        :param tokens: (tokens,), of which those before `start` are history only
        :returns: (tokens − start,)
        :raises ValueError: tokens outside the vocabulary.
        """
        tokens = np.asarray(tokens, dtype=np.int64)
        if len(tokens) and (tokens.min() < 0 or tokens.max() >= self.vocabulary):
            raise ValueError(f"tokens outside a vocabulary of {self.vocabulary}")
        result = np.full(len(tokens), 1 / self.vocabulary)
        history = np.zeros(len(tokens), dtype=np.int64)
        for order in self.orders:
            number = order.find(np.where(history < 0, -1, history * self.vocabulary + tokens))
            total = np.where(history < 0, 0, order.totals[history])
            known = total > 0
            count = np.where(number < 0, 0, order.counts[number])
            kept = count - order.discounts[np.minimum(count, 3)]
            better = (kept + order.freed[history] * result) / np.where(known, total, 1)
            result = np.where(known, better, result)
            history = np.concatenate([[UNSEEN], number[:-1]])
        return result[start:]

    def perplexity(self, tokens: np.ndarray, start: int = 0) -> float:
        """exp of the mean of −ln p over the tokens from `start` on."""
        return float(np.exp(-np.log(self.probabilities(tokens, start)).mean()))


def _order(keys: np.ndarray, counts: np.ndarray, vocabulary: int, histories: int) -> Order:
    """The statistics of one order, from its k-grams and their counts."""
    by_count = discounts(counts)
    history = keys // vocabulary
    freed = np.bincount(history, weights=by_count[np.minimum(counts, 3)], minlength=histories)
    totals = np.bincount(history, weights=counts, minlength=histories)
    return Order(keys, counts, totals, freed, by_count)


def discounts(counts: np.ndarray) -> np.ndarray:
    """The discounts of counts of 0, 1, 2, and 3 and more, by how many n-grams have counts of 1 to 4.

    Where they are too few for three discounts there is one, n₁ / (n₁ + 2 n₂), or ½ if there is nothing to go by.

    :returns: (4,)
    """
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    one = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
    if min(n1, n2, n3) > 0:
        three = np.array([0, 1 - 2 * one * n2 / n1, 2 - 3 * one * n3 / n2, 3 - 4 * one * n4 / n3])
        if (three[1:] > 0).all() and (three <= np.arange(4)).all():
            return three
    return np.array([0, one, one, one])
