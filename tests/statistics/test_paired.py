"""Paired tests of outputs: sacrebleu's and scipy's own numbers, exhaustive enumeration, and blocks of seeds.

The randomisation itself, with its ties and floors, is tested in test_randomisation.py.
"""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.significance import PairedTest
from scipy import stats

from headprune.statistics import PairedComparison, approximate_randomization, corpus_scores, paired, paired_bootstrap
from headprune.statistics.paired import compare_statistics, paired_means, segment_statistics
from headprune.statistics.randomisation import randomise

WORDS = [f"w{i}" for i in range(12)]


def corpus(seed: int, segments: int = 40) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(5, 12))) for _ in range(segments)]


def noisy(lines: list[str], share: float, seed: int) -> list[str]:
    """A share of the words replaced."""
    rng = np.random.default_rng([seed, 99])
    return [" ".join(w if rng.random() > share else "x" for w in line.split()) for line in lines]


REFERENCES = corpus(0)
RUNS = {name: [noisy(REFERENCES, share, seed) for seed in range(3)] for name, share in (("a", 0.3), ("b", 0.36))}
METRICS = {"bleu": sacrebleu.metrics.BLEU, "chrf": sacrebleu.metrics.CHRF}
TESTS = {"bs": paired_bootstrap, "ar": approximate_randomization}


def stock(kind: str, metric: str, one: list[str], two: list[str], samples: int):
    scores = METRICS[metric](references=[REFERENCES])
    test = PairedTest([("a", one), ("b", two)], {metric: scores}, references=None, test_type=kind, n_samples=samples)
    signatures, results = test()
    (name,) = signatures
    return results[name][0].score, results[name][1].score, results[name][1].p_value, str(signatures[name])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(3))
def test_bootstrap_of_one_seed_gives_sacrebleus_numbers_exactly(metric: str, seed: int) -> None:
    one, two = RUNS["a"][seed], RUNS["b"][seed]
    found = paired_bootstrap(one, two, REFERENCES, metric, 300)
    assert (found.baseline, found.system, found.p_value, found.signature) == stock("bs", metric, one, two, 300)
    assert (found.segments, found.seeds, found.resamples) == (40, 1, 300)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(3))
def test_randomisation_of_one_seed_gives_sacrebleus_scores_and_p(metric: str, seed: int) -> None:
    """Scores and signature to the letter, but for the number of swaps where all are made (14 segments differ with the
    first seed); p, whose ties are few, within 4 standard errors of both.
    """
    one, two = RUNS["a"][seed], RUNS["b"][seed]
    found = approximate_randomization(one, two, REFERENCES, metric, 5000)
    *same, p_value, signature = stock("ar", metric, one, two, 5000)
    assert ([found.baseline, found.system], found.signature) == (same, signature.replace("5000", str(found.resamples)))
    assert found.p_value == pytest.approx(p_value, abs=4 * np.sqrt(2 * p_value * (1 - p_value) / 5000) + 1e-3)


@pytest.mark.parametrize("kind", TESTS)
def test_swapping_turns_the_sign_and_keeps_p(kind: str) -> None:
    one = TESTS[kind](RUNS["a"], RUNS["b"], REFERENCES, "bleu", 300)
    other = TESTS[kind](RUNS["b"], RUNS["a"], REFERENCES, "bleu", 300)
    assert one.p_value == other.p_value
    assert one.difference == pytest.approx(-other.difference, abs=1e-12)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


@pytest.mark.parametrize("kind", TESTS)
@pytest.mark.parametrize("runs", [RUNS["a"], RUNS["a"][0]])
def test_identical_outputs_give_one(kind: str, runs) -> None:
    found = TESTS[kind](runs, [list(run) if isinstance(run, list) else run for run in runs], REFERENCES, samples=100)
    assert (found.difference, found.p_value, found.low, found.high) == (0, 1, 0, 0)


def test_pooled_scores_are_the_mean_over_seeds() -> None:
    found = paired_bootstrap(RUNS["a"], RUNS["b"], REFERENCES, samples=50)
    for value, name in ((found.baseline, "a"), (found.system, "b")):
        scores = [sacrebleu.corpus_bleu(run, [REFERENCES]).score for run in RUNS[name]]
        assert value == pytest.approx(np.mean(scores), abs=1e-9)
    assert found.seeds == 3


def test_pooling_the_same_run_twice_changes_nothing() -> None:
    """Three copies of one training are one training: their segments are no new evidence."""
    for kind, test in TESTS.items():
        once = test(RUNS["a"][0], RUNS["b"][0], REFERENCES, "bleu", 300)
        thrice = test([RUNS["a"][0]] * 3, [RUNS["b"][0]] * 3, REFERENCES, "bleu", 300)
        assert thrice.p_value == once.p_value, kind
        assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=1e-9)


def test_randomisation_agrees_with_all_swaps() -> None:
    """All 2^8 swaps of eight segments over two seeds, with a loop over sacrebleu's corpus score."""
    references = REFERENCES[:8]
    ones, twos = ([run[:8] for run in RUNS[name][:2]] for name in "ab")

    def difference(a: list[list[str]], b: list[list[str]]) -> float:
        scores = [[sacrebleu.corpus_bleu(run, [references]).score for run in runs] for runs in (a, b)]
        return abs(np.mean(scores[0]) - np.mean(scores[1]))

    observed, larger = difference(ones, twos), 0
    for swaps in itertools.product([False, True], repeat=8):
        a = [
            [y if s else x for x, y, s in zip(one, two, swaps, strict=True)]
            for one, two in zip(ones, twos, strict=True)
        ]
        b = [
            [x if s else y for x, y, s in zip(one, two, swaps, strict=True)]
            for one, two in zip(ones, twos, strict=True)
        ]
        larger += difference(a, b) >= observed - 1e-9
    found = approximate_randomization(ones, twos, references)
    assert found.p_value == pytest.approx(larger / 256, abs=1e-12)


def test_interval_is_that_of_a_loop_over_resamples() -> None:
    """Absolute 1e-4 BLEU: sacrebleu resamples in single precision."""
    found = paired_bootstrap(RUNS["a"][0], RUNS["b"][0], REFERENCES, samples=200)
    chosen = np.random.default_rng(12345).choice(40, size=(200, 40), replace=True)
    one, two, references = (np.array(lines) for lines in (RUNS["a"][0], RUNS["b"][0], REFERENCES))
    differences = [
        sacrebleu.corpus_bleu(two[i].tolist(), [references[i].tolist()]).score
        - sacrebleu.corpus_bleu(one[i].tolist(), [references[i].tolist()]).score
        for i in chosen
    ]
    assert (found.low, found.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=1e-4)


@pytest.mark.parametrize("segments", [1, 7, 1000])
def test_resamples_are_sacrebleus_in_any_blocks(monkeypatch: pytest.MonkeyPatch, segments: int) -> None:
    """Against one draw of all of them, as sacrebleu's bootstrap makes it; relative 1e-12."""
    values = np.random.default_rng(1).normal(size=(segments, 3))
    chosen = np.random.default_rng(5).choice(segments, size=(200, segments), replace=True)
    for at_once in (1, 3 * segments, 2**24):
        monkeypatch.setattr(corpus_scores, "AT_ONCE", at_once)
        np.testing.assert_allclose(corpus_scores.resampled(values, 200, 5), values[chosen].sum(axis=1), rtol=1e-12)


def test_many_segments_take_little_memory() -> None:
    """A gigabyte and a half would go into all draws of the bootstrap in double precision, four into 4,096 swaps."""
    changes = np.random.default_rng(1).normal(size=(100_000, 1))
    tracemalloc.start()
    try:
        corpus_scores.resampled(changes, 1000, 5)
        randomise(changes, lambda moved: changes.sum() - 2 * moved[:, 0], 2000, 1, 1e-9)
        assert tracemalloc.get_traced_memory()[1] < 1.2e9
    finally:
        tracemalloc.stop()


def test_refuses_what_is_not_paired() -> None:
    with pytest.raises(ValueError, match="39 hypotheses for 40 references"):
        paired_bootstrap(RUNS["a"][0][:-1], RUNS["b"][0], REFERENCES)
    with pytest.raises(ValueError, match="3 and 2 seeds"):
        paired_bootstrap(RUNS["a"], RUNS["b"][:2], REFERENCES)
    with pytest.raises(ValueError, match="unknown metric 'ter' of outputs; available: bleu, bleu_tokenized, chrf"):
        paired_bootstrap(RUNS["a"], RUNS["b"], REFERENCES, "ter")
    with pytest.raises(ValueError, match="0 hypotheses for 0 references"):
        paired_bootstrap([], [], [])
    with pytest.raises(ValueError, match="not paired"):
        paired_means([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="3 segment sizes for 2 segments"):
        paired_means([1.0, 2.0], [1.0, 3.0], [1, 1, 1])


def test_means_are_scipys() -> None:
    rng = np.random.default_rng(3)
    tokens = rng.integers(3, 30, 60)
    one = -tokens * rng.uniform(1, 3, 60)
    two = one + tokens * rng.normal(0.05, 0.2, 60)
    found = paired_means(one, two, tokens)
    expected = stats.permutation_test(
        (one, two), lambda x, y: (y.sum() - x.sum()) / tokens.sum(), permutation_type="samples", rng=1, n_resamples=9999
    )
    assert found.difference == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.015)
    bounds = stats.bootstrap(
        (one, two, tokens),
        lambda x, y, n, axis: (y.sum(axis) - x.sum(axis)) / n.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        rng=1,
        axis=-1,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(bounds, abs=0.1 * (bounds.high - bounds.low))
    assert np.exp(-found.baseline) == pytest.approx(np.exp(-one.sum() / tokens.sum()))


def test_few_segments_are_tested_exactly() -> None:
    """Seven examples, two of three seeds: all 128 swaps, by hand."""
    rng = np.random.default_rng(4)
    one, two = rng.integers(0, 2, (2, 3, 7)).astype(float)
    change = (two - one).mean(axis=0)
    signs = np.array(list(itertools.product([1, -1], repeat=7)))
    expected = (np.abs(signs @ change) >= abs(change.sum()) - 1e-12).mean()
    found = paired_means(one, two)
    assert found.p_value == pytest.approx(min(1, expected), abs=1e-12)
    assert (found.seeds, found.segments) == (3, 7)


def test_accuracy_without_a_change_gives_one() -> None:
    found = paired_means([1, 0, 1, 1], [1, 0, 1, 1])
    assert (found.p_value, found.difference, found.baseline) == (1, 0, 0.75)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=9))
def test_means_swapped(pairs: list[tuple[int, int]]) -> None:
    one, two = np.array(pairs, dtype=float).T
    there, back = paired_means(one, two), paired_means(two, one)
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == pytest.approx(back.p_value)
    assert 0 < there.p_value <= 1


def test_size_of_the_permutation_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A/A comparisons of accuracies that differ in noise alone: at most 5 % below 0.05, within 2.6 standard errors."""
    monkeypatch.setattr(paired, "RESAMPLES", 2)  # intervals are not looked at
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(400):
        skill = rng.uniform(0.2, 0.9, 50)
        one, two = rng.random((2, 50)) < skill
        wrong += paired_means(one, two, samples=199, seed=int(rng.integers(2**31))).p_value <= 0.05
    assert wrong / 400 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 400)
    assert wrong > 0


def test_statistics_suffice() -> None:
    statistics = [segment_statistics(run, REFERENCES, "chrf") for run in RUNS["a"]]
    other = [segment_statistics(run, REFERENCES, "chrf") for run in RUNS["b"]]
    found: PairedComparison = compare_statistics(statistics, other, "chrf", 100)
    assert found == approximate_randomization(RUNS["a"], RUNS["b"], REFERENCES, "chrf", 100)
