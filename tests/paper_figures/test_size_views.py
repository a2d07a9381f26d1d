"""The numbers drawn by the figures of sizes, normalised quality and trainings, against plain computations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_runs import SCRIPTS, cell_values, draw, no_overlap
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from scipy import stats
from synthetic_results import Plan, write

from headprune.analysis.quality import of_track


def test_models_of_a_dataset_share_a_panel(script, models: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = draw(script, "size_vs_quality", models, tmp_path, unsaved)
    (ax,) = figure.axes
    labels = ax.get_legend_handles_labels()[1]
    assert labels.count("all-attention") == labels.count("transformer-xl") == 1
    values = cell_values(models)
    means: dict[tuple, list[tuple[float, float]]] = {}
    for (model, method, _, budget, _), cell in values.items():
        means.setdefault((model, method, budget), []).append(
            (cell["parameters_non_embedding"] / 1e6, cell["perplexity"])
        )
    expected = np.array([(np.mean(runs, axis=0)[0], stats.gmean(runs, axis=0)[1]) for runs in means.values()])
    points = np.concatenate([p.get_offsets() for p in ax.collections if isinstance(p, PathCollection)])
    order = [np.lexsort(table.T) for table in (points, expected)]
    np.testing.assert_allclose(points[order[0]], expected[order[1]])
    text = (tmp_path / "size_vs_quality.txt").read_text()
    assert text.count("M parameters, test perplexity") == 2


def test_steps_of_the_front_equal_a_loop(script, results: Path) -> None:
    common, pareto = script("common"), script("pareto")
    read = common.read(results)
    (group,) = read.groups()
    runs = pareto.runs_with(read, group, pareto.COSTS[3])
    runs = runs[runs["method"] != "unpruned"]
    steps = script("steps").front_steps(runs, of_track("mt"), 40.0)
    by_seed = runs.groupby(["method", "line", "budget", "seed"])[["x", "y"]].mean()
    means = by_seed.groupby(["method", "line", "budget"]).mean().to_numpy()
    for at, value in zip(steps.at, steps.value, strict=True):
        assert value == max(y for x, y in means if x <= at)
    known = ~np.isnan(steps.low)
    assert steps.n == 2
    assert known.any()
    assert (steps.low[known] <= steps.high[known]).all()


@pytest.mark.parametrize("track", ["mt", "lm"])
def test_front_of_what_is_better_when_lower(script, track: str) -> None:
    """BLEU up to 32 in the mean; perplexities down to the geometric mean of 1/31, 1/32, 1/33 of 1,000."""
    values = {(k, seed): 10.0 * k + seed for k in (1, 2, 3) for seed in (1, 2, 3)}
    of = {"mt": lambda value: value, "lm": lambda value: 1000 / value}[track]
    table = [("a", "", k, seed, float(k), of(value)) for (k, seed), value in values.items()]
    runs = pd.DataFrame(table, columns=["method", "line", "budget", "seed", "x", "y"])
    steps = script("steps").front_steps(runs, of_track(track), 4.0)
    expected = 32 if track == "mt" else stats.gmean([1000 / 31, 1000 / 32, 1000 / 33])
    assert steps.value[-1] == pytest.approx(expected, rel=1e-12)
    assert steps.low[-1] <= steps.value[-1] <= steps.high[-1]


def test_every_cost_has_its_panel(script, results: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = draw(script, "pareto", results, tmp_path, unsaved)
    labels = [ax.get_xlabel() for ax in figure.axes if ax.axison]
    assert [label.split(" ")[0] for label in labels] == [
        "heads",
        "parameters",
        "multiply-accumulates",
        "latency",
        "time",
    ]
    read = script("common").read(results)
    cost = script("pareto").COSTS[-1]
    runs = script("pareto").runs_with(read, read.groups()[0], cost).dropna(subset=["x"])
    rates = [cell["throughput"] for cell in cell_values(results).values()]
    np.testing.assert_allclose(sorted(runs["x"]), sorted(1e6 / rate for rate in rates))
    assert (runs["q25"] > runs["q75"]).all()  # a higher rate is a shorter time


def test_normalised_quality_by_hand(script, results: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    common, values = script("common"), cell_values(results)
    read = common.read(results)
    (group,) = read.groups()
    table = script("normalised_quality").points_of(read, group).set_index(["method", "budget"])
    assert set(table.index.get_level_values(0)) == {"magnitude", "dsp", "cluster_merge"}
    per_seed = []
    for seed in (1, 2):
        top, own = (
            values[group[3], "unpruned", "", 36, seed]["bleu"],
            values[group[3], "magnitude", "", 16, seed]["bleu"],
        )
        random = np.mean([values[group[3], "random", f"draw{i}", 16, seed]["bleu"] for i in (1, 2, 3)])
        per_seed.append((own, top, random))
    own, top, random = np.mean(per_seed, axis=0)
    assert table.loc[("magnitude", 16), "value"] == pytest.approx((own - random) / (top - random), rel=1e-12)
    expected = [(o - r) / (t - r) for o, t, r in per_seed]
    np.testing.assert_allclose(table.loc[("magnitude", 16), "single"], expected)
    draw(script, "normalised_quality", results, tmp_path, unsaved)
    flagged = int((table["flags"].map(len) > 0).sum())
    text = (tmp_path / "normalised_quality.txt").read_text()
    assert (f"{flagged} of {len(table)} points are flagged: " if flagged else f"None of {len(table)} points") in text


def test_what_lies_below_random_is_flagged_and_ringed(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    folder = write(
        tmp_path / "in",
        Plan(arms=[("random", "draw1"), ("random", "draw2"), ("magnitude", "")], budgets=(16,), failed={}),
    )
    cells = pd.read_parquet(folder / "cells.parquet")
    mine = (cells["method"] == "magnitude") & (cells["metric"] == "bleu")
    cells.assign(value=cells["value"].mask(mine, 1 + 0.001 * cells["seed"].astype(float))).to_parquet(
        folder / "cells.parquet"
    )
    cells.loc[(cells["method"] == "random") & (cells["metric"] == "bleu"), "value"] = 20.0
    cells.assign(value=cells["value"].mask(mine, 1 + 0.001 * cells["seed"].astype(float))).to_parquet(
        folder / "cells.parquet"
    )
    draw(script, "normalised_quality", folder, tmp_path, unsaved)
    text = (tmp_path / "normalised_quality.txt").read_text()
    assert "1 of 1 points are flagged: magnitude K = 16 below matched random" in text
    assert "1 points lie beyond their panel." in text


def test_curves_show_the_nearest_trial(script, searched: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    module, common = script("training_curves"), script("common")
    figure = draw(script, "training_curves", searched, tmp_path, unsaved)
    assert [ax.get_ylabel() for ax in figure.axes] == ["perplexity", "temperature", "penalty λ"]
    read = common.read(searched)
    (group,) = read.groups()
    row = module.row_of(read, group, common.read_curves(searched), common.read_trials(searched))
    assert row.budget == 8
    for seed in (1, 2):
        trials = [t for t in pd.read_csv(searched / "trials.csv").to_dict("records") if t["seed"] == seed]
        own = [t for t in trials if t["label"] == "l0.joint"]
        best = min(own, key=lambda t: (abs(t["heads_kept"] - 8), t["coefficient"]))
        curve = row.curves["l0", "joint"]
        assert set(curve.loc[curve["seed"] == seed, "coefficient"]) == {best["coefficient"]}
    curves = pd.read_csv(searched / "curves.csv")
    dense = curves[(curves["method"] == "unpruned") & (curves["split"] == "valid")]
    expected = (2 ** dense["nll_loss"]).groupby(dense["update"]).mean()
    lines = [line.get_ydata() for line in figure.axes[0].lines]
    assert any(len(y) == len(expected) and np.allclose(y, expected) for y in lines)


def test_no_curves_are_said(script, results: Path, tmp_path: Path) -> None:
    assert script("training_curves").main([str(results), str(tmp_path)]) == 0
    assert (tmp_path / "training_curves.txt").read_text().startswith("No learning curves in these results")


def test_one_page_is_a_page_without_overlaps(script, models: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = draw(script, "one_page", models, tmp_path, unsaved)
    assert tuple(figure.get_size_inches()) == script("one_page").PAPER
    blocks = [ax for ax in figure.axes if not ax.axison and ax.texts]
    assert len(blocks) == 2  # counts, claims
    for ax in blocks:
        assert no_overlap(ax.texts)
        boxes = [text.get_window_extent() for text in ax.texts]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)
    counts = [text.get_text() for text in blocks[0].texts]
    assert "lm, toy, all-attention" in counts
    assert counts.count("14") == 2  # two unpruned, and three arms at two budgets with two seeds


@pytest.mark.parametrize(("name", "methods"), [("quick", ["5", "4 (6 arms)"]), ("small", ["19 (34 arms)"])])
def test_one_page_has_claims_whole(
    name: str, methods: list[str], script, tmp_path: Path, unsaved: list[Figure]
) -> None:
    """Every claim of the table stands there to its last word; methods are counted without their arms."""
    folder = SCRIPTS.parent / "results" / "published" / name
    figure = draw(script, "one_page", folder, tmp_path, unsaved)
    counts, claims = (list(ax.texts) for ax in figure.axes if not ax.axison and ax.texts)
    assert [text.get_text() for text in counts if text.get_text() in methods] == methods
    assert no_overlap(claims)
    bottom = min(text.get_window_extent().y0 for text in claims[:-1])
    assert bottom >= claims[-1].get_window_extent().y1  # of the line on the data
    assert script("claims").main([str(folder), str(tmp_path)]) == 0
    wanted = pd.read_csv(tmp_path / "claims.csv")["text"]
    left = script("verdict_lines").CLAIM
    words = " ".join(text.get_text() for text in claims if text.get_position()[0] == left)
    assert len(wanted) > 10
    assert [text for text in wanted if text not in words] == []
