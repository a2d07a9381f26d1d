"""Paired tests of two systems on the outputs for one test set.

They ask whether the difference would survive another test set, given these trained models; what another training
would change is asked across seeds (`headprune.statistics.seeds`). Where several trainings were made, the seed is a
block: outputs are paired within it, and the statistic is the mean over seeds of the difference within each. A segment
is drawn, or swapped, with its outputs of all seeds at once, because they translate the same words.

BLEU and chrF are tested as sacrebleu does (with one seed its numbers exactly): randomisation by its `PairedTest`, the
bootstrap with its draws, scores and p, each output resampled once for all its comparisons. Values that average over
segments (log-likelihood per token, accuracy) are tested by scipy.

Of outputs that differ in a handful of segments no such test is called significant, whatever its p: what is drawn or
swapped is that handful, and one segment more or less would turn the verdict (`significant`, `verdict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sacrebleu.significance import _compute_p_value
from scipy import stats

from headprune.statistics.base import LEVEL, RESAMPLES, SEED, Array, finite, percentiles
from headprune.statistics.corpus_scores import (
    Lines,
    drawn,
    knowing,
    metric_of,
    randomization_p,
    resampled_scores,
    sacrebleu_seed,
    score,
)

SAMPLES = {"bs": 1000, "ar": 10_000}  # sacrebleu's own
LEAST = 10  # segments in which two outputs must differ for a test of them to decide
EQUAL = 1e-9  # scores that differ by less are equal but for the order of summation


@dataclass(frozen=True)
class PairedComparison:
    """Two systems on one test set, the second compared with the first."""

    baseline: float
    system: float
    difference: float  # system − baseline, of the values that are tested
    low: float  # bootstrap interval of the difference
    high: float
    p_value: float  # two-sided
    segments: int
    differing: int  # of the segments, those whose statistics or values differ with any seed
    seeds: int
    resamples: int
    test: str  # what gave p, in words
    signature: str = ""  # sacrebleu's


def significant(p_value: float, differing: float, alpha: float) -> bool:
    """Return whether a test of outputs may be called significant.

    :param p_value: after correction where there is a family; NaN: no test was made
    :param differing: segments in which the outputs differ; NaN: not known, so that nothing may be called significant
    """
    return bool(p_value <= alpha and differing >= LEAST)


def verdict(p_value: float, differing: float, alpha: float) -> str:
    """The verdict in words: `significant`, `not significant`, `too few differing segments: 3`; empty without a test."""
    if np.isnan(p_value):
        return ""
    if not differing >= LEAST:
        return f"too few differing segments: {'not recorded' if np.isnan(differing) else f'{differing:g}'}"
    return "significant" if significant(p_value, differing, alpha) else "not significant"


def paired_bootstrap(
    baseline: Lines | Sequence[Lines],
    system: Lines | Sequence[Lines],
    references: Lines,
    metric: str = "bleu",
    samples: int = SAMPLES["bs"],
) -> PairedComparison:
    """sacrebleu's paired bootstrap test, two-sided.

    Where the scores are equal p is 1: sacrebleu counts resamples with a larger difference than the one observed, and
    gives its smallest p to identical outputs, which differ in no resample.

    :param baseline: one hypothesis a segment; or a list of that for every seed
    :param system: likewise, the same seeds in the same order
    :param references: one a segment
    :param metric: `bleu` or `chrf`, sacrebleu's defaults
    :returns: difference system − baseline with its bootstrap interval and p
    :raises ValueError: numbers of segments or seeds that differ, or an unknown metric.
    """
    return _test_lines("bs", baseline, system, references, metric, samples)


def approximate_randomization(
    baseline: Lines | Sequence[Lines],
    system: Lines | Sequence[Lines],
    references: Lines,
    metric: str = "bleu",
    samples: int = SAMPLES["ar"],
) -> PairedComparison:
    """sacrebleu's approximate randomisation, two-sided; parameters of `paired_bootstrap`. Equal scores give p = 1."""
    return _test_lines("ar", baseline, system, references, metric, samples)


def segment_statistics(hypotheses: Lines, references: Lines, metric: str = "bleu") -> NDArray[np.int64]:
    """sacrebleu's sufficient statistics of every segment: (segments, statistics).

    :raises ValueError: another number of references than of hypotheses, no segments, or an unknown metric.
    """
    if len(hypotheses) != len(references) or not references:
        raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references")
    found = knowing(metric, tuple(references))._extract_corpus_statistics(list(hypotheses), None)
    return np.asarray(found, dtype=np.int64)


def compare_statistics(
    test: Literal["bs", "ar"],
    baseline: Sequence[NDArray[np.int64]],
    system: Sequence[NDArray[np.int64]],
    metric: str = "bleu",
    samples: int | None = None,
    level: float = LEVEL,
) -> PairedComparison:
    """A paired test on sufficient statistics, as `segment_statistics` gives them, one array a seed.

    :param test: `bs`: paired bootstrap; `ar`: approximate randomisation
    :returns: scores are means over seeds, the interval is a bootstrap's whatever the test
    :raises ValueError: arrays of different shapes, or no seed.
    """
    shapes = {array.shape for array in (*baseline, *system)}
    if len(baseline) != len(system) or len(shapes) != 1:
        raise ValueError(f"{len(baseline)} and {len(system)} seeds with statistics of shapes {sorted(shapes)}")
    samples = samples or SAMPLES[test]
    one, two = (_mean_score(metric, side) for side in (baseline, system))
    equal = abs(two - one) < EQUAL
    change = _resampled_change(metric, baseline, system, samples if test == "bs" else RESAMPLES)
    low, high = percentiles(change, level)
    if test == "bs":
        p_value = _compute_p_value(np.abs(change) - np.abs(change).mean(), abs(two - one))
    else:
        p_value = randomization_p(baseline, system, metric, samples)
    return PairedComparison(
        baseline=one,
        system=two,
        difference=two - one,
        low=low,
        high=high,
        p_value=1.0 if equal else float(p_value),
        segments=len(baseline[0]),
        differing=int(np.any([a != b for a, b in zip(baseline, system, strict=True)], axis=(0, 2)).sum()),
        seeds=len(baseline),
        resamples=samples,
        test="paired bootstrap" if test == "bs" else "approximate randomisation",
        signature=_signature(metric, test, samples),
    )


def paired_means(
    baseline: ArrayLike,
    system: ArrayLike,
    sizes: ArrayLike | None = None,
    samples: int = 9999,
    level: float = LEVEL,
    seed: int = SEED,
) -> PairedComparison:
    """Permutation test and bootstrap interval of values that add up over segments: Σ values / Σ sizes.

    With log-likelihoods for values and tokens for sizes this is the difference of log-likelihood per token, minus the
    log of the ratio of the perplexities; with 0 and 1 for wrong and right, that of accuracy. p is scipy's
    `permutation_test` on the swapped pairs, exact where 2^segments ≤ samples; the interval scipy's percentile
    bootstrap of segments.

    :param baseline: (segments,) or (seeds, segments)
    :param system: likewise
    :param sizes: (segments,); absent: 1 each
    :returns: means per unit of size
    :raises ValueError: shapes that differ, a value that is not finite, or no segments.
    """
    first, second, weights = _paired_values(baseline, system, sizes)
    total = weights.sum()
    change = (second - first).mean(axis=0)  # the seeds of a segment move together
    counts = drawn(len(change), RESAMPLES, seed)
    low, high = percentiles((counts @ change) / (counts @ weights), level)
    return PairedComparison(
        baseline=float(first.mean(axis=0).sum() / total),
        system=float(second.mean(axis=0).sum() / total),
        difference=float(change.sum() / total),
        low=low,
        high=high,
        p_value=_permutation_p(change, total, samples, seed),
        segments=len(change),
        differing=int((first != second).any(axis=0).sum()),
        seeds=len(first),
        resamples=samples,
        test="paired permutation",
    )


def _test_lines(
    test: Literal["bs", "ar"], baseline: Any, system: Any, references: Lines, metric: str, samples: int
) -> PairedComparison:
    first, second = (
        [
            segment_statistics(lines, references, metric)
            for lines in (runs if runs and not isinstance(runs[0], str) else [runs])
        ]
        for runs in (baseline, system)
    )
    return compare_statistics(test, first, second, metric, samples)


def _mean_score(metric: str, side: Sequence[NDArray[np.int64]]) -> float:
    """The mean over seeds of a system's score."""
    return float(np.mean([score(metric, array.sum(axis=0)) for array in side]))


def _resampled_change(
    metric: str, baseline: Sequence[NDArray[np.int64]], system: Sequence[NDArray[np.int64]], samples: int
) -> Array:
    """The difference of the mean scores in every resample, (samples,)."""
    draws = (len(baseline[0]), samples, sacrebleu_seed())
    one, two = (
        np.mean([resampled_scores(metric, array.tobytes(), draws) for array in side], axis=0)
        for side in (baseline, system)
    )
    return two - one


def _signature(metric: str, test: str, samples: int) -> str:
    """sacrebleu's signature of a metric and a test of it."""
    signature = metric_of(metric).get_signature()
    signature.update("seed", str(sacrebleu_seed()).lower())
    signature.update(test, samples)
    return str(signature)


def _paired_values(
    baseline: ArrayLike, system: ArrayLike, sizes: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Values (seeds, segments) of both systems, and sizes (segments,), as `paired_means` takes them."""
    first, second = (np.atleast_2d(finite(values, "segment values")) for values in (baseline, system))
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"values of shapes {first.shape} and {second.shape} are not paired")
    weights = np.ones(first.shape[1]) if sizes is None else finite(sizes, "segment sizes")
    if weights.shape != first.shape[1:]:
        raise ValueError(f"{weights.size} segment sizes for {first.shape[1]} segments")
    return first, second, weights


def _permutation_p(change: Array, total: float, samples: int, seed: int) -> float:
    """The p of scipy's permutation test of Σ change / total; 1 where no swap can change it."""
    if len(change) < 2 or not change.any():
        return 1.0
    found = stats.permutation_test(
        (change,),
        lambda x, axis=-1: x.sum(axis=axis) / total,
        permutation_type="samples",
        n_resamples=samples,
        batch=max(1, 4_000_000 // len(change)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)
