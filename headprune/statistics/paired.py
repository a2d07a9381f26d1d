"""Paired tests of two systems on the outputs for one test set.

They ask whether the difference would survive another test set, given these trained models; what another training
would change is asked across seeds (`headprune.statistics.seeds`). Where several trainings were made, the seed is a
block: outputs are paired within it, and the statistic is the mean over seeds of the difference within each. A segment
is drawn, or swapped, with its outputs of all seeds at once, because they translate the same words.

p-values come from approximate randomisation with ties counted (`headprune.statistics.randomisation`), intervals from
the bootstrap of segments. `paired_bootstrap` is sacrebleu's own test, for comparison with published numbers: it centres
the absolute difference and refuses 0.14 of true hypotheses at a nominal 0.05, so nothing here is decided by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sacrebleu.significance import _compute_p_value

from headprune.statistics.base import LEVEL, RESAMPLES, SEED, Array, finite, percentiles
from headprune.statistics.corpus_scores import (
    Lines,
    knowing,
    mean_scores,
    metric_of,
    resampled,
    sacrebleu_seed,
    score,
)
from headprune.statistics.randomisation import LEAST_DRAWS, Randomised, randomise

BOOTSTRAP = 1000  # resamples of sacrebleu's own test
EQUAL = 1e-9  # scores that differ by less are equal but for the order of summation
Statistics = NDArray[np.int64]  # (segments, statistics)


@dataclass(frozen=True)
class PairedComparison:
    """Two systems on one test set, the second compared with the first."""

    baseline: float
    system: float
    difference: float  # system − baseline, of the values that are tested
    low: float  # bootstrap interval of the difference
    high: float
    p_value: float  # two-sided
    p_floor: float  # the smallest that could have come out
    segments: int
    differing: int  # of the segments, those whose statistics or values differ with any seed
    seeds: int
    resamples: int
    test: str  # what gave p, in words
    signature: str = ""  # sacrebleu's
    variance: float = float("nan")  # of the difference when segments are drawn again


def verdict(p_value: float, least: float, differing: float, alpha: float) -> str:
    """The verdict in words: `significant`, `not significant`, `undecidable: 3 segments differ`; empty without a test.

    :param p_value: after correction where there is a family
    :param least: the smallest p that could have come out, corrected likewise
    """
    if np.isnan(p_value):
        return ""
    if least > alpha:
        return f"undecidable: {differing:g} segment{'s differ' if differing != 1 else ' differs'}"
    return "significant" if p_value <= alpha else "not significant"


def paired_bootstrap(
    baseline: Lines | Sequence[Lines],
    system: Lines | Sequence[Lines],
    references: Lines,
    metric: str = "bleu",
    samples: int = BOOTSTRAP,
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
    first, second = _statistics(baseline, system, references, metric)
    one, two = (_mean_score(metric, side) for side in (first, second))
    change = _resampled_change(metric, first, second, samples)
    centred = np.abs(change) - np.abs(change).mean()
    p_value = 1.0 if abs(two - one) < EQUAL else float(_compute_p_value(centred, abs(two - one)))
    found = Randomised(p_value, 1 / (samples + 1), samples, False)
    return _compared(metric, first, second, change, found, "paired bootstrap", "bs")


def approximate_randomization(
    baseline: Lines | Sequence[Lines],
    system: Lines | Sequence[Lines],
    references: Lines,
    metric: str = "bleu",
    samples: int = LEAST_DRAWS,
) -> PairedComparison:
    """Approximate randomisation, two-sided, exact where few segments differ; parameters of `paired_bootstrap`.

    Unlike sacrebleu's it counts ties, so that equal scores, and outputs of which one segment differs, give p = 1.
    """
    return compare_statistics(*_statistics(baseline, system, references, metric), metric, samples)


def segment_statistics(hypotheses: Lines, references: Lines, metric: str = "bleu") -> Statistics:
    """sacrebleu's sufficient statistics of every segment: (segments, statistics).

    :raises ValueError: another number of references than of hypotheses, no segments, or an unknown metric.
    """
    if len(hypotheses) != len(references) or not references:
        raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references")
    found = knowing(metric, tuple(references))._extract_corpus_statistics(list(hypotheses), None)
    return np.asarray(found, dtype=np.int64)


def compare_statistics(
    baseline: Sequence[Statistics],
    system: Sequence[Statistics],
    metric: str = "bleu",
    samples: int = LEAST_DRAWS,
    level: float = LEVEL,
) -> PairedComparison:
    """Approximate randomisation on sufficient statistics, as `segment_statistics` gives them, one array a seed.

    :param samples: swaps to draw where too many segments differ to make them all
    :returns: scores are means over seeds, the interval is a bootstrap's
    :raises ValueError: arrays of different shapes, or no seed.
    """
    shapes = {array.shape for array in (*baseline, *system)}
    if len(baseline) != len(system) or len(shapes) != 1:
        raise ValueError(f"{len(baseline)} and {len(system)} seeds with statistics of shapes {sorted(shapes)}")
    totals = [[array.sum(axis=0) for array in side] for side in (baseline, system)]

    def difference(moved: Array) -> Array:
        parts = np.split(moved, len(baseline), axis=1)
        one, two = (
            mean_scores(metric, [total + sign * part for total, part in zip(side, parts, strict=True)])
            for side, sign in zip(totals, (1, -1), strict=True)
        )
        return two - one

    changes = np.concatenate([b - a for a, b in zip(baseline, system, strict=True)], axis=1).astype(np.float64)
    found = randomise(changes, difference, samples, sacrebleu_seed(), EQUAL)
    change = _resampled_change(metric, baseline, system, RESAMPLES)
    return _compared(metric, baseline, system, change, found, "approximate randomisation", "ar", level)


def paired_means(
    baseline: ArrayLike,
    system: ArrayLike,
    sizes: ArrayLike | None = None,
    samples: int = LEAST_DRAWS,
    level: float = LEVEL,
    seed: int = SEED,
) -> PairedComparison:
    """Approximate randomisation and bootstrap interval of values that add up over segments: Σ values / Σ sizes.

    With log-likelihoods for values and tokens for sizes this is the difference of log-likelihood per token, minus the
    log of the ratio of the perplexities; with 0 and 1 for wrong and right, that of accuracy.

    :param baseline: (segments,) or (seeds, segments)
    :param system: likewise
    :param sizes: (segments,); absent: 1 each
    :returns: means per unit of size
    :raises ValueError: shapes that differ, a value that is not finite, or no segments.
    """
    first, second, weights = _paired_values(baseline, system, sizes)
    total = weights.sum()
    change = (second - first).mean(axis=0)  # the seeds of a segment move together
    resamples = resampled(np.stack([change, weights], axis=1), RESAMPLES, seed)
    rounding = EQUAL * np.abs(change).sum() / total
    found = randomise(change[:, None], lambda moved: (change.sum() - 2 * moved[:, 0]) / total, samples, seed, rounding)
    return PairedComparison(
        baseline=float(first.mean(axis=0).sum() / total),
        system=float(second.mean(axis=0).sum() / total),
        difference=float(change.sum() / total),
        **_spread(resamples[:, 0] / resamples[:, 1], level),
        p_value=found.p_value,
        p_floor=found.floor,
        segments=len(change),
        differing=int((first != second).any(axis=0).sum()),
        seeds=len(first),
        resamples=found.draws,
        test="approximate randomisation",
    )


def _compared(
    metric: str,
    baseline: Sequence[Statistics],
    system: Sequence[Statistics],
    change: Array,
    found: Randomised,
    test: str,
    short: str,
    level: float = LEVEL,
) -> PairedComparison:
    """The comparison of corpora, with the interval of the resampled change."""
    one, two = (_mean_score(metric, side) for side in (baseline, system))
    signature = metric_of(metric).get_signature()
    signature.update("seed", str(sacrebleu_seed()).lower())
    signature.update(short, found.draws)
    return PairedComparison(
        baseline=one,
        system=two,
        difference=two - one,
        **_spread(change, level),
        p_value=found.p_value,
        p_floor=found.floor,
        segments=len(baseline[0]),
        differing=int(np.any([a != b for a, b in zip(baseline, system, strict=True)], axis=(0, 2)).sum()),
        seeds=len(baseline),
        resamples=found.draws,
        test=test,
        signature=str(signature),
    )


def _spread(changes: Array, level: float) -> dict[str, Any]:
    """The entries of a comparison that tell how far a difference moves when segments are drawn again."""
    low, high = percentiles(changes, level)
    return {"low": low, "high": high, "variance": float(changes.var())}


def _statistics(
    baseline: Any, system: Any, references: Lines, metric: str
) -> tuple[list[Statistics], list[Statistics]]:
    """The statistics of both systems, one array a seed."""
    first, second = (
        [
            segment_statistics(lines, references, metric)
            for lines in (runs if runs and not isinstance(runs[0], str) else [runs])
        ]
        for runs in (baseline, system)
    )
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} seeds: they are not paired")
    return first, second


def _mean_score(metric: str, side: Sequence[Statistics]) -> float:
    """The mean over seeds of a system's score."""
    return float(np.mean([score(metric, array.sum(axis=0)) for array in side]))


def _resampled_change(metric: str, baseline: Sequence[Statistics], system: Sequence[Statistics], samples: int) -> Array:
    """The difference of the mean scores in every bootstrap resample of segments, (samples,)."""
    seed = sacrebleu_seed()
    one, two = (mean_scores(metric, [resampled(array, samples, seed) for array in side]) for side in (baseline, system))
    return two - one


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
