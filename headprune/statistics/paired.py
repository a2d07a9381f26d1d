"""Paired tests of two systems on the outputs for one test set.

They ask whether the difference would survive another test set, given these trained models; what another training
would change is asked across seeds (`headprune.statistics.seeds`). Where several trainings were made, the seed is a
block: outputs are paired within it, and the statistic is the mean over seeds of the difference within each. A segment
is drawn, or swapped, with its outputs of all seeds at once, because they translate the same words.

BLEU and chrF are tested by sacrebleu's `PairedTest` (with one seed its numbers exactly), values that average over
segments (log-likelihood per token, accuracy) by scipy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import sacrebleu
from numpy.typing import ArrayLike, NDArray
from sacrebleu.metrics.base import Metric, Score
from sacrebleu.significance import PairedTest, Result
from scipy import stats

from headprune.statistics.base import LEVEL, RESAMPLES, SEED, Array, finite, percentiles

METRICS: dict[str, Callable[..., Metric]] = {
    "bleu": partial(sacrebleu.metrics.BLEU, force=True),  # no warning that what pruned models babble looks tokenised
    "chrf": sacrebleu.metrics.CHRF,
}
SAMPLES = {"bs": 1000, "ar": 10_000}  # sacrebleu's own
EQUAL = 1e-9  # scores that differ by less are equal but for the order of summation
Lines = Sequence[str]


@dataclass(frozen=True)
class Paired:
    """Two systems on one test set, the second compared with the first."""

    baseline: float
    system: float
    difference: float  # system − baseline, of the values that are tested
    low: float  # bootstrap interval of the difference
    high: float
    p_value: float  # two-sided
    segments: int
    seeds: int
    resamples: int
    test: str  # what gave p, in words
    signature: str = ""  # sacrebleu's


def paired_bootstrap(
    baseline: Lines | Sequence[Lines],
    system: Lines | Sequence[Lines],
    references: Lines,
    metric: str = "bleu",
    samples: int = SAMPLES["bs"],
) -> Paired:
    """sacrebleu's paired bootstrap test, two-sided.

    Where the scores are equal p is 1: sacrebleu counts resamples with a larger difference than the one observed, and
    gives its smallest p to identical outputs, which differ in no resample.

    :param baseline: one hypothesis a segment; or a list of that for every seed
    :param system: likewise, the same seeds in the same order
    :param references: one a segment
    :param metric: `bleu` or `chrf`, sacrebleu's defaults
    :raises ValueError: numbers of segments or seeds that differ, or an unknown metric.
    """
    return _test_lines("bs", baseline, system, references, metric, samples)


def approximate_randomization(
    baseline: Lines | Sequence[Lines],
    system: Lines | Sequence[Lines],
    references: Lines,
    metric: str = "bleu",
    samples: int = SAMPLES["ar"],
) -> Paired:
    """sacrebleu's approximate randomisation, two-sided; parameters of `paired_bootstrap`. Equal scores give p = 1."""
    return _test_lines("ar", baseline, system, references, metric, samples)


def segment_statistics(hypotheses: Lines, references: Lines, metric: str = "bleu") -> NDArray[np.int64]:
    """sacrebleu's sufficient statistics of every segment: (segments, statistics).

    :raises ValueError: another number of references than of hypotheses, no segments, or an unknown metric.
    """
    if len(hypotheses) != len(references) or not references:
        raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references")
    found = _knowing(metric, tuple(references))._extract_corpus_statistics(list(hypotheses), None)
    return np.asarray(found, dtype=np.int64)


def compare_statistics(
    test: Literal["bs", "ar"],
    baseline: Sequence[NDArray[np.int64]],
    system: Sequence[NDArray[np.int64]],
    metric: str = "bleu",
    samples: int | None = None,
    level: float = LEVEL,
) -> Paired:
    """A paired test on sufficient statistics, as `segment_statistics` gives them, one array a seed.

    :param test: `bs`: paired bootstrap; `ar`: approximate randomisation
    :raises ValueError: arrays of different shapes, or no seed.
    """
    shapes = {array.shape for array in (*baseline, *system)}
    if len(baseline) != len(system) or len(shapes) != 1:
        raise ValueError(f"{len(baseline)} and {len(system)} seeds with statistics of shapes {sorted(shapes)}")
    blocks = _SeedBlocks(metric, len(baseline))
    first, second = np.concatenate(baseline, axis=1), np.concatenate(system, axis=1)  # (segments, seeds · statistics)
    samples = samples or SAMPLES[test]
    systems: Any = [("baseline", first), ("system", second)]
    # The statistics are what sacrebleu would extract from hypotheses; it needs their number and nothing else of them.
    paired = PairedTest(systems, {metric: blocks}, references=None, test_type=test, n_samples=samples)
    signatures, results = paired()
    one, two = (result for name in results if name != "System" for result in results[name])
    assert isinstance(one, Result)
    assert isinstance(two, Result)
    difference = two.score - one.score
    equal = abs(difference) < EQUAL
    draws = (len(first), samples if test == "bs" else RESAMPLES, paired._seed)
    scores = [_resampled(metric, len(baseline), array.tobytes(), draws) for array in (first, second)]
    low, high = percentiles(scores[1] - scores[0], level)
    return Paired(
        baseline=float(one.score),
        system=float(two.score),
        difference=float(difference),
        low=low,
        high=high,
        p_value=1.0 if equal or two.p_value is None else float(two.p_value),
        segments=len(first),
        seeds=len(baseline),
        resamples=samples,
        test="paired bootstrap" if test == "bs" else "approximate randomisation",
        signature=str(next(iter(signatures.values()))),
    )


def paired_means(
    baseline: ArrayLike,
    system: ArrayLike,
    sizes: ArrayLike | None = None,
    samples: int = 9999,
    level: float = LEVEL,
    seed: int = SEED,
) -> Paired:
    """Permutation test and bootstrap interval of values that add up over segments: Σ values / Σ sizes.

    With log-likelihoods for values and tokens for sizes this is the difference of log-likelihood per token, minus the
    log of the ratio of the perplexities; with 0 and 1 for wrong and right, that of accuracy. p is scipy's
    `permutation_test` on the swapped pairs, exact where 2^segments ≤ samples; the interval scipy's percentile
    bootstrap of segments.

    :param baseline: (segments,) or (seeds, segments)
    :param system: likewise
    :param sizes: (segments,); absent: 1 each
    :raises ValueError: shapes that differ, a value that is not finite, or no segments.
    """
    first, second = (np.atleast_2d(finite(values, "segment values")) for values in (baseline, system))
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"values of shapes {first.shape} and {second.shape} are not paired")
    weights = np.ones(first.shape[1]) if sizes is None else finite(sizes, "segment sizes")
    if weights.shape != first.shape[1:]:
        raise ValueError(f"{weights.size} segment sizes for {first.shape[1]} segments")
    total = weights.sum()
    change = (second - first).mean(axis=0)  # the seeds of a segment move together
    p_value = 1.0
    if len(change) > 1 and change.any():
        found = stats.permutation_test(
            (change,),
            lambda x, axis=-1: x.sum(axis=axis) / total,
            permutation_type="samples",
            n_resamples=samples,
            batch=max(1, 4_000_000 // len(change)),
            rng=np.random.default_rng(seed),
        )
        p_value = float(found.pvalue)
    counts = _draws(len(change), RESAMPLES, seed)
    low, high = percentiles((counts @ change) / (counts @ weights), level)
    return Paired(
        baseline=float(first.mean(axis=0).sum() / total),
        system=float(second.mean(axis=0).sum() / total),
        difference=float(change.sum() / total),
        low=low,
        high=high,
        p_value=p_value,
        segments=len(change),
        seeds=len(first),
        resamples=samples,
        test="paired permutation",
    )


class _SeedBlocks(Metric):
    """The mean over seeds of a sacrebleu metric, from the statistics of all seeds side by side.

    `PairedTest` takes any metric; what it calls the hypotheses are rows of statistics here.
    """

    def __init__(self, metric: str, seeds: int) -> None:
        super().__init__()
        self.inner, self.seeds = _metric(metric), seeds
        self.inner.num_refs = 1

    def score(self, totals: Array) -> float:
        """:param totals: (seeds · statistics,) summed over segments"""
        parts = np.asarray(totals).reshape(self.seeds, -1)
        return float(np.mean([self.inner._compute_score_from_stats(part).score for part in parts]))

    def get_signature(self) -> Any:
        return self.inner.get_signature()

    def _extract_corpus_statistics(self, hypotheses: Any, references: Any) -> Any:
        return hypotheses

    def _aggregate_and_compute(self, stats: Any) -> Score:
        return self._compute_score_from_stats(np.asarray(stats).sum(axis=0))

    def _compute_score_from_stats(self, stats: Any) -> Score:
        return Score("mean over seeds", self.score(stats))

    def _preprocess_segment(self, sent: str) -> str:
        raise NotImplementedError("statistics are extracted before")

    def _extract_reference_info(self, refs: Any) -> Any:
        raise NotImplementedError("statistics are extracted before")

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: Any) -> Any:
        raise NotImplementedError("statistics are extracted before")


def _test_lines(
    test: Literal["bs", "ar"], baseline: Any, system: Any, references: Lines, metric: str, samples: int
) -> Paired:
    first, second = (
        [
            segment_statistics(lines, references, metric)
            for lines in (runs if runs and not isinstance(runs[0], str) else [runs])
        ]
        for runs in (baseline, system)
    )
    return compare_statistics(test, first, second, metric, samples)


def _metric(name: str, **arguments: Any) -> Any:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r} of outputs; available: {', '.join(METRICS)}")
    return METRICS[name](**arguments)


@lru_cache(maxsize=4)
def _knowing(metric: str, references: Lines) -> Any:
    """The metric, with the n-grams of these references counted once for all systems."""
    return _metric(metric, references=[list(references)])


@lru_cache(maxsize=32)
def _resampled(metric: str, seeds: int, statistics: bytes, draws: tuple[int, int, int | None]) -> Array:
    """The mean score over seeds in every resample, (samples,): a system is compared with several others.

    :param statistics: of an int64 array (segments, seeds · statistics)
    :param draws: arguments of `_draws`
    """
    blocks, table = _SeedBlocks(metric, seeds), np.frombuffer(statistics, dtype=np.int64).reshape(draws[0], -1)
    return np.array([blocks.score(row) for row in _draws(*draws) @ table])


@lru_cache(maxsize=1)
def _draws(segments: int, samples: int, seed: int | None) -> Array:
    """How often every segment is drawn in each resample, (samples, segments): the draws of sacrebleu's bootstrap."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(segments, size=(samples, segments), replace=True)
    chosen += segments * np.arange(samples)[:, None]
    return np.bincount(chosen.ravel(), minlength=samples * segments).reshape(samples, segments).astype(np.float64)
