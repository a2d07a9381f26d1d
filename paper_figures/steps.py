"""Pareto fronts as steps over the means of runs, with a bootstrap band over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from common import LINE
from matplotlib.axes import Axes

from headprune.statistics.frontiers import Band, front_band

BAND = "Band: the front of bootstrap draws of seeds, 95 % of them, all points of a seed together"


def front_steps(runs: pd.DataFrame, sign: int, right: float) -> Band:
    """The front through the means over seeds, at every cost where it or its band can change, up to `right`.

    :param runs: rows with method, line, budget, seed, cost `x` and quality `y`; draws of a seed are averaged
    :param sign: of a quality that is better when higher, 1
    """
    seeds = runs.dropna(subset=["x", "y"]).groupby([*LINE, "budget", "seed"])[["x", "y"]].mean()
    cost, quality = (seeds[name].unstack("seed").to_numpy(dtype=float) for name in ("x", "y"))
    means = np.nanmean(cost, axis=1)
    every = np.linspace(np.nanmin(cost), right, 200)
    places = np.unique(np.concatenate([means, every, [right]]))
    band = front_band(cost, sign * quality, places[(places >= means.min()) & (places <= right)])
    low, high = sorted((sign * band.low, sign * band.high), key=np.nansum)
    return Band(band.at, sign * band.value, low, high, band.n)


def draw_band(ax: Axes, band: Band, color: str) -> None:
    """The band under the steps; nothing with one seed."""
    if band.n > 1:
        ax.fill_between(band.at, band.low, band.high, step="post", color=color, alpha=0.13, linewidth=0, zorder=1)
