"""Pareto fronts as steps over the means of runs, with a bootstrap band over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from common import LINE, Quality, Results
from matplotlib.axes import Axes

from headprune.statistics.frontiers import Band, front_band

BAND = "Band: the front of bootstrap draws of seeds, 95 % of them, all points of a seed together"
NARROW = "; of {} seeds it is much too narrow"


def band_sentence(results: Results) -> str:
    """A sentence for a caption on what a band of few seeds is worth."""
    seeds = results.cells.loc[results.cells["status"] == "ok", "seed"].nunique()
    if seeds < 2:
        return "One seed: no band"
    return BAND + (NARROW.format(seeds) if seeds <= 3 else "")


def front_steps(runs: pd.DataFrame, quality: Quality, right: float) -> Band:
    """The front through the means over seeds, at every cost where it or its band can change, up to `right`.

    :param runs: rows with method, line, budget, seed, cost `x` and quality `y`; draws of a seed are averaged
    :param quality: whose scale means are taken on
    """
    known = runs.dropna(subset=["x", "y"])
    seeds = known.assign(y=quality.worth(known["y"])).groupby([*LINE, "budget", "seed"])[["x", "y"]].mean()
    cost, worth = (seeds[name].unstack("seed").to_numpy(dtype=float) for name in ("x", "y"))
    means = np.nanmean(cost, axis=1)
    low, wide = np.nanmin(cost), np.nanmin(cost) > 0 and right > 100 * np.nanmin(cost)
    every = (np.geomspace if wide else np.linspace)(low, right, 200)
    places = np.unique(np.concatenate([means, every, [right]]))
    band = front_band(cost, worth, places[(places >= means.min()) & (places <= right)])
    low, high = quality.value(band.low), quality.value(band.high)
    return Band(band.at, quality.value(band.value), np.minimum(low, high), np.maximum(low, high), band.n)


def draw_band(ax: Axes, band: Band, color: str) -> None:
    """The band under the steps; nothing with one seed."""
    if band.n > 1:
        ax.fill_between(band.at, band.low, band.high, step="post", color=color, alpha=0.18, linewidth=0, zorder=1)
