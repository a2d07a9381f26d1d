"""Across seeds: what another training of the same method would give. The unit is the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from headprune.statistics.base import LEVEL, RESAMPLES, SEED, Array, Estimate, finite, percentiles, resampled

ALPHA = 0.05
EXACT = 16  # up to so many seeds all 2^n sign flips are made


def mean(values: ArrayLike, level: float = LEVEL) -> Estimate:
    """Mean with Student's t interval; one value has none, no value has no mean."""
    array = finite(values)
    if array.size < 2:
        return Estimate(float(array[0]) if array.size else float("nan"), float("nan"), float("nan"), array.size)
    centre = float(array.mean())
    half = float(stats.t.ppf((1 + level) / 2, array.size - 1) * stats.sem(array))
    return Estimate(centre, centre - half, centre + half, array.size)


def iqm(values: ArrayLike) -> float:
    """Interquartile mean: the mean of what is left without the lowest and the highest quarter (Agarwal et al. 2021).

    As their library has it, scipy's trimmed mean of all values together: a quarter of n is rounded down.

    :param values: of any shape
    """
    array = finite(values)
    return float(stats.trim_mean(array, 0.25, axis=None)) if array.size else float("nan")


def iqm_interval(
    strata: Sequence[ArrayLike], level: float = LEVEL, samples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """Interquartile mean over all strata with its stratified bootstrap interval.

    :param strata: for every task (a budget, a track) the values of its seeds; seeds are drawn within their stratum
    """
    arrays = [finite(stratum) for stratum in strata if np.size(stratum)]
    n = min((array.size for array in arrays), default=0)
    value = iqm(np.concatenate(arrays)) if arrays else float("nan")
    if n < 2:
        return Estimate(value, float("nan"), float("nan"), n)
    drawn = np.concatenate(resampled(arrays, samples, seed), axis=1)  # (samples, values)
    return Estimate(value, *percentiles(stats.trim_mean(drawn, 0.25, axis=1), level), n)


def probability_of_improvement(
    system: Sequence[ArrayLike],
    baseline: Sequence[ArrayLike],
    level: float = LEVEL,
    samples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Probability that a run of the system beats a run of the baseline, ties counting half, averaged over strata.

    Agarwal et al. 2021: the Mann–Whitney statistic over n · m, with a stratified bootstrap interval.

    :param system: for every task the values of its seeds, more is better
    :param baseline: the same tasks
    :raises ValueError: numbers of tasks that differ, or a task without values.
    """
    ours, theirs = [finite(x) for x in system], [finite(x) for x in baseline]
    if len(ours) != len(theirs) or not ours or not all(x.size for x in (*ours, *theirs)):
        raise ValueError(f"{len(ours)} tasks against {len(theirs)}: every task needs values of both")
    value = float(np.mean([stats.mannwhitneyu(x, y).statistic / (x.size * y.size) for x, y in _pairs(ours, theirs)]))
    n = min(x.size for x in (*ours, *theirs))
    if n < 2:
        return Estimate(value, float("nan"), float("nan"), n)
    draws = resampled([*ours, *theirs], samples, seed)
    drawn = zip(draws[: len(ours)], draws[len(ours) :], strict=True)
    wins = [(np.sign(x[:, :, None] - y[:, None, :]).mean(axis=(1, 2)) + 1) / 2 for x, y in drawn]
    return Estimate(value, *percentiles(np.mean(wins, axis=0), level), n)


def _pairs(ours: list[Array], theirs: list[Array]) -> list[tuple[Array, Array]]:
    return list(zip(ours, theirs, strict=True))


def sign_flip(differences: ArrayLike, samples: int = 99_999, seed: int = SEED) -> float:
    """Two-sided p of the sign-flip permutation test of paired differences, by scipy; exact up to 16 of them.

    Fewer than two differences, or none that is not zero: p = 1.
    """
    array = finite(differences)
    if array.size < 2 or not array.any():
        return 1.0
    found = stats.permutation_test(
        (array,),
        lambda x, axis=-1: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=2**EXACT if array.size <= EXACT else samples,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def wilcoxon(differences: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test by scipy, exact (with ties up to n = 10); zeros left out."""
    array = finite(differences)
    array = array[array != 0]
    if array.size == 0:
        return 1.0
    method: Any = "exact"
    if len(np.unique(np.abs(array))) < array.size or array.size > 50:  # scipy's exact distribution knows no ties
        method = stats.PermutationMethod(n_resamples=2**10) if array.size <= 10 else "asymptotic"
    return float(stats.wilcoxon(array, method=method).pvalue)


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
    p_value: float  # sign flip
    wilcoxon: float
    p_floor: float
    improvement: Estimate  # probability that a run of the system beats one of the baseline
    seeds: tuple[Any, ...]
    left_out: tuple[Any, ...]  # seeds that one of the two lacks


def across(system: Mapping[Any, float], baseline: Mapping[Any, float], level: float = LEVEL) -> Across:
    """Compares values paired by seed; seeds that one of the two lacks are left out and named.

    :returns: the difference system − baseline with its tests, p-values two-sided
    """
    seeds = tuple(sorted(set(system) & set(baseline), key=str))
    ours, theirs = (np.array([values[seed] for seed in seeds], dtype=np.float64) for values in (system, baseline))
    none = Estimate(float("nan"), float("nan"), float("nan"), 0)
    return Across(
        difference=mean(ours - theirs, level),
        p_value=sign_flip(ours - theirs),
        wilcoxon=wilcoxon(ours - theirs),
        p_floor=floor(len(seeds)),
        improvement=probability_of_improvement([ours], [theirs], level) if seeds else none,
        seeds=seeds,
        left_out=tuple(sorted(set(system) ^ set(baseline), key=str)),
    )
