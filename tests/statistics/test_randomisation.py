"""Approximate randomisation with ties: enumeration, closed forms, sacrebleu's scores, and its size on equal systems."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import sacrebleu
from found import Found, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.significance import PairedTest

from headprune.statistics import approximate_randomization, paired
from headprune.statistics.corpus_scores import METRICS, OF_TOTALS, score
from headprune.statistics.multiple import holm
from headprune.statistics.paired import compare_statistics, segment_statistics
from headprune.statistics.randomisation import draws_for, least_p, randomise

COUNTS = st.integers(0, 400)
LINES = [f"the house number {i} stands near the old bridge" for i in range(1047)]


def changed(count: int) -> list[str]:
    """The lines, of which so many have lost a word."""
    return [line.replace("old ", "") if i < count else line for i, line in enumerate(LINES)]


@pytest.mark.parametrize("metric", OF_TOTALS)
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_scores_are_sacrebleus(metric: str, data: st.DataObject) -> None:
    """To 1e-9, with orders without a match, without n-grams, and without anything."""
    if metric.startswith("bleu"):
        ngrams = [data.draw(COUNTS) for _ in range(4)]
        matches = [data.draw(st.integers(0, n)) for n in ngrams]
        totals = [data.draw(COUNTS), data.draw(st.integers(1, 400)), *matches, *ngrams]
    else:
        triples = [(data.draw(COUNTS), data.draw(COUNTS)) for _ in range(6)]
        totals = [x for a, b in triples for x in (a, b, data.draw(st.integers(0, min(a, b))))]
    (found,) = OF_TOTALS[metric](np.array([totals], dtype=float))
    assert found == pytest.approx(score(metric, np.array(totals)), abs=1e-9)


@pytest.mark.parametrize("metric", OF_TOTALS)
def test_scores_of_real_corpora_are_sacrebleus(metric: str) -> None:
    rng = np.random.default_rng(1)
    table = segment_statistics([" ".join(rng.permutation(line.split())) for line in LINES], LINES, metric)
    chosen = rng.integers(0, 2, (50, len(LINES)))
    totals = (chosen @ table).astype(float)
    expected = [METRICS[metric]()._compute_score_from_stats(list(row)).score for row in totals]
    np.testing.assert_allclose(OF_TOTALS[metric](totals), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("metric", OF_TOTALS)
@pytest.mark.parametrize("count", range(9))
def test_a_few_changed_lines(count: int, metric: str) -> None:
    """All changes hurt, so that of 2^k swaps only none and all are as large: 2^(1−k); identical outputs have p = 1."""
    found = approximate_randomization(LINES, changed(count), LINES, metric)
    assert found.p_value == found.p_floor == min(1, 2.0 ** (1 - count))
    assert (found.differing, found.resamples, found.segments) == (count, 2**count, 1047)


@rows(
    Found("one of 1,047 lines changed", 1 / 1001, 1.0, "both swaps give the difference", 1),
    Found("five of 1,047 lines changed", 1 / 1001, 0.0625, "2 of 32 swaps give it", 5),
)
def test_sacrebleu_does_not_count_ties(found: Found) -> None:
    """Its p of 1,000 draws, which counts larger differences only, and ours."""
    scores = sacrebleu.metrics.BLEU(references=[LINES], force=True)
    systems = [("a", LINES), ("b", changed(found.case))]
    _, results = PairedTest(systems, {"bleu": scores}, references=None, test_type="ar", n_samples=1000)()
    (other,) = [result[1].p_value for name, result in results.items() if name != "System"]
    assert other == pytest.approx(found.wrong, abs=0.005)
    assert approximate_randomization(*(lines for _, lines in systems), LINES).p_value == found.right


def test_exact_and_drawn_agree() -> None:
    """All 2^14 swaps of a linear statistic by a loop, and 200,000 draws of them, within 4 standard errors."""
    change = np.random.default_rng(2).normal(0.2, 1, 14)
    signs = np.array(list(itertools.product([1, -1], repeat=14)))
    expected = (np.abs(signs @ change) >= abs(change.sum()) - 1e-9).mean()

    def difference(moved: np.ndarray) -> np.ndarray:
        return change.sum() - 2 * moved[:, 0]

    exact = randomise(change[:, None], difference, 1, 1, 1e-9)
    assert (exact.p_value, exact.exact, exact.floor) == (pytest.approx(expected, abs=1e-12), True, 2.0**-13)
    halves = np.repeat(change / 2, 2)  # 28 segments that move in steps of half: another test, drawn
    drawn = randomise(halves[:, None], difference, 200_000, 1, 1e-9)
    assert (drawn.exact, drawn.floor) == (False, 1 / 200_001)
    flips = np.random.default_rng(3).integers(0, 2, (200_000, 28)) * 2 - 1
    other = (np.abs(flips @ halves) >= abs(change.sum()) - 1e-9).mean()
    assert drawn.p_value == pytest.approx(other, abs=4 * np.sqrt(2 * other / 200_000))


def test_floor_of_a_family_lies_below_a_tenth_of_alpha() -> None:
    for family in (1, 5, 40, 200, 390):
        draws = draws_for(family, 0.05)
        assert holm([1 / (draws + 1)] * family)[0] <= 0.005
    assert draws_for(1, 0.05) == 10_000
    assert (least_p(0), least_p(1), least_p(9)) == (1, 1, 2.0**-8)
    assert np.isnan(least_p(float("nan")))


def test_a_hundred_thousand_draws_take_a_fraction_of_a_second() -> None:
    """Three seeds of 1,047 segments; 200 such comparisons take a minute, this one less than 2 s of processor time."""
    rng = np.random.default_rng(4)
    sides = [[rng.integers(1, 30, (1047, 10)).cumsum(axis=1) for _ in range(3)] for _ in range(2)]
    start = time.process_time()
    found = compare_statistics(*sides, "bleu", 100_000)
    assert time.process_time() - start < 2
    assert found.resamples == 100_000


def test_size_on_equal_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 pairs of outputs of one generator under two labels, with and without three seeds: p ≤ 0.05 in 5 % or less.

    Within 2.6 standard errors; the test is exact, so that not much less is right, too.
    """
    monkeypatch.setattr(paired, "RESAMPLES", 2)  # intervals are not looked at
    rng = np.random.default_rng(5)
    for seeds in (1, 3):
        wrong = 0
        for _ in range(500):
            difficulty = rng.uniform(0.2, 0.8, 60)
            sides = [[_statistics(rng, difficulty) for _ in range(seeds)] for _ in range(2)]
            wrong += compare_statistics(*sides, "bleu", 999).p_value <= 0.05
        assert 0.05 - 3.3 * np.sqrt(0.05 * 0.95 / 500) <= wrong / 500 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 500)


def _statistics(rng: np.random.Generator, difficulty: np.ndarray) -> np.ndarray:
    """BLEU statistics of ten-word segments, whose matches are drawn at a rate of the segment."""
    words = np.full(len(difficulty), 10)
    ngrams = [words - order for order in range(4)]
    matches = [rng.binomial(n, difficulty ** (order + 1)) for order, n in enumerate(ngrams)]
    return np.stack([words, words, *matches, *ngrams], axis=1)
