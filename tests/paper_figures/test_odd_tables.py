"""Tables that a real benchmark also produces: thin, partial, failed, wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_runs import MASKS, NAMES, QUALITY
from matplotlib.figure import Figure
from synthetic_results import HALF_LIFE, Plan, write

FEW = [("random", "draw1"), ("magnitude", "")]
pytestmark = pytest.mark.usefixtures("unsaved")

GROUP = ("small", "mt", "toy-de-en", "transformer_small")


def draw_all(script: Callable, folder: Path, out: Path, names: tuple[str, ...] = NAMES) -> list[int]:
    return [script(name).main([str(folder), str(out)]) for name in names]


def edit(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame], table: str = "cells") -> Path:
    """Rewrite a table of a results folder."""
    path = folder / f"{table}.parquet"
    change(pd.read_parquet(path)).to_parquet(path)
    return folder


def test_one_seed_one_budget_no_dsp(script, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16,), seeds=(1,), failed={}))
    assert draw_all(script, folder, tmp_path) == [0] * len(NAMES)
    assert "n = 1 seed." in (tmp_path / "quality_vs_heads.txt").read_text(encoding="utf-8")
    assert "± " not in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_one_method_and_one_seed(script, tmp_path: Path) -> None:
    """There is no pair of masks: the figure of pairs says so."""
    folder = write(tmp_path / "in", Plan(arms=[("magnitude", "")], budgets=(16,), seeds=(1,), failed={}))
    assert draw_all(script, folder, tmp_path) == [0] * len(NAMES)
    assert "No two masks" in (tmp_path / "mask_agreement.txt").read_text(encoding="utf-8")


def test_an_unpruned_model_that_trained_on_is_no_reference(script, tmp_path: Path) -> None:
    """It stands beside the unpruned one in tables and figures, whose numbers stay what they were."""
    plain = write(tmp_path / "plain", Plan(arms=FEW, budgets=(16,), failed={}))
    longer = write(tmp_path / "longer", Plan(arms=FEW, budgets=(16,), failed={}))
    for table in ("cells", "masks"):

        def with_copy(found: pd.DataFrame) -> pd.DataFrame:
            copy = found[found["method"] == "unpruned"].assign(arm="+ft")
            return pd.concat([found, copy.assign(value=copy["value"] + 1) if "value" in copy else copy])

        edit(longer, with_copy, table)
    rows = {}
    for folder in (plain, longer):
        assert draw_all(script, folder, tmp_path / folder.name / "out") == [0] * len(NAMES)
        table = pd.read_csv(tmp_path / folder.name / "out" / "results_long.csv")
        rows[folder.name] = table.set_index(["method", "budget"])
    assert rows["plain"].equals(rows["longer"].drop(index=[("unpruned+ft", 36)]).astype(rows["plain"].dtypes))
    mean = rows["longer"]["mean"]
    assert mean["unpruned+ft", 36] == pytest.approx(mean["unpruned", 36] + 1)
    assert "unpruned + fine-tuning" in (tmp_path / "longer" / "out" / "results.md").read_text(encoding="utf-8")


def test_several_groups_are_never_pooled(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    other = (*GROUP[:2], "toy-en-fr", GROUP[3])
    folder = write(tmp_path / "in", Plan(groups=(GROUP, other), arms=FEW, budgets=(16, 4), failed={}))
    names = ("quality_vs_heads", "survival_maps", "results_table")
    assert draw_all(script, folder, tmp_path, names) == [0] * 3
    assert len(unsaved[0].axes) == 2
    table = pd.read_csv(tmp_path / "results_long.csv")
    assert set(table["n"]) == {2}
    assert table.groupby("dataset").size().to_dict() == {"toy-de-en": 5, "toy-en-fr": 5}
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "## toy-de-en\n" in text
    assert "## toy-en-fr\n" in text


def test_every_cell_failed(script, tmp_path: Path) -> None:
    """The tables count the reasons, the figures say that there is nothing to draw: the results are complete."""
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16,), seeds=(1,), failed={}))
    edit(folder, lambda cells: cells.assign(status="timeout", value=np.nan, reason="wall clock"))
    assert draw_all(script, folder, tmp_path) == [0] * len(NAMES)
    for name in (*QUALITY[:1], *QUALITY[-2:]):
        assert "No pruned model" in (tmp_path / f"{name}.txt").read_text(encoding="utf-8")
        assert (tmp_path / f"{name}.pdf").stat().st_size > 0
    assert "1 timeout" in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_nothing_is_pruned(script, tmp_path: Path) -> None:
    """A part may hold ablations alone, or all else may have failed."""
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16,), failed={}))
    for table in ("cells", "masks"):
        edit(folder, lambda found: found[found["method"] == "unpruned"], table)
    assert draw_all(script, folder, tmp_path) == [0] * len(NAMES)
    assert "unpruned" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "no ranks: Friedman" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_all_methods_equally_good(script, tmp_path: Path) -> None:
    """Models that learn nothing have 0 BLEU: no one is the best of them."""
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16,), failed={}))
    edit(folder, lambda cells: cells.assign(value=cells["value"].where(cells["metric"] != "bleu", 0.0)))
    assert script("results_table").main([str(folder), str(tmp_path)]) == 0
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text.count("| 0.00 (2: 0.00 to 0.00)") == len(FEW) + 1  # and the unpruned model
    assert "**" not in text and "<ins>" not in text


def test_axis_of_nothing_but_noughts_is_not_magnified(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    """Rests of rounding are no quality: the axis has the height of a hundredth of BLEU's span, and no offset."""
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16, 8), failed={}))
    left = {1: 0.0, 2: 3e-17}
    edit(folder, lambda t: t.assign(value=t["value"].where(t["metric"] != "bleu", t["seed"].map(left))))
    assert draw_all(script, folder, tmp_path, ("quality_vs_heads", "pareto")) == [0, 0]
    for figure in unsaved:
        figure.draw_without_rendering()
        low, high = figure.axes[0].get_ylim()
        assert low < 0 < 1 <= high < 1.2
        assert figure.axes[0].yaxis.get_offset_text().get_text() == ""


def test_unmeasured_times_have_no_panel(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16,), failed={}))
    edit(folder, lambda cells: cells[cells["metric"] != "latency_ms"])
    assert draw_all(script, folder, tmp_path, ("pareto",)) == [0]
    assert "no run has latency." in (tmp_path / "pareto.txt").read_text(encoding="utf-8")
    assert len([ax for ax in unsaved[-1].axes if ax.axison]) == 4
    edit(folder, lambda cells: cells[cells["metric"] != "throughput"])
    assert draw_all(script, folder, tmp_path, ("pareto",)) == [0]
    assert "no run has latency and time in large batches." in (tmp_path / "pareto.txt").read_text(encoding="utf-8")
    labels = [ax.get_xlabel().split(" ")[0] for ax in unsaved[-1].axes]
    assert labels == ["heads", "parameters", "multiply-accumulates"]
    assert len(unsaved[-1].legends) == 1


def test_partly_measured_times_say_of_what(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    """They show the quality of what was measured: the caption names its methods and seeds, the panels count runs."""
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16, 8), failed={}))
    measured = {"latency_ms", "throughput"}

    def one_seed(cells: pd.DataFrame) -> pd.DataFrame:
        timed = cells["method"].isin(["unpruned", "magnitude"]) & (cells["seed"] == 1)
        return cells[timed | ~cells["metric"].isin(measured)]

    edit(folder, one_seed)
    assert draw_all(script, folder, tmp_path, ("pareto",)) == [0]
    text = (tmp_path / "pareto.txt").read_text(encoding="utf-8")
    note = "3 of 10 runs have latency and time in large batches, those of unpruned, magnitude with seed 1."
    assert text.count(note) == text.count(" runs have ") == 1
    assert "Quality in these panels is that of these runs" in text
    assert "The front there is that of magnitude alone." in text
    titles = [ax.get_title(loc="right") for ax in unsaved[-1].axes if ax.axison]
    assert titles == ["", "", "", *["measured on 3 of 10 runs"] * 2]
    edit(folder, lambda cells: cells[(cells["metric"] != "parameters") | (cells["seed"] == 1) | (cells["budget"] != 8)])
    assert draw_all(script, folder, tmp_path, ("pareto",)) == [0]
    text = (tmp_path / "pareto.txt").read_text(encoding="utf-8")
    lacking = "random (draw1) K=8 seed 2; magnitude K=8 seed 2"
    assert f"8 of 10 runs have parameters, all but {lacking}." in text


def test_perplexity_is_better_when_lower(script, tmp_path: Path) -> None:
    plan = Plan(groups=[("small", "lm", "toy", "allatt")], arms=FEW, budgets=(16, 4), metric="perplexity")
    folder = write(tmp_path / "in", plan)
    edit(folder, lambda cells: cells[(cells["metric"] != "perplexity") | (cells["split"] == "test")])
    assert draw_all(script, folder, tmp_path, ("quality_vs_heads", "pareto", "results_table")) == [0] * 3
    table = pd.read_csv(tmp_path / "results_long.csv")
    pruned = table[table["method"] != "unpruned"]
    assert (pruned[pruned["best"]]["mean"].to_numpy() == pruned.groupby("budget")["mean"].min()[::-1]).all()


def test_achieved_count_is_what_is_plotted(script, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16,), failed={}))
    magnitude = {"heads_kept": lambda t: t["heads_kept"].where(t["method"] != "magnitude", 13)}
    edit(folder, lambda cells: cells.assign(**magnitude))
    assert draw_all(script, folder, tmp_path, ("quality_vs_heads", "results_table")) == [0, 0]
    assert "), 13.0 heads" in (tmp_path / "results.csv").read_text(encoding="utf-8")
    text = (tmp_path / "quality_vs_heads.txt").read_text(encoding="utf-8")
    assert "Points stand at the heads kept, which miss the K asked for: magnitude by up to 3." in text


def test_trained_weights_are_told_where_there_are_any(script, tmp_path: Path) -> None:
    """The profile in the manifest says of which methods; a folder where all methods leave the weights says nothing."""
    arms = [("magnitude", ""), ("dsp", "joint"), ("dsp", "pipelined")]
    folder = write(tmp_path / "in", Plan(arms=arms, budgets=(16,), failed={}))
    for modes, told in ((("joint", "pipelined"), True), (("pipelined", "pipelined"), False)):
        methods = [
            {"name": "dsp", "arm": arm, "mode": mode} for arm, mode in zip(("joint", "pipelined"), modes, strict=True)
        ]
        (folder / "manifest.json").write_text(json.dumps({"config": {"methods": [{"name": "magnitude"}, *methods]}}))
        assert draw_all(script, folder, tmp_path, ("quality_vs_heads",)) == [0]
        text = (tmp_path / "quality_vs_heads.txt").read_text(encoding="utf-8")
        assert ("DSP (joint): the weights were trained with the mask, too;" in text) is told
        assert ("the weights were trained" in text) is told
        assert "miss the K" not in text


def test_many_methods_still_fit_the_page(
    script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsaved: list[Figure]
) -> None:
    new = {(f"method_{i}", "with_a_rather_long_arm"): 3.0 + i for i in range(8)}
    monkeypatch.setattr("synthetic_results.HALF_LIFE", HALF_LIFE | new)
    folder = write(tmp_path / "in", Plan(arms=list(new), budgets=(24, 8), seeds=(1,), failed={}))
    assert draw_all(script, folder, tmp_path, ("pareto",)) == [0]
    unsaved[0].draw_without_rendering()
    (legend,) = [ax.get_legend() for ax in unsaved[0].axes if ax.get_legend()]
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= unsaved[0].bbox.x1


def refused(script, folder: Path, out: Path, name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a script that must exit 2; its message."""
    assert script(name).main([str(folder), str(out)]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_absent_folder(name: str, script, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cells.parquet not found" in refused(script, tmp_path / "nowhere", tmp_path, name, capsys)


@pytest.mark.parametrize("name", MASKS)
def test_no_masks(name: str, script, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16,), seeds=(1,), failed={}))
    edit(folder, lambda masks: masks[masks["method"] == "unpruned"], "masks")
    assert draw_all(script, folder, tmp_path, (name,)) == [0]
    assert (tmp_path / f"{name}.txt").read_text(encoding="utf-8").startswith("No mask ")
    (folder / "masks.parquet").unlink()
    assert "masks.parquet not found" in refused(script, folder, tmp_path, name, capsys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: pd.concat([t, t]), "test bleu more than once"),
        (lambda t: t.drop(columns=["seed"]), "lacks the columns seed"),
        (lambda t: t.assign(budget=np.nan), "rows without a budget"),
    ],
)
def test_wrong_tables(change, message, script, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "in", Plan(arms=FEW, budgets=(16,), seeds=(1,), failed={}))
    edit(folder, change)
    assert message in refused(script, folder, tmp_path, "results_table", capsys)


def test_file_that_is_no_parquet(script, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cells.parquet").write_text("not a table")
    assert "not a readable parquet file" in refused(script, tmp_path, tmp_path, "pareto", capsys)
