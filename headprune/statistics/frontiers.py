"""Quality against cost: Pareto fronts as steps, their volume, and curves over budgets, with intervals over seeds.

Cost is better when lower, quality when higher. A front takes points that are known: the caller leaves out what is not
and says how many. Over seeds, a NaN is a seed that lacks the point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headprune.statistics.base import LEVEL, RESAMPLES, SEED, Array, Estimate, finite, percentiles

Measure = Callable[[Array, Array], ArrayLike]


def pareto_front(cost: ArrayLike, quality: ArrayLike) -> list[int]:
    """Indices of the points that no other dominates, by rising cost; points that coincide are all on the front.

    A point dominates another when it costs no more and is no worse, and is better in one of the two.

    :returns: places in the arrays
    :raises ValueError: arrays of different lengths, or a point that is not finite.
    """
    costs, qualities = _points(finite(cost, "costs"), finite(quality, "qualities"))
    front: list[int] = []
    best = (np.nan, -np.inf)  # cost and quality of the last point taken
    for i in np.lexsort((-qualities, costs)).tolist():
        if qualities[i] > best[1] or (costs[i], qualities[i]) == best:
            front.append(i)
            best = (costs[i], qualities[i])
    return front


def attained(cost: ArrayLike, quality: ArrayLike, at: ArrayLike) -> Array:
    """The best quality at each cost or below, the front as steps; NaN where nothing is that cheap.

    :param cost: (points,), likewise `quality`
    :param at: costs, of any shape
    :returns: qualities, of the shape of `at`
    :raises ValueError: a point that is not finite.
    """
    front = pareto_front(cost, quality)
    costs, qualities = (np.asarray(x, dtype=np.float64)[front] for x in (cost, quality))
    places = np.searchsorted(costs, np.asarray(at, dtype=np.float64), side="right") - 1
    return np.where(places >= 0, np.append(qualities, np.nan)[places], np.nan)


def hypervolume(cost: ArrayLike, quality: ArrayLike, reference: tuple[float, float]) -> float:
    """Area between the front and a reference point: what is dominated, within the reference.

    :param reference: (highest cost, lowest quality) that count; points beyond contribute what lies within, or nothing
    :returns: in units of cost times quality
    :raises ValueError: a reference, or a point, that is not finite.
    """
    if not np.isfinite(reference).all():
        raise ValueError(f"reference {reference} is not finite")
    costs, qualities = _points(cost, quality)
    front = pareto_front(costs, qualities)
    edges = np.minimum(np.append(costs[front], reference[0]), reference[0])
    heights = np.maximum(qualities[front] - reference[1], 0)
    return float(np.sum(np.diff(edges) * heights))


@dataclass(frozen=True)
class Band:
    """A curve with its bootstrap band over seeds; NaN where there is none."""

    at: Array
    value: Array
    low: Array
    high: Array
    n: int  # seeds


def front_band(
    cost: ArrayLike,
    quality: ArrayLike,
    at: ArrayLike,
    level: float = LEVEL,
    samples: int = RESAMPLES,
    seed: int = SEED,
) -> Band:
    """The steps of the front through the means of every point over seeds, with a bootstrap band.

    :param cost: (points, seeds); NaN: that seed has no such point
    :param quality: likewise. Seeds are drawn as blocks: all points of a seed together
    :param at: (places,) costs to give the steps at
    :returns: the steps and their percentile band, (places,) each
    """
    places = np.asarray(at, dtype=np.float64)
    value, drawn, n = _over_seeds(cost, quality, _of_known(lambda c, q: attained(c, q, places)), samples, seed)
    if n < 2:
        nothing = np.full(places.shape, np.nan)
        return Band(places, value, nothing, nothing, n)
    bounds = np.array([percentiles(column, level) for column in drawn.T]).reshape(-1, 2)
    return Band(places, value, bounds[:, 0], bounds[:, 1], n)


def front_membership(cost: ArrayLike, quality: ArrayLike, samples: int = RESAMPLES, seed: int = SEED) -> Array:
    """The share of draws of seeds in which each point is on the front; NaN with fewer than two seeds.

    :param cost: (points, seeds), as in `front_band`
    :returns: (points,)
    """

    def on_front(costs: Array, qualities: Array) -> Array:
        known = np.flatnonzero(~np.isnan(costs + qualities))
        found = np.zeros(len(costs))
        found[known[pareto_front(costs[known], qualities[known])]] = 1
        return found

    _, drawn, n = _over_seeds(cost, quality, on_front, samples, seed)
    return drawn.mean(axis=0) if n > 1 else np.full(len(np.asarray(cost)), np.nan)


def hypervolume_interval(
    cost: ArrayLike,
    quality: ArrayLike,
    reference: tuple[float, float],
    level: float = LEVEL,
    samples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Hypervolume of the front through the means over seeds with its bootstrap interval; parameters of `front_band`."""
    value, drawn, n = _over_seeds(cost, quality, _of_known(lambda c, q: hypervolume(c, q, reference)), samples, seed)
    low, high = percentiles(drawn, level) if n > 1 else (float("nan"), float("nan"))
    return Estimate(float(value), low, high, n)


def area_under_curve(budgets: ArrayLike, quality: ArrayLike) -> float:
    """Mean height of the piecewise linear curve through the points: trapezoids over the span of the budgets.

    Missing points are left out; NaN with fewer than two. Methods are comparable over the same span only.

    :returns: in the unit of the quality
    """
    x, y = _curve(budgets, quality)
    return float(np.trapezoid(y, x) / (x[-1] - x[0])) if len(x) > 1 else float("nan")


def area_interval(
    budgets: ArrayLike, quality: ArrayLike, level: float = LEVEL, samples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """Area under the mean curve over seeds with its bootstrap interval.

    :param budgets: (points,)
    :param quality: (points, seeds)
    """
    return _curve_interval(budgets, quality, area_under_curve, level, samples, seed)


def budget_at_loss(budgets: ArrayLike, relative: ArrayLike, loss: float) -> float:
    """The budget at which a curve, followed down from the largest budget, first loses more than `loss`.

    Between measured budgets the curve is linear. The smallest budget measured where nothing is lost by then: the true
    one is no larger. NaN where the largest budget has lost it already, or nothing is measured.

    :param relative: share of the unpruned quality, 1 = all of it
    :param loss: 0.01 for one per cent
    :returns: heads, interpolated
    """
    x, y = _curve(budgets, relative)
    if len(x) == 0 or y[-1] < 1 - loss:
        return float("nan")
    below = np.flatnonzero(y < 1 - loss)
    if below.size == 0:
        return float(x[0])
    i = below[-1]  # the last point below, counted from the smallest budget; its right neighbour is not
    share = (1 - loss - y[i]) / (y[i + 1] - y[i])
    return float(x[i] + share * (x[i + 1] - x[i]))


def budget_at_loss_interval(
    budgets: ArrayLike,
    relative: ArrayLike,
    loss: float,
    level: float = LEVEL,
    samples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """`budget_at_loss` of the mean curve over seeds with its bootstrap interval.

    :param relative: (points, seeds)
    """
    return _curve_interval(budgets, relative, lambda x, y: budget_at_loss(x, y, loss), level, samples, seed)


def _points(cost: ArrayLike, quality: ArrayLike) -> tuple[Array, Array]:
    costs, qualities = (np.asarray(x, dtype=np.float64) for x in (cost, quality))
    if costs.shape != qualities.shape or costs.ndim != 1:
        raise ValueError(f"costs of shape {costs.shape} and qualities of shape {qualities.shape} are no points")
    return costs, qualities


def _of_known(measure: Measure) -> Measure:
    """The measure of the points that a draw of seeds has."""

    def measured(costs: Array, qualities: Array) -> ArrayLike:
        known = ~np.isnan(costs + qualities)
        return measure(costs[known], qualities[known])

    return measured


def _curve(budgets: ArrayLike, quality: ArrayLike) -> tuple[Array, Array]:
    """The points that are not missing, by rising budget."""
    x, y = _points(budgets, quality)
    known = ~(np.isnan(x) | np.isnan(y))
    order = np.argsort(x[known], kind="stable")
    return x[known][order], y[known][order]


def _curve_interval(
    budgets: ArrayLike,
    quality: ArrayLike,
    measure: Callable[[Array, Array], float],
    level: float,
    samples: int,
    seed: int,
) -> Estimate:
    y = np.atleast_2d(np.asarray(quality, dtype=np.float64))
    x = np.repeat(np.asarray(budgets, dtype=np.float64)[:, None], y.shape[1], axis=1)
    value, drawn, n = _over_seeds(x, y, measure, samples, seed)
    low, high = percentiles(drawn, level) if n > 1 else (float("nan"), float("nan"))
    return Estimate(float(value), low, high, n)


def _over_seeds(
    cost: ArrayLike, quality: ArrayLike, measure: Measure, samples: int, seed: int
) -> tuple[Array, Array, int]:
    """A measure of the mean points, the same of `samples` draws of seeds, and the number of seeds with any point.

    :param cost: (points, seeds)
    """
    costs, qualities = (np.asarray(x, dtype=np.float64) for x in (cost, quality))
    if costs.shape != qualities.shape or costs.ndim != 2:
        raise ValueError(f"costs of shape {costs.shape} and qualities of shape {qualities.shape}: need (points, seeds)")
    known = ~(np.isnan(costs) | np.isnan(qualities))
    used = np.flatnonzero(known.any(axis=0))
    costs, qualities, known = costs[:, used], qualities[:, used], known[:, used]
    n = len(used)
    weights = np.ones((1, n))
    if n > 1:
        chosen = np.random.default_rng(seed).integers(n, size=(samples, n))
        weights = np.concatenate([weights, (chosen[:, :, None] == np.arange(n)).sum(axis=1)])
    count = weights @ known.T  # (1 + samples, points)
    with np.errstate(invalid="ignore"):
        means = [weights @ np.where(known, x, 0).T / count for x in (costs, qualities)]
    # Few seeds give few different draws: each is measured once.
    distinct, place = np.unique(weights, axis=0, return_index=True, return_inverse=True)[1:]
    found = np.array([measure(means[0][i], means[1][i]) for i in distinct], dtype=np.float64)[_flat(place)]
    return found[0], found[1:], n


def _flat(indices: NDArray[np.intp]) -> NDArray[np.intp]:
    return indices.reshape(-1)
