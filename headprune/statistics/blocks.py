"""Measures over several tasks (budgets, tracks) whose bootstrap draws seeds as blocks: all tasks of a seed together.

The budgets of a seed share its trainings, so that drawing them apart would give intervals that are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headprune.statistics.base import LEVEL, RESAMPLES, SEED, Array, Estimate, finite, percentiles

NAN = float("nan")


def iqm(values: ArrayLike) -> float:
    """Interquartile mean: the mean of what is left without the lowest and the highest quarter (Agarwal et al. 2021).

    As their library has it, scipy's trimmed mean of all values together: a quarter of n is rounded down.

    :param values: of any shape
    """
    array = finite(values)
    return float(scipy.stats.trim_mean(array, 0.25, axis=None)) if array.size else NAN


def iqm_interval(
    strata: Sequence[ArrayLike], level: float = LEVEL, samples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """Interquartile mean over all tasks and seeds, with the bootstrap interval of seeds drawn as blocks.

    :param strata: for every task the values of the seeds, in one order; NaN, or a shorter row: a seed that lacks it
    """
    table = _padded(strata)
    known = ~np.isnan(table)
    n = int(known.sum(axis=1).min()) if known.any() else 0
    value = iqm(table[known])
    if n < 2:
        return Estimate(value, NAN, NAN, n)
    drawn = [table[:, chosen].ravel() for chosen in _draws(table.shape[1], samples, seed)]
    if known.all():
        found = scipy.stats.trim_mean(np.array(drawn), 0.25, axis=1)
    else:
        found = np.array([iqm(row[~np.isnan(row)]) for row in drawn])
    return Estimate(value, *percentiles(found, level), n)


def probability_of_improvement(
    system: Sequence[Sequence[ArrayLike]],
    baseline: Sequence[Sequence[ArrayLike]],
    level: float = LEVEL,
    samples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Probability that a run of the system beats a run of the baseline, ties counting half, averaged over tasks.

    Agarwal et al. 2021: the Mann–Whitney statistic over n · m. Seeds are drawn as blocks, of both methods at once.

    :param system: for every task, for every seed in one order its value, or those of its runs; more is better
    :param baseline: the same tasks
    :raises ValueError: numbers of tasks that differ, or a task without values.
    """
    sizes = [sum(np.size(runs) > 0 for runs in own) for own in (*system, *baseline)]
    if len(system) != len(baseline) or not sizes or not all(sizes):
        raise ValueError(f"{len(system)} tasks against {len(baseline)}: every task needs values of both")
    seeds = max(map(len, (*system, *baseline)))
    wins = np.array([_wins(x, y, seeds) for x, y in zip(system, baseline, strict=True)])  # (tasks, seeds, seeds)
    counted = ~np.isnan(wins)
    won = np.where(counted, wins, 0.0)

    def measure(weights: Array) -> Array:
        """Weights of the seeds, (draws, seeds)."""
        above, below = (
            np.einsum("ds,kst,dt->dk", weights, part, weights, optimize=True) for part in (won, counted * 1.0)
        )
        with np.errstate(invalid="ignore"):
            return (above / below).mean(axis=1)

    value, n = float(measure(np.ones((1, seeds)))[0]), min(sizes)
    if n < 2:
        return Estimate(value, NAN, NAN, n)
    chosen = _draws(seeds, samples, seed)
    return Estimate(value, *percentiles(measure((chosen[:, :, None] == np.arange(seeds)).sum(axis=1)), level), n)


def _wins(system: Sequence[ArrayLike], baseline: Sequence[ArrayLike], seeds: int) -> Array:
    """Share of pairs of runs that the system wins, by its seed and the baseline's; NaN where one of them has none."""
    found = np.full((seeds, seeds), NAN)
    for place, ours in enumerate(system):
        for other, theirs in enumerate(baseline):
            signs = np.sign(np.subtract.outer(finite(np.atleast_1d(ours)), finite(np.atleast_1d(theirs))))
            if signs.size:
                found[place, other] = (signs.mean() + 1) / 2
    return found


def _padded(strata: Sequence[ArrayLike]) -> Array:
    """Rows of different lengths as one table, NaN at their ends."""
    rows: list[Any] = [np.asarray(row, dtype=np.float64) for row in strata]
    table = np.full((len(rows), max(map(len, rows), default=0)), NAN)
    for own, row in zip(table, rows, strict=True):
        own[: len(row)] = row
    return table


def _draws(seeds: int, samples: int, seed: int) -> Any:
    """Seeds drawn with replacement, (samples, seeds)."""
    return np.random.default_rng(seed).integers(seeds, size=(samples, seeds))
