"""Friedman's test and Nemenyi's critical difference: which methods rank apart over many blocks (Demšar 2006)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headprune.statistics.base import Array, finite
from headprune.statistics.seeds import ALPHA

LEAST = 3  # blocks


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of methods, 1 the best, over blocks; what a critical-difference diagram shows."""

    methods: tuple[Hashable, ...]  # best first
    mean_ranks: Array  # in the same order
    blocks: int
    statistic: float  # Friedman's χ²
    p_value: float
    critical_difference: float  # mean ranks that differ by more differ significantly at alpha
    p_values: Array  # (methods, methods), Nemenyi
    cliques: tuple[tuple[int, int], ...]  # first and last position of groups that are not told apart
    alpha: float


def friedman(values: ArrayLike, methods: Sequence[Hashable], alpha: float = ALPHA) -> Ranks:
    """Rank methods within blocks and test whether they differ.

    :param values: (blocks, methods), more is better, complete; ties get mean ranks
    :returns: mean ranks, best first, with the test and the critical difference
    :raises ValueError: fewer than three methods or three blocks, a missing value, or names that do not fit.
    """
    table = finite(values, "ranked values")
    if table.ndim != 2 or table.shape[1] != len(methods):
        raise ValueError(f"values of shape {table.shape} for {len(methods)} methods")
    blocks, k = table.shape
    if k < 3 or blocks < LEAST:
        raise ValueError(f"{k} methods in {blocks} blocks: Friedman's test needs three methods and three blocks")
    ranks = scipy.stats.rankdata(-table, axis=1).mean(axis=0)
    order = np.argsort(ranks, kind="stable")
    if (table == table[:, :1]).all():  # nothing but ties: scipy would divide by zero
        statistic, p_value = 0.0, 1.0
    else:
        found = scipy.stats.friedmanchisquare(*table.T)
        statistic, p_value = float(found.statistic), float(found.pvalue)
    ranked = ranks[order]
    difference = critical_difference(k, blocks, alpha)
    return Ranks(
        methods=tuple(methods[i] for i in order),
        mean_ranks=ranked,
        blocks=blocks,
        statistic=statistic,
        p_value=p_value,
        critical_difference=difference,
        p_values=nemenyi(ranked, blocks),
        cliques=cliques(ranked, difference),
        alpha=alpha,
    )


def nemenyi(mean_ranks: ArrayLike, blocks: int) -> Array:
    """p of every pair by Nemenyi's test, from the studentised range with infinite degrees of freedom.

    :param mean_ranks: (methods,)
    :returns: (methods, methods), 1 on the diagonal
    """
    ranks = finite(mean_ranks, "mean ranks")
    k = len(ranks)
    distance = np.abs(ranks[:, None] - ranks[None, :]) / np.sqrt(k * (k + 1) / (6 * blocks))
    p_values = np.ones((k, k))
    above = np.triu_indices(k, 1)
    p_values[above] = scipy.stats.studentized_range.sf(distance[above] * np.sqrt(2), k, np.inf)
    return np.minimum(np.minimum(p_values, p_values.T), 1.0)


def critical_difference(methods: int, blocks: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference of mean ranks: q_α √(k (k + 1) / 6 N), Demšar 2006, section 3.2.2."""
    q = scipy.stats.studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def cliques(mean_ranks: ArrayLike, difference: float) -> tuple[tuple[int, int], ...]:
    """The longest runs of sorted mean ranks that span no more than the difference, of two methods and more.

    :param mean_ranks: (methods,), ascending
    :returns: places of the first and the last rank of each run
    """
    ranks = np.asarray(mean_ranks, dtype=np.float64)
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + difference, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return tuple(found)
