"""Bands of quality against heads: over seeds, as the table has them, and what the figure says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_runs import draw
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from scipy import stats

N_HEADS = 12
VALUES = {(12, "unpruned"): 20.0, (8, "magnitude"): 15.0, (4, "magnitude"): 9.0, (8, "random"): 6.0, (4, "random"): 2.0}
STEPS = (0.0, 1.0, -0.4, 2.1)  # of seeds


def cells(seeds: int) -> pd.DataFrame:
    """Two lines at two budgets; random has two draws a seed, three BLEU apart."""
    place = {"profile": "p", "track": "mt", "dataset": "d", "model": "m", "n_heads": N_HEADS, "split": "test"}
    place |= {"metric": "bleu", "status": "ok", "reason": ""}
    return pd.DataFrame(
        place
        | {"method": method, "arm": arm, "budget": k, "heads_kept": k, "seed": seed, "value": value + step + offset}
        for (k, method), value in VALUES.items()
        for seed, step in enumerate(STEPS[:seeds], 1)
        for arm, offset in ([("draw1", 0.0), ("draw2", 3.0)] if method == "random" else [("", 0.0)])
    )


def drawn(seeds: int, script: Callable, folder: Path, unsaved: list[Figure]) -> Figure:
    cells(seeds).to_parquet(folder / "cells.parquet")
    return draw(script, "quality_vs_heads", folder, folder, unsaved)


def bands(figure: Figure) -> list[list[float]]:
    """Low, high at 4 and low, high at 8 heads of every line's band."""
    found = [c for c in figure.axes[0].collections if isinstance(c, FillBetweenPolyCollection)]
    corners = [band.get_paths()[0].vertices for band in found]
    ends = [[sorted(set(at[at[:, 0] == heads, 1])) for heads in (4, 8)] for at in corners]
    return sorted([float(end) for heads in band for end in (heads[0], heads[-1])] for band in ends)


@pytest.mark.parametrize("seeds", [3, 4])
def test_bands_are_the_interval_of_the_mean_over_seeds(
    seeds: int, script: Callable, tmp_path: Path, unsaved: list[Figure]
) -> None:
    """Those of scipy: draws of a seed are averaged first, so that two draws do not count as two seeds."""
    figure = drawn(seeds, script, tmp_path, unsaved)
    half = stats.sem(STEPS[:seeds]) * stats.t.ppf(0.975, seeds - 1)
    centres = {method: np.array([VALUES[k, method] for k in (4, 8)]) for method in ("random", "magnitude")}
    centres["random"] = centres["random"] + 1.5
    expected = [
        [end for c in centre + np.mean(STEPS[:seeds]) for end in (c - half, c + half)] for centre in centres.values()
    ]
    assert bands(figure) == pytest.approx(np.array(sorted(expected)), rel=1e-12)
    assert figure.axes[0].get_title() == f"n = {seeds} seeds, bands: 95 % interval of the mean"


def test_two_seeds_span_from_run_to_run(script: Callable, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(2, script, tmp_path, unsaved)
    assert bands(figure) == [[2.0, 6.0, 6.0, 10.0], [9.0, 10.0, 15.0, 16.0]]
    assert figure.axes[0].get_title() == "n = 2 seeds, bands: lowest to highest"


def test_one_seed_has_no_band(script: Callable, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(1, script, tmp_path, unsaved)
    assert figure.axes[0].get_title() == "n = 1 seed"
    assert not figure.axes[0].patches
