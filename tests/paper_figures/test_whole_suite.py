"""Readable with every arm of the suite: what fits where, what is told apart, and the numbers of the new figures."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_runs import MAPS
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from synthetic_results import EVERY_ARM, Plan, whole_suite, write

from headprune.analysis.quality import of_track
from headprune.results.papers import read_papers

PLAN = whole_suite(budgets=(24, 16, 8), seeds=(1,))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("suite"), PLAN)


@pytest.fixture(scope="module")
def values(suite: Path) -> dict[tuple, dict[str, float]]:
    """Metrics of every cell by (method, arm, budget, seed), gathered with a loop."""
    found: dict[tuple, dict[str, float]] = {}
    for row in pd.read_parquet(suite / "cells.parquet").to_dict("records"):
        if row["status"] == "ok":
            cell = found.setdefault((row["method"], row["arm"], row["budget"], row["seed"]), {})
            cell[row["metric"]] = row["value"]
    return found


def drawn(script, name: str, suite: Path, out: Path, unsaved: list[Figure], *options: str) -> Figure:
    assert script(name).main([str(suite), str(out), *options]) == 0
    unsaved[-1].draw_without_rendering()
    return unsaved[-1]


def test_quality_has_a_panel_per_family(script, suite: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(script, "quality_vs_heads", suite, tmp_path, unsaved)
    legends = [ax.get_legend() for ax in figure.axes]
    listed = [text.get_text() for legend in legends for text in legend.get_texts()]
    label = script("families").line_label
    expected = {label((method, script("common").pooled_arm(arm))) for method, arm in EVERY_ARM}
    assert set(listed) == expected - {"cluster merge"} | {"magnitude + random twin", "DSP (joint) + random twin"}
    assert len(listed) == len(set(listed))
    assert max(len(legend.get_texts()) for legend in legends) <= 8
    assert figure.get_figwidth() == 7
    assert figure.get_figheight() <= script("pages").PAGE
    boxes = [ax.get_tightbbox() for ax in figure.axes] + [legend.get_window_extent() for legend in figure.legends]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    for ax, legend in zip(figure.axes, legends, strict=True):  # legends stand beside their panel, not in it
        assert legend.get_window_extent().x0 >= ax.bbox.x1


def test_lines_of_a_family_differ_in_colour_and_in_grey(script) -> None:
    for lines in script("families").by_family(script("looks").KNOWN).values():
        found = list(script("looks").looks(lines).values())
        assert len({look.color for look in found}) == len({look.marker for look in found}) == len(lines)


def test_known_arms_are_those_of_the_order(script) -> None:
    families = script("families")
    for method, arm in script("looks").KNOWN:
        assert method.partition("+")[0] in families.METHODS
        assert arm in (families.ARMS.get(method) or ("",))


def test_results_name_a_method_that_is_not_installed(script, suite: Path, tmp_path: Path) -> None:
    """The manifest beside the cells names it; a family that no page has a place for is among the others."""
    families, method = script("families"), ("cluster_merge", "")
    for family, expected in (("Reconstruction", "Reconstruction"), ("Clusters", "Other methods")):
        printed = {"cluster_merge": {"title": "ClusterMerge", "family": family}}
        (tmp_path / "manifest.json").write_text(json.dumps({"printed": printed}), encoding="utf-8")
        shutil.copyfile(suite / "cells.parquet", tmp_path / "cells.parquet")
        script("common").read(tmp_path)
        assert (families.line_label(method), families.family_of(method)) == ("ClusterMerge", expected)
        assert families.line_label(("dsp", "joint")) == "DSP (joint)"
    script("common").read(suite)
    assert (families.line_label(method), families.family_of(method)) == ("cluster merge", "Other methods")


def test_few_chosen_arms_share_one_panel(script, suite: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(script, "quality_vs_heads", suite, tmp_path, unsaved, "--arms", "dsp.joint", "greedy")
    assert len(figure.axes) == 1
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["unpruned", "greedy", "DSP (joint)"]
    assert "Only the arms asked for: dsp.joint, greedy." in (tmp_path / "quality_vs_heads.txt").read_text()


def test_unknown_arm_is_refused(script, suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("pareto").main([str(suite), str(tmp_path), "--arms", "dsp.jiont"]) == 2
    assert "--arms names dsp.jiont; available: confidence, drop_one, " in capsys.readouterr().err


def test_pareto_tells_only_the_front_apart(script, suite: Path, tmp_path: Path, unsaved: list[Figure], values) -> None:
    figure = drawn(script, "pareto", suite, tmp_path, unsaved)
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes)]
    labels = [text.get_text() for legend in legends if legend for text in legend.get_texts()]
    pooled: dict[tuple, list[tuple[float, float, float]]] = {}
    for (method, arm, budget, _), cell in values.items():
        if method != "unpruned" and "+" not in arm:
            line = (method, script("common").pooled_arm(arm))
            pooled.setdefault((*line, budget), []).append((cell["parameters"], cell["latency_ms"], cell["bleu"]))
    means = {point: np.mean(runs, axis=0) for point, runs in pooled.items()}
    front = {
        script("families").line_label(point[:2])
        for point, mean in means.items()
        for cost in (0, 1)
        if not any(other[cost] <= mean[cost] and other[2] >= mean[2] and other is not mean for other in means.values())
    }
    assert set(labels) == front | {"unpruned", "off the front", "Pareto front (numbers: K)"}


@pytest.mark.parametrize("name", MAPS)
def test_maps_fill_at_most_a_page(name: str, script, suite: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(script, name, suite, tmp_path, unsaved)
    assert figure.get_figheight() <= script("pages").PAGE + 0.3
    texts = {text.get_text() for ax in figure.axes for text in [ax.title, *ax.texts]}
    assert {"DSP (continued)", "OBS"} <= texts  # the best of their families
    assert {"greedy", "evolutionary"} & texts
    assert " arms: the best of every family" in (tmp_path / f"{name}.txt").read_text()


def test_treatments_are_compared_with_the_same_mask(
    script, suite: Path, tmp_path: Path, unsaved: list[Figure], values
) -> None:
    figure = drawn(script, "treatments", suite, tmp_path, unsaved)
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert titles == ["random", "magnitude", "gradient (one-shot)", "DSP (joint)"]
    gained = [
        cell["bleu"] - values[method, arm.removesuffix("+ft"), budget, seed]["bleu"]
        for (method, arm, budget, seed), cell in values.items()
        if arm.endswith("+ft")
    ]
    better = sum(gain > 0 for gain in gained)
    sentence = f"fine-tuning {np.mean(gained):+.2f} ({better} of {len(gained)} better)"
    assert len(gained) == 15  # five masks, three budgets
    assert sentence in (tmp_path / "treatments.txt").read_text()


def test_cost_of_pruning(script, suite: Path, tmp_path: Path, unsaved: list[Figure], values) -> None:
    module = script("pruning_cost")
    runs = module.costed_runs(script("common").read(suite).untreated().cells)
    costs = module.costed(runs, of_track("mt")).set_index(["method", "line", "budget"])
    joint, score = values["dsp", "joint", 16, 1], values["fisher", "", 16, 1]
    assert costs.loc[("dsp", "joint", 16), module.SECONDS] == joint["train_seconds"]
    assert costs.loc[("fisher", "", 16), module.SECONDS] == score["prune_seconds"]
    sentences = score["prune_forward_sentences"] + score["prune_backward_sentences"]
    assert costs.loc[("fisher", "", 16), module.SENTENCES] == sentences
    figure = drawn(script, "pruning_cost", suite, tmp_path, unsaved)
    assert len(figure.axes) == 6
    for ax in figure.axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        assert boxes
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    shown = sum(len(points.get_offsets()) for ax in figure.axes for points in ax.collections)
    assert shown == 2 * len(costs)  # passes, and seconds


def test_total_updates_are_a_row_of_their_own(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    """Points at the sums by hand: 400 updates on top of 2,000; a joint training has its own alone."""
    folder = write(tmp_path / "results", Plan(arms=(("magnitude", ""), ("dsp", "joint"), ("dsp", "continued"))))
    cells = pd.read_parquet(folder / "cells.parquet")
    added = cells[cells["metric"] == "prune_seconds"].assign(metric="prune_updates")
    spent = {"joint": 2000.0, "continued": 400.0}
    pd.concat([cells, added.assign(value=added["arm"].map(spent).fillna(0.0))]).to_parquet(folder / "cells.parquet")
    manifest = {"config": {"models": {"transformer_small": {"training": {"updates": 2000}}}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    figure = drawn(script, "pruning_cost", folder, tmp_path, unsaved)
    assert len(figure.axes) == 9  # passes, seconds and updates at three budgets
    for ax in figure.axes[6:]:
        offsets = [points.get_offsets() for points in ax.collections if isinstance(points, PathCollection)]
        assert {float(x) for x in np.concatenate(offsets)[:, 0]} == {2000.0, 2400.0}
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1000", "2000", "5000"]
    caption = (tmp_path / "pruning_cost.txt").read_text(encoding="utf-8")
    assert "total updates (start, mask and tuning): K = 32" in caption


def test_every_trial_is_a_point(script, suite: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = drawn(script, "penalty_frontier", suite, tmp_path, unsaved)
    trials = pd.read_csv(suite / "trials.csv")
    points = np.concatenate([points.get_offsets() for points in figure.axes[0].collections])
    expected = trials[["heads_kept", "perplexity"]].to_numpy()
    np.testing.assert_allclose(points[np.lexsort(points.T)], expected[np.lexsort(expected.T)])
    assert (
        f"{len(trials)} trainings, 1 seeds, of l0.continued, l0.joint"
        in (tmp_path / "penalty_frontier.txt").read_text()
    )


def test_heads_stand_over_their_penalty_beside_those_of_the_paper(
    script, suite: Path, tmp_path: Path, unsaved: list[Figure]
) -> None:
    """On the paper's corpus: all 30 values of its figure, hollow."""
    trials, papers = pd.read_csv(suite / "trials.csv"), read_papers()
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("cells.parquet", "masks.parquet", "trials.csv"):
        shutil.copy(suite / name, folder)
    (dataset,) = pd.read_parquet(suite / "cells.parquet")["dataset"].unique()
    manifest = {"config": {"datasets": {dataset: {"corpus": "mnli"}}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    figure = drawn(script, "heads_by_penalty", folder, tmp_path, unsaved)
    *ours, theirs = figure.axes[0].collections
    expected = trials.loc[trials["coefficient"] > 0, ["coefficient", "heads_kept"]].to_numpy()
    points = np.concatenate([arm.get_offsets() for arm in ours])
    np.testing.assert_allclose(points[np.lexsort(points.T)], expected[np.lexsort(expected.T)])
    reported = papers[(papers["set"] == "mnli") & (papers["x_unit"] == "λ")]
    np.testing.assert_allclose(theirs.get_offsets(), reported[["x", "value"]].astype(float))
    assert len(reported) == 30 and not len(theirs.get_facecolor())
    caption = (tmp_path / "heads_by_penalty.txt").read_text(encoding="utf-8")
    assert "Li et al. 2021, figure of heads against λ reports for the same set, with BERT-base, 12 layers" in caption


@pytest.mark.parametrize(
    ("name", "text"),
    [("treatments", "No treated masks"), ("penalty_frontier", "No trials"), ("heads_by_penalty", "No trials")],
)
def test_nothing_to_draw_is_said(name: str, text: str, drawn: Path) -> None:
    assert (drawn / f"{name}.png").stat().st_size > 1_000
    assert (drawn / f"{name}.txt").read_text().startswith(text)


def test_long_table_is_cut_by_family(script, suite: Path, tmp_path: Path) -> None:
    assert script("results_table").main([str(suite), str(tmp_path)]) == 0
    families = script("families")
    markdown = (tmp_path / "results.md").read_text()
    shown = [line.removeprefix("### ") for line in markdown.splitlines() if line.startswith("###")]
    assert shown == [family for family in families.FAMILIES if family != families.OTHER]
    latex = (tmp_path / "results.tex").read_text()
    rows = [line for line in latex.splitlines() if line.endswith(r"\\") and " & " in line]
    pruned = {(method, script("common").pooled_arm(arm)) for method, arm in PLAN.arms}
    assert len(rows) == 1 + len(pruned)
    assert {row.count(" & ") for row in rows} == {3}


def test_more_heads_than_asked_for_never_win(script, suite: Path, tmp_path: Path) -> None:
    assert script("results_table").main([str(suite), str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "results_long.csv").fillna({"arm": ""})
    best = table[table["best"]]
    assert set(best["budget"]) == {24, 16, 8}
    assert (best["heads"] <= best["budget"]).all()
    assert (best["heads"] >= best["budget"] - 1).all()
    assert not best["arm"].str.contains("+", regex=False).any()
    assert (table["heads"] > table["budget"]).any()


def test_estimators_equal_plain_loops(script, suite: Path, tmp_path: Path, values) -> None:
    assert script("estimators").main([str(suite), str(tmp_path)]) == 0
    kept: dict[tuple, set[str]] = {}
    for row in pd.read_parquet(suite / "masks.parquet").to_dict("records"):
        if row["method"] == "gradient_importance" and row["kept"]:
            kept.setdefault((row["arm"], row["budget"]), set()).add(row["head"])
    table = pd.read_csv(tmp_path / "estimators.csv").set_index(["arm", "budget"])
    assert len(table) == 6 * 3
    for (arm, budget), row in table.iterrows():
        mine, theirs = kept[arm, budget], kept["one_shot", budget]
        assert row["agreement"] == pytest.approx(len(mine & theirs) / len(mine | theirs), abs=1e-12)
        one = values["gradient_importance", "one_shot", budget, 1]["bleu"]
        assert row["difference"] == pytest.approx(values["gradient_importance", arm, budget, 1]["bleu"] - one, abs=1e-9)
    gain = f"{table.loc[('signed', 8), 'difference']:+.2f}".replace("-", "−")
    assert f"{gain} |\n" in (tmp_path / "estimators.md").read_text().split("seed by seed")[1]


def test_expected_agreement_equals_enumeration(script) -> None:
    for n, k in ((5, 1), (6, 3), (7, 5)):
        sets = [set(chosen) for chosen in combinations(range(n), k)]
        mean = np.mean([len(one & other) / len(one | other) for one in sets for other in sets])
        assert script("estimators").expected_jaccard(n, k) == pytest.approx(mean, abs=1e-12)
