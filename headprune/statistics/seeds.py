"""Across seeds: what another training of the same method would give. The unit is the seed.

Averages over tasks and probabilities of improvement are in `headprune.statistics.blocks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headprune.statistics.base import LEVEL, SEED, Array, Estimate, finite
from headprune.statistics.blocks import probability_of_improvement

ALPHA = 0.05
EXACT = 16  # up to so many seeds all 2^n sign flips are made
ROUNDING = 1e-12  # relative to the largest value


def mean(values: ArrayLike, level: float = LEVEL) -> Estimate:
    """Mean with Student's t interval. One value has none, nor have values that are all equal; no value has no mean."""
    array = finite(values)
    if array.size < 2 or alike(array):
        return Estimate(float(array[0]) if array.size else float("nan"), float("nan"), float("nan"), array.size)
    centre = float(array.mean())
    half = float(scipy.stats.t.ppf((1 + level) / 2, array.size - 1) * scipy.stats.sem(array))
    return Estimate(centre, centre - half, centre + half, array.size)


def alike(values: Array) -> bool:
    """True where values differ by rounding alone: what varies in no seed has no spread to judge a difference by."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def sign_flip(differences: ArrayLike, samples: int = 99_999, seed: int = SEED) -> float:
    """Two-sided p of the sign-flip permutation test of paired differences, by scipy; exact up to 16 of them.

    Fewer than two differences, or none that is not zero: p = 1.
    """
    array = finite(differences)
    if array.size < 2 or not array.any():
        return 1.0
    found = scipy.stats.permutation_test(
        (array,),
        lambda x, axis=-1: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=2**EXACT if array.size <= EXACT else samples,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def student(differences: ArrayLike) -> float:
    """Two-sided p of Student's t test of paired differences, by scipy.

    Fewer than two differences: p = 1. Differences that are all equal have no spread: 1 where they are zero, else 0.
    """
    array = finite(differences)
    if array.size < 2 or not array.any():
        return 1.0
    return 0.0 if alike(array) else float(scipy.stats.ttest_1samp(array, 0).pvalue)


def paired_p(differences: ArrayLike) -> float:
    """Two-sided p of paired differences: the larger of the sign-flip test's and Student's.

    It holds its level where either does: for symmetric differences and for normal ones. And no difference is called
    significant whose t interval holds zero.
    """
    return max(sign_flip(differences), student(differences))


def crossed_p(differences: ArrayLike, variance: float, segments: int) -> float:
    """Two-sided p of a difference under other trainings on other sentences: seeds crossed with segments.

    Student's t with two sources of error, the spread of the seeds and that of the segments, which all seeds have in
    common: t² = d̄² / (s² / n + v), with the degrees of freedom of Satterthwaite (1946). What a seed alone has of a
    segment is in both, so that p errs to the larger side. Never below `paired_p`.

    :param differences: of the seeds
    :param variance: v, of the mean difference when segments are drawn again; NaN: p is NaN
    :param segments: number of them
    """
    array, least = finite(differences), paired_p(differences)
    parts = np.array([array.var(ddof=1) / array.size if array.size > 1 else 0.0, variance])
    if array.size < 2 or not array.any() or not parts.sum() > 0:
        return float("nan") if np.isnan(variance) else least
    freedom = parts.sum() ** 2 / (parts**2 / [array.size - 1, max(segments - 1, 1)]).sum()
    return max(least, float(2 * scipy.stats.t.sf(abs(array.mean()) / np.sqrt(parts.sum()), freedom)))


def wilcoxon(differences: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test by scipy, exact (with ties up to n = 10); zeros left out."""
    array = finite(differences)
    array = array[array != 0]
    if array.size == 0:
        return 1.0
    method: Any = "exact"
    if len(np.unique(np.abs(array))) < array.size or array.size > 50:  # scipy's exact distribution knows no ties
        method = scipy.stats.PermutationMethod(n_resamples=2**10) if array.size <= 10 else "asymptotic"
    return float(scipy.stats.wilcoxon(array, method=method).pvalue)


def floor(n: int) -> float:
    """The smallest two-sided p that n paired differences can reach by flipping signs: 2 of 2^n."""
    return min(1.0, 2.0 ** (1 - n))


def verdict(p_value: float, least: float, n: int, alpha: float = ALPHA) -> str:
    """`significant`, `not significant`, or `undecidable with n seeds` where even the smallest p misses α.

    :param p_value: after correction where there is a family
    :param least: the smallest p that could have come out, corrected likewise
    """
    if least > alpha or np.isnan(p_value):
        return f"undecidable with {n} seed{'s' * (n != 1)}"
    return "significant" if p_value <= alpha else "not significant"


@dataclass(frozen=True)
class Across:
    """Two methods across the seeds that both have; more is better."""

    difference: Estimate  # of system − baseline, t interval
    differences: tuple[float, ...]  # of every seed
    p_value: float  # of `paired_p`
    wilcoxon: float
    p_floor: float
    improvement: Estimate  # probability that a run of the system beats one of the baseline
    seeds: tuple[Any, ...]
    left_out: tuple[Any, ...]  # seeds that one of the two lacks


def across(system: Mapping[Any, ArrayLike], baseline: Mapping[Any, ArrayLike], level: float = LEVEL) -> Across:
    """Compares values paired by seed; seeds that one of the two lacks are left out and named.

    :param system: by seed a value, or those of several runs, which are averaged but where runs are counted
    :returns: the difference system − baseline with its tests, p-values two-sided
    """
    seeds = tuple(sorted(set(system) & set(baseline), key=str))
    runs = [[np.atleast_1d(values[seed]) for seed in seeds] for values in (system, baseline)]
    ours, theirs = (np.array([own.mean() for own in side], dtype=np.float64) for side in runs)
    none = Estimate(float("nan"), float("nan"), float("nan"), 0)
    return Across(
        difference=mean(ours - theirs, level),
        differences=tuple((ours - theirs).tolist()),
        p_value=paired_p(ours - theirs),
        wilcoxon=wilcoxon(ours - theirs),
        p_floor=floor(len(seeds)),
        improvement=probability_of_improvement([runs[0]], [runs[1]], level) if seeds else none,
        seeds=seeds,
        left_out=tuple(sorted(set(system) ^ set(baseline), key=str)),
    )
