"""Kneser–Ney against dictionaries and loops, against hand-made numbers, and against the axioms of probability."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headprune.tasks.language_modeling.ngram import KneserNey, discounts


class ByDictionary:
    """The same model from its definition: n-grams as tuples, counted one by one."""

    def __init__(self, tokens: list[int], order: int, vocabulary: int) -> None:
        self.order, self.vocabulary = order, vocabulary
        self.counts: dict[int, Counter[tuple[int, ...]]] = {}
        for k in range(1, order + 1):
            longer = {tuple(tokens[i : i + k + 1]) for i in range(len(tokens) - k)}
            if k == order:
                self.counts[k] = Counter(tuple(tokens[i : i + k]) for i in range(len(tokens) - k + 1))
            else:
                self.counts[k] = Counter(gram[1:] for gram in longer)
        self.discounts = {}
        self.continuations: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for k, counts in self.counts.items():
            self.discounts[k] = discounts(np.array(list(counts.values())))
            for gram, count in counts.items():
                self.continuations[gram[:-1]].append(count)

    def probability(self, history: tuple[int, ...], token: int) -> float:
        history = history[-(self.order - 1) :] if self.order > 1 else ()
        below = 1 / self.vocabulary if not history else self.probability_of_lower(history, token)
        return self.interpolate(history, token, below)

    def probability_of_lower(self, history: tuple[int, ...], token: int) -> float:
        shorter = history[1:]
        below = 1 / self.vocabulary if not shorter else self.probability_of_lower(shorter, token)
        return self.interpolate(shorter, token, below)

    def interpolate(self, history: tuple[int, ...], token: int, below: float) -> float:
        seen = self.continuations.get(history, [])
        if not sum(seen):
            return below
        taken = self.discounts[len(history) + 1]
        count = self.counts[len(history) + 1][(*history, token)]
        freed = sum(taken[min(each, 3)] for each in seen)
        return (count - taken[min(count, 3)] + freed * below) / sum(seen)


texts = st.lists(st.integers(0, 5), min_size=4, max_size=60)


@settings(max_examples=60)
@given(texts, texts, st.integers(1, 4))
def test_equals_counting_one_by_one(train: list[int], other: list[int], order: int) -> None:
    model, reference = KneserNey(np.array(train), order, 7), ByDictionary(train, order, 7)
    found = model.probabilities(np.array(other))
    expected = [reference.probability(tuple(other[:i]), other[i]) for i in range(len(other))]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.array_equal(model.probabilities(np.array(other), 2), found[2:])


@settings(max_examples=60)
@given(texts, texts, st.integers(1, 5))
def test_probabilities_sum_to_one_and_none_is_zero(train: list[int], history: list[int], order: int) -> None:
    """After any history, seen or not, over a vocabulary with symbols that never occur."""
    if len(train) < order:
        return
    model = KneserNey(np.array(train), order, 9)
    every = [model.probabilities(np.array([*history, token]), len(history))[0] for token in range(9)]
    assert min(every) > 0
    assert sum(every) == pytest.approx(1, abs=1e-12)


def test_bigrams_by_hand() -> None:
    """Text a b a b a c, order 2: bigrams ab 2, ba 2, ac 1; counts of counts n1 = 1, n2 = 2: one discount, 1/5.

    Continuation counts of a, b, c: 1 (after b), 1 (after a), 1 (after a); n1 = 3, n2 = 0: the discount is 1/2.
    p_1(x) = (1 − ½)/3 + (3 · ½)/3 · ¼ = 7/24 for a, b, c, and 1/8 for the fourth symbol.
    p_2(b | a) = (2 − ⅕)/3 + (2 · ⅕)/3 · 7/24; p_2(a | a) = (2 · ⅕)/3 · 7/24; after c nothing is known.
    """
    model = KneserNey(np.array([0, 1, 0, 1, 0, 2]), 2, 4)
    found = model.probabilities(np.array([0, 1]))
    assert found[0] == pytest.approx(7 / 24)
    assert found[1] == pytest.approx(1.8 / 3 + 0.4 / 3 * 7 / 24)
    assert model.probabilities(np.array([0, 0]))[1] == pytest.approx(0.4 / 3 * 7 / 24)
    assert model.probabilities(np.array([2, 3]))[1] == pytest.approx(1 / 8)


def test_three_discounts_by_hand() -> None:
    """n = 8, 4, 2, 1: Y = 8/16; D = 1 − 2Y/2, 2 − 3Y/2, 3 − 4Y/2 = 0.5, 1.25, 2."""
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 3])
    np.testing.assert_allclose(discounts(counts), [0, 0.5, 1.25, 2])
    np.testing.assert_allclose(discounts(np.array([5, 7])), [0, 0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("tokens", "order", "rule"), [([0, 1], 3, "must be 1"), ([0, 1], 0, "must be 1"), ([0, 9], 1, "outside")]
)
def test_impossible_models_are_refused(tokens: list[int], order: int, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        KneserNey(np.array(tokens), order, 3)
    with pytest.raises(ValueError, match="outside"):
        KneserNey(np.array([0, 1, 2]), 2, 3).probabilities(np.array([3]))
