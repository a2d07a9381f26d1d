"""The numbers drawn by the figures of masks, speed, seeds, ranks, sizes and trainings, against plain computations."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats
from scipy.spatial.distance import jaccard
from synthetic_results import Plan, write

MODELS = [("small_lm", "lm", "toy", name) for name in ("all-attention", "transformer-xl")]
ARMS = (("random", "draw1"), ("random", "draw2"), ("magnitude", ""), ("l0", "joint"), ("l0", "continued"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds with searches and curves."""
    arms = (*ARMS, ("dsp", "joint"), ("cluster_merge", ""))
    return write(
        tmp_path_factory.mktemp("searched"), Plan(arms=arms, budgets=(16, 8), fewer={}, failed={}, trials=True)
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two language models of one dataset."""
    plan = Plan(groups=MODELS, arms=ARMS[:3], budgets=(16, 8), fewer={}, failed={}, metric="perplexity")
    folder = write(tmp_path_factory.mktemp("models"), plan)
    cells = pd.read_parquet(folder / "cells.parquet")
    cells[(cells["metric"] != "perplexity") | (cells["split"] == "test")].to_parquet(folder / "cells.parquet")
    return folder


def drawn(script, name: str, folder: Path, out: Path, unsaved: list[Figure]) -> Figure:
    assert script(name).main([str(folder), str(out)]) == 0
    unsaved[-1].draw_without_rendering()
    return unsaved[-1]


def cell_values(folder: Path) -> dict[tuple, dict[str, float]]:
    """Metrics by (model, method, arm, budget, seed), gathered with a loop; only completed cells."""
    found: dict[tuple, dict[str, float]] = {}
    for row in pd.read_parquet(folder / "cells.parquet").to_dict("records"):
        if row["status"] == "ok":
            key = tuple(row[name] for name in ("model", "method", "arm", "budget", "seed"))
            found.setdefault(key, {})[row["metric"]] = row["value"]
    return found


def no_overlap(texts: list[Text]) -> bool:
    boxes = [text.get_window_extent() for text in texts if text.get_visible() and text.get_text().strip()]
    return not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_agreements_equal_scipy(results: Path, script) -> None:
    ((_, masks),) = script("masks").usable_masks(script("common").read(results, with_masks=True))
    found = script("masks").agreements(masks[masks["method"] != "unpruned"])
    vectors: dict[tuple, dict[tuple, list[bool]]] = {}
    for row in pd.read_parquet(results / "masks.parquet").sort_values("head").to_dict("records"):
        if row["method"] != "unpruned":
            run = (row["method"], row["arm"], row["seed"])
            vectors.setdefault(row["budget"], {}).setdefault(run, []).append(row["kept"])
    expected: dict[tuple, list[float]] = {}
    for budget, runs in vectors.items():
        for (one, a), (other, b) in combinations(sorted(runs.items()), 2):
            if (one[0] == other[0]) != (one[2] == other[2]):
                pair = (budget, *sorted((one[0], other[0])))
                expected.setdefault(pair, []).append(1 - jaccard(np.array(a), np.array(b)))
    for (budget, *pair), values in expected.items():
        own = found[found["budget"] == budget]
        names = [tuple(sorted(names)) for names in own[["method", "other_method"]].to_numpy()]
        mine = own.loc[[name == tuple(pair) for name in names], "jaccard"]
        np.testing.assert_allclose(sorted(mine), sorted(values), atol=1e-12)
    assert len(found) == sum(map(len, expected.values()))


def test_expected_agreement_of_masks_of_two_sizes(script) -> None:
    one, other = ([set(chosen) for chosen in combinations(range(6), k)] for k in (2, 4))
    mean = np.mean([len(a & b) / len(a | b) for a in one for b in other])
    assert script("masks").expected_jaccard(6, 2, 4) == pytest.approx(mean, abs=1e-12)


def test_matrix_of_agreement_is_what_is_drawn(script, searched: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(script, "mask_agreement", searched, tmp_path, unsaved)
    text = (tmp_path / "mask_agreement.txt").read_text()
    assert "Middle K shown: K = 8." in text
    masks = pd.read_parquet(searched / "masks.parquet")
    at = masks[(masks["method"] == "cluster_merge") & (masks["budget"] == 8)]
    one, other = (own.sort_values("head")["kept"].to_numpy(dtype=bool) for _, own in at.groupby("seed"))
    bold = [label.get_text() for label in figure.axes[1].texts if label.get_fontweight() == "bold"]
    assert bold[-1] == f"{100 * (1 - jaccard(one, other)):.0f}"  # methods that the suite does not know come last


def test_heads_per_layer_equal_a_loop(script, searched: Path) -> None:
    module, common = script("heads_per_layer"), script("common")
    read = common.read(searched, with_masks=True)
    (group,) = read.groups()
    panels = list(module.over_penalties(read, group, common.read_trial_masks(searched)))
    assert [panel.line for panel in panels] == [("l0", arm) for arm in ("pipelined", "joint", "continued")]
    kept: dict[tuple, int] = {}
    for row in pd.read_csv(searched / "trial_masks.csv").to_dict("records"):
        key = (row["label"], row["coefficient"], f"{row['type']}.{row['layer']}")
        kept[key] = kept.get(key, 0) + int(row["kept"])
    for panel in panels:
        assert panel.trainings == 10  # five penalties, two seeds
        for (label, penalty, name), count in kept.items():
            if label == f"l0.{panel.line[1]}":
                assert panel.kept.loc[name, f"{penalty:.2g}"] == count / 2
                assert panel.share.loc[name, f"{penalty:.2g}"] == count / 2 / 4
        np.testing.assert_allclose(panel.kept.iloc[:-1].sum(), panel.kept.loc["all"])
    assert (panels[0].kept.loc["all"].diff().dropna() < 0).all()


def test_many_penalties_share_columns(script) -> None:
    penalties = pd.Series(np.geomspace(1e-5, 1e-1, 23))
    names = dict(script("heads_per_layer").binned(penalties))
    assert set(names) == set(penalties)
    assert len(set(names.values())) <= script("heads_per_layer").MOST
    assert names[penalties.iloc[0]].startswith("1e-05–")


def test_asked_arms_choose_the_penalties_too(script, searched: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    module = script("heads_per_layer")
    assert module.main([str(searched), str(tmp_path), "--arms", "l0.joint"]) == 0
    titles = [ax.get_title(loc="left") for ax in unsaved[-1].axes if ax.get_title(loc="left")]
    assert titles == ["L0 (joint)", "L0 (joint)"]  # over the penalty, and over K


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
    figure = drawn(script, "seed_distribution", results, tmp_path, unsaved)
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
    low, high = stats.t.interval(0.95, 1, *mean_and_error([c["bleu"] for k, c in values.items() if k[1] == "unpruned"]))
    ends = [segment[:, 0] for ax in figure.axes[:1] for lines in ax.collections for segment in segments(lines)]
    assert any(np.allclose(end, (low, high)) for end in ends)


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(stats.sem(values))


def segments(collection) -> list[np.ndarray]:
    return collection.get_segments() if hasattr(collection, "get_segments") else []


def test_ranks_equal_scipy_and_names_stand_apart(script, searched: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(script, "critical_difference", searched, tmp_path, unsaved)
    table: dict[tuple, dict[tuple, list[float]]] = {}
    for (_, method, arm, budget, _), cell in cell_values(searched).items():
        if method != "unpruned":
            line = (method, script("common").pooled_arm(arm))
            table.setdefault(budget, {}).setdefault(line, []).append(cell["bleu"])
    lines = sorted(table[16])
    ranks = np.mean([stats.rankdata([-np.mean(own[line]) for line in lines]) for own in table.values()], axis=0)
    texts = [text.get_text().strip() for text in figure.axes[0].texts]
    for line, rank in zip(lines, ranks, strict=True):
        label = script("families").line_label(line)
        assert f"{label}  {rank:.2f}" in texts or f"{rank:.2f}  {label}" in texts
    assert no_overlap(figure.axes[0].texts)
    assert "6 methods in 2 blocks; Friedman χ² = " in (tmp_path / "critical_difference.txt").read_text()


def test_bars_of_one_level_do_not_meet(script) -> None:
    cliques = [(0, 2), (1, 3), (3, 4), (4, 6)]
    found = script("critical_difference").levels(cliques)
    assert sorted(clique for level in found for clique in level) == cliques
    for level in found:
        assert all(before[1] < after[0] for before, after in pairwise(level))


def test_too_few_blocks_are_said(script, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", Plan(arms=ARMS[:3], budgets=(16,), seeds=(1,), failed={}))
    assert script("critical_difference").main([str(folder), str(tmp_path)]) == 0
    assert (tmp_path / "critical_difference.txt").read_text().startswith("Too few methods share two budgets")
    assert (tmp_path / "critical_difference.png").stat().st_size > 1_000


def test_models_of_a_dataset_share_a_panel(script, models: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(script, "size_vs_quality", models, tmp_path, unsaved)
    (ax,) = figure.axes
    labels = ax.get_legend_handles_labels()[1]
    assert labels.count("all-attention") == labels.count("transformer-xl") == 1
    values = cell_values(models)
    means: dict[tuple, list[tuple[float, float]]] = {}
    for (model, method, _, budget, _), cell in values.items():
        means.setdefault((model, method, budget), []).append(
            (cell["parameters_non_embedding"] / 1e6, cell["perplexity"])
        )
    expected = np.array([np.mean(runs, axis=0) for runs in means.values()])
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
    steps = script("steps").front_steps(runs, 1, 40.0)
    by_seed = runs.groupby(["method", "line", "budget", "seed"])[["x", "y"]].mean()
    means = by_seed.groupby(["method", "line", "budget"]).mean().to_numpy()
    for at, value in zip(steps.at, steps.value, strict=True):
        assert value == max(y for x, y in means if x <= at)
    known = ~np.isnan(steps.low)
    assert steps.n == 2
    assert known.any()
    assert (steps.low[known] <= steps.high[known]).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_front_of_what_is_better_when_lower(script, sign: int) -> None:
    rows = [("a", "", k, seed, float(k), sign * (10.0 * k + seed)) for k in (1, 2, 3) for seed in (1, 2, 3)]
    runs = pd.DataFrame(rows, columns=["method", "line", "budget", "seed", "x", "y"])
    steps = script("steps").front_steps(runs, sign, 4.0)
    assert steps.value[-1] == sign * 32
    assert steps.low[-1] <= steps.value[-1] <= steps.high[-1]


def test_every_cost_has_its_panel(script, results: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(script, "pareto", results, tmp_path, unsaved)
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
    drawn(script, "normalised_quality", results, tmp_path, unsaved)
    flagged = int((table["flags"].map(len) > 0).sum())
    text = (tmp_path / "normalised_quality.txt").read_text()
    assert (f"{flagged} of {len(table)} points are flagged: " if flagged else f"None of {len(table)} points") in text


def test_what_lies_below_random_is_flagged_and_ringed(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    folder = write(tmp_path / "in", Plan(arms=ARMS[:3], budgets=(16,), failed={}))
    cells = pd.read_parquet(folder / "cells.parquet")
    mine = (cells["method"] == "magnitude") & (cells["metric"] == "bleu")
    cells.assign(value=cells["value"].mask(mine, 1 + 0.001 * cells["seed"].astype(float))).to_parquet(
        folder / "cells.parquet"
    )
    cells.loc[(cells["method"] == "random") & (cells["metric"] == "bleu"), "value"] = 20.0
    cells.assign(value=cells["value"].mask(mine, 1 + 0.001 * cells["seed"].astype(float))).to_parquet(
        folder / "cells.parquet"
    )
    drawn(script, "normalised_quality", folder, tmp_path, unsaved)
    text = (tmp_path / "normalised_quality.txt").read_text()
    assert "1 of 1 points are flagged: magnitude K = 16 below matched random" in text
    assert "1 points lie beyond their panel." in text


def test_curves_show_the_nearest_trial(script, searched: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    module, common = script("training_curves"), script("common")
    figure = drawn(script, "training_curves", searched, tmp_path, unsaved)
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
    figure = drawn(script, "one_page", models, tmp_path, unsaved)
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
