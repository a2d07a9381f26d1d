"""The confidence set of methods that may be the best of several, over seeds, by the largest of many statistics."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headprune.statistics.base import SEED, Array, finite

ALL = 12  # up to so many seeds all sign flips are made
DRAWS = 9999
ROUNDING = 1e-9


def least_p_of_best(seeds: int) -> float:
    """The smallest p with which a method can be left out: one of 2^n sign flips."""
    return 2.0**-seeds if seeds <= ALL else 1 / (DRAWS + 1)


def p_of_being_best(values: ArrayLike, seed: int = SEED) -> Array:
    """The p of the hypothesis that no other method is better, of every method: multiple comparisons with the best.

    Hsu 1981 asks the same of normal values with one variance. Here the statistic is the largest studentised mean of the
    differences to the others (max-T), and its distribution that of the signs of seeds flipped for all methods at once
    (Westfall and Young 1993). Methods with p > α are a set that holds the best with probability 1 − α: one test of its
    own can leave it out, however many methods were compared and whichever seemed to be the best.

    :param values: (seeds, methods), more is better, complete
    :returns: (methods,); 1 with fewer than two seeds or methods
    """
    table = finite(values, "values")
    if table.ndim != 2 or min(table.shape) < 2:
        return np.ones(np.shape(table)[-1])
    flips = _flips(len(table), seed)
    return np.array([_p(np.delete(table - table[:, [i]], i, axis=1), flips) for i in range(table.shape[1])])


def may_be_best(values: ArrayLike, alpha: float) -> NDArray[np.bool_] | None:
    """The methods that may be the best at a confidence of 1 − α; None where so few seeds can leave none out.

    :param values: as of `p_of_being_best`
    :returns: (methods,)
    """
    return None if least_p_of_best(len(np.asarray(values))) > alpha else p_of_being_best(values) > alpha


def _p(differences: Array, flips: NDArray[np.int8]) -> float:
    """The p of the hypothesis that no column has a mean above zero.

    Flipping signs leaves sums of squares as they are, so that Σd / √(n Σd²), which rises with Student's t and lies
    between −1 and 1, orders flips and columns alike.
    """
    norms = np.sqrt(len(differences) * (differences**2).sum(axis=0))
    scaled = np.divide(differences, norms, out=np.zeros_like(differences), where=norms > 0)
    largest = (flips @ scaled).max(axis=1)
    return float((largest >= largest[0] - ROUNDING).mean())


def _flips(seeds: int, seed: int) -> NDArray[np.int8]:
    """Signs of the seeds, (flips, seeds), those that are observed first: all of them, or a sample."""
    if seeds <= ALL:
        return np.array(list(product([1, -1], repeat=seeds)), dtype=np.int8)
    drawn = np.random.default_rng(seed).integers(0, 2, (DRAWS, seeds), dtype=np.int8) * 2 - 1
    return np.concatenate([np.ones((1, seeds), dtype=np.int8), drawn])
