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

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import sacrebleu
from numpy.typing import ArrayLike, NDArray
from sacrebleu.metrics.base import Metric, Score
from sacrebleu.significance import PairedTest, Result, _compute_p_value
from scipy import stats

from headprune.statistics.base import LEVEL, RESAMPLES, SEED, Array, finite, percentiles

METRICS: dict[str, Callable[..., Metric]] = {
    "bleu": partial(sacrebleu.metrics.BLEU, force=True),  # no warning that what pruned models babble looks tokenised
    "chrf": sacrebleu.metrics.CHRF,
}
SAMPLES = {"bs": 1000, "ar": 10_000}  # sacrebleu's own
LEAST = 10  # segments in which two outputs must differ for a test of them to decide
EQUAL = 1e-9  # scores that differ by less are equal but for the order of summation
Lines = Sequence[str]


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
    """Whether a test of outputs may be called significant.

    :param p_value: after correction where there is a family; NaN: no test was made
    :param differing: segments in which the outputs differ; NaN: not known, so that nothing may be called significant
    """
    return bool(p_value <= alpha and differing >= LEAST)


def verdict(p_value: float, differing: float, alpha: float) -> str:
    """`significant`, `not significant`, or `too few differing segments: 3`; empty where no test was made."""
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
    found = _knowing(metric, tuple(references))._extract_corpus_statistics(list(hypotheses), None)
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
    :raises ValueError: arrays of different shapes, or no seed.
    """
    shapes = {array.shape for array in (*baseline, *system)}
    if len(baseline) != len(system) or len(shapes) != 1:
        raise ValueError(f"{len(baseline)} and {len(system)} seeds with statistics of shapes {sorted(shapes)}")
    samples = samples or SAMPLES[test]
    sides = (baseline, system)
    one, two = (float(np.mean([_score(metric, array.sum(axis=0)) for array in side])) for side in sides)
    equal = abs(two - one) < EQUAL
    draws = (len(baseline[0]), samples if test == "bs" else RESAMPLES, _seed())
    resampled = [np.mean([_resampled(metric, array.tobytes(), draws) for array in side], axis=0) for side in sides]
    change = resampled[1] - resampled[0]
    low, high = percentiles(change, level)
    if test == "bs":
        p_value = _compute_p_value(np.abs(change) - np.abs(change).mean(), abs(two - one))
    else:
        p_value = _randomization(baseline, system, metric, samples)
    signature = _metric(metric).get_signature()
    signature.update("seed", str(_seed()).lower())
    signature.update(test, samples)
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
        signature=str(signature),
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
    return PairedComparison(
        baseline=float(first.mean(axis=0).sum() / total),
        system=float(second.mean(axis=0).sum() / total),
        difference=float(change.sum() / total),
        low=low,
        high=high,
        p_value=p_value,
        segments=len(change),
        differing=int((first != second).any(axis=0).sum()),
        seeds=len(first),
        resamples=samples,
        test="paired permutation",
    )


def _randomization(baseline: Sequence[NDArray[Any]], system: Sequence[NDArray[Any]], metric: str, trials: int) -> float:
    """p of sacrebleu's approximate randomisation."""
    # The statistics are what sacrebleu would extract from hypotheses; it needs their number and nothing else of them.
    systems: Any = [(name, np.concatenate(side, axis=1)) for name, side in (("one", baseline), ("two", system))]
    blocks: Any = {metric: _SeedBlocks(metric, len(baseline))}
    _, results = PairedTest(systems, blocks, references=None, test_type="ar", n_samples=trials)()
    found = next(results[name][1] for name in results if name != "System")
    assert isinstance(found, Result)
    assert found.p_value is not None
    return float(found.p_value)


class _SeedBlocks(Metric):
    """The mean over seeds of a sacrebleu metric, from the statistics of all seeds side by side.

    `PairedTest` takes any metric; what it calls the hypotheses are rows of statistics here.
    """

    def __init__(self, metric: str, seeds: int) -> None:
        super().__init__()
        self.metric, self.seeds = metric, seeds

    def get_signature(self) -> Any:
        return _metric(self.metric).get_signature()

    def _extract_corpus_statistics(self, hypotheses: Any, references: Any) -> Any:
        return hypotheses

    def _aggregate_and_compute(self, stats: Any) -> Score:
        return self._compute_score_from_stats(np.asarray(stats).sum(axis=0))

    def _compute_score_from_stats(self, stats: Any) -> Score:
        parts = np.asarray(stats).reshape(self.seeds, -1)
        return Score("mean over seeds", float(np.mean([_score(self.metric, part) for part in parts])))

    def _preprocess_segment(self, sent: str) -> str:
        raise NotImplementedError("statistics are extracted before")

    def _extract_reference_info(self, refs: Any) -> Any:
        raise NotImplementedError("statistics are extracted before")

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: Any) -> Any:
        raise NotImplementedError("statistics are extracted before")


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


@lru_cache
def _metric(name: str) -> Any:
    metric = _new_metric(name)
    metric.num_refs = 1
    return metric


def _new_metric(name: str, **arguments: Any) -> Any:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r} of outputs; available: {', '.join(METRICS)}")
    return METRICS[name](**arguments)


@lru_cache(maxsize=4)
def _knowing(metric: str, references: Lines) -> Any:
    """The metric, with the n-grams of these references counted once for all systems."""
    return _new_metric(metric, references=[list(references)])


def _score(metric: str, totals: NDArray[Any]) -> float:
    """:param totals: statistics summed over segments"""
    return float(_metric(metric)._compute_score_from_stats(totals).score)


@lru_cache(maxsize=1024)
def _resampled(metric: str, statistics: bytes, draws: tuple[int, int, int | None]) -> Array:
    """The score in every resample, (samples,), of sacrebleu's bootstrap: an output is compared with many others.

    :param statistics: of an int64 array (segments, statistics)
    :param draws: arguments of `_draws`
    """
    table = np.frombuffer(statistics, dtype=np.int64).reshape(draws[0], -1)
    totals = (_draws(*draws) @ table).astype(np.float32)  # whole numbers, in the type in which sacrebleu has them
    return np.array([_score(metric, row) for row in totals])


def _seed() -> int | None:
    """sacrebleu's."""
    seed = os.environ.get("SACREBLEU_SEED", "12345")
    return None if seed.lower() == "none" else int(seed)


@lru_cache(maxsize=1)
def _draws(segments: int, samples: int, seed: int | None) -> Array:
    """How often every segment is drawn in each resample, (samples, segments): the draws of sacrebleu's bootstrap."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(segments, size=(samples, segments), replace=True)
    chosen += segments * np.arange(samples)[:, None]
    return np.bincount(chosen.ravel(), minlength=samples * segments).reshape(samples, segments).astype(np.float64)
