"""The numbers drawn by the figures of speed, seeds and ranks, against plain computations."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_runs import cell_values, draw, no_overlap
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from scipy import stats
from synthetic_results import Plan, write

ARMS = (("random", "draw1"), ("random", "draw2"), ("magnitude", ""))
MORE = (*ARMS, ("l0", "joint"), ("l0", "continued"), ("dsp", "joint"), ("cluster_merge", ""))


def test_speed_up_equals_a_division(script, results: Path) -> None:
    module, values = script("speedup"), cell_values(results)
    read = script("common").read(results)
    (group,) = read.groups()
    for speed, power in zip(module.SPEEDS, (1, -1), strict=True):
        runs = module.ratios(read, group, speed)
        assert len(runs) == 44  # 46 pruned cells, two of them failed
        for row in runs.itertuples():
            own, dense = (
                values[group[3], row.method, row.arm, row.budget, row.seed],
                values[group[3], "unpruned", "", 36, row.seed],
            )
            assert row.theoretical == pytest.approx(dense["macs_per_token"] / own["macs_per_token"], rel=1e-12)
            assert row.realised == pytest.approx((dense[speed.metric] / own[speed.metric]) ** power, rel=1e-12)
            assert row.low <= row.realised <= row.high


def test_every_run_is_a_point(script, results: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = draw(script, "seed_distribution", results, tmp_path, unsaved)
    values = cell_values(results)
    budgets = [int(ax.get_title(loc="left").removeprefix("K = ")) for ax in figure.axes]
    assert budgets == [32, 8, 4]
    for ax, budget in zip(figure.axes, budgets, strict=True):
        drawn_at = [
            x for points in ax.collections if isinstance(points, PathCollection) for x, _ in points.get_offsets()
        ]
        expected = [cell["bleu"] for key, cell in values.items() if key[3] in (budget, 36)]
        np.testing.assert_allclose(sorted(drawn_at), sorted(expected))
    failed = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert failed == ["1 failed", "1 diverged"]
    ends = [segment for ax in figure.axes[:1] for lines in ax.collections for segment in segments(lines)]
    assert not ends  # two seeds have no interval


def test_three_seeds_have_an_interval(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    plan = Plan(arms=(("magnitude", ""),), budgets=(16,), seeds=(1, 2, 3), fewer={}, failed={})
    folder = write(tmp_path / "in", plan)
    figure = draw(script, "seed_distribution", folder, tmp_path, unsaved)
    runs = [cell["bleu"] for key, cell in cell_values(folder).items() if key[1] == "unpruned"]
    low, high = stats.t.interval(0.95, 2, np.mean(runs), stats.sem(runs))
    ends = [segment[:, 0] for ax in figure.axes[:1] for lines in ax.collections for segment in segments(lines)]
    assert any(np.allclose(end, (low, high)) for end in ends)


def segments(collection) -> list[np.ndarray]:
    return collection.get_segments() if hasattr(collection, "get_segments") else []


def test_ranks_equal_scipy_and_names_stand_apart(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    """Three seeds are the blocks; what misses K by more than a head is not ranked."""
    plan = Plan(arms=MORE, budgets=(16, 8), seeds=(1, 2, 3), fewer={})
    folder = write(tmp_path / "three", replace(plan, failed={}))
    figure = draw(script, "critical_difference", folder, tmp_path, unsaved)
    cells = pd.read_parquet(folder / "cells.parquet")
    cells = cells[(cells["metric"] == "bleu") & (cells["method"] != "unpruned")]
    cells = cells.assign(line=[(m, script("common").pooled_arm(a)) for m, a in cells[["method", "arm"]].to_numpy()])
    off = set(cells.loc[(cells["heads_kept"] - cells["budget"]).abs() > 1, "line"])
    means = cells.groupby(["seed", "budget", "line"])["value"].mean().groupby(["seed", "line"]).mean().unstack()
    means = means.drop(columns=list(off))
    ranks = stats.rankdata(-means.to_numpy(dtype=float), axis=1).mean(axis=0)
    texts = [text.get_text().strip() for text in figure.axes[0].texts]
    for line, rank in zip(means.columns, ranks, strict=True):
        label = script("families").line_label(line)
        assert f"{label}  {rank:.2f}" in texts or f"{rank:.2f}  {label}" in texts
    assert no_overlap(figure.axes[0].texts)
    assert min(text.get_fontsize() for text in figure.axes[0].texts) >= 7
    told = f"{means.shape[1]} methods in 3 blocks; Friedman χ² = "
    assert told in (tmp_path / "critical_difference.txt").read_text(encoding="utf-8")


def test_bars_of_one_level_do_not_meet(script) -> None:
    cliques = [(0, 2), (1, 3), (3, 4), (4, 6)]
    found = script("critical_difference").levels(cliques)
    assert sorted(clique for level in found for clique in level) == cliques
    for level in found:
        assert all(before[1] < after[0] for before, after in pairwise(level))


def test_too_few_blocks_are_said(script, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", Plan(arms=ARMS[:3], budgets=(16,), seeds=(1,), failed={}))
    assert script("critical_difference").main([str(folder), str(tmp_path)]) == 0
    assert (tmp_path / "critical_difference.txt").read_text().startswith("No ranks: Friedman's test needs")
    assert (tmp_path / "critical_difference.png").stat().st_size > 1_000
