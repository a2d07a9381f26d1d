"""The numbers behind the figures, against plain loops over the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_results

T1 = 12.706204736  # 97.5 % quantile of Student's t with one degree of freedom: two seeds
ROW = {"method": "dsp", "arm": "joint", "budget": 4, "seed": 2}


def bleu(results: Path, method: str, budget: int, arms: tuple[str, ...] = ("",)) -> list[float]:
    """Test BLEU of a method's completed cells, read with a loop."""
    cells = pd.read_parquet(results / "cells.parquet").to_dict("records")
    return [
        cell["value"]
        for cell in cells
        if (cell["method"], cell["budget"], cell["split"], cell["metric"]) == (method, budget, "test", "bleu")
        and cell["arm"] in arms
        and cell["status"] == "ok"
    ]


def test_table_equals_a_hand_computation(results: Path, drawn: Path) -> None:
    table = pd.read_csv(drawn / "results.csv", keep_default_na=False).set_index(["method", "arm"])
    runs = bleu(results, "cluster_merge", 16)
    low, high = sorted(runs)
    assert table.loc[("cluster_merge", ""), "16"] == f"{(low + high) / 2:.2f} (2: {low:.2f} to {high:.2f})"
    by_draw = [bleu(results, "random", 8, (f"draw{i}",)) for i in (1, 2, 3)]
    first, second = (sum(draws) / 3 for draws in zip(*by_draw, strict=True))
    every = [value for draws in by_draw for value in draws]
    expected = f"{(first + second) / 2:.2f} (6: {min(every):.2f} to {max(every):.2f})"
    assert table.loc[("random", ""), "8"] == expected


def test_failed_cells_are_counted_not_averaged(results: Path, drawn: Path) -> None:
    table = pd.read_csv(drawn / "results.csv", keep_default_na=False).set_index(["method", "arm"])
    (survivor,) = bleu(results, "magnitude", 8)
    assert table.loc[("magnitude", ""), "8"] == f"{survivor:.2f} (1), 1 failed"
    assert table.loc[("dsp", "joint"), "32"] == "–"  # never planned, so not a failure


def test_long_table_keeps_full_precision(results: Path, drawn: Path) -> None:
    table = pd.read_csv(drawn / "results_long.csv", keep_default_na=False)
    row = table[(table["method"] == "cluster_merge") & (table["budget"] == 32)].iloc[0]
    assert row["mean"] == pytest.approx(np.mean(bleu(results, "cluster_merge", 32)), rel=1e-12)
    assert row["n"] == 2


def test_unpruned_comes_first_and_the_best_is_bold(results: Path, drawn: Path) -> None:
    header, _, first, *rest = (drawn / "results.md").read_text(encoding="utf-8").splitlines()
    assert header.startswith("| method | K = 36 | K = 32 | K = 16 |")
    assert first.startswith("| unpruned | 3")
    assert "**" not in first
    column = [line.split(" | ")[3] for line in rest if line.startswith("|")]
    means = [float(cell.strip("*<ins>").split(" ")[0]) for cell in column]
    assert [cell.startswith("**") for cell in column] == [mean == max(means) for mean in means]
    assert not any(cell.startswith("<ins>") for cell in column)  # two seeds tell nothing apart, nor alike
    assert "Nothing is underlined: n = 2 seeds cannot tell" in (drawn / "results_table.txt").read_text(encoding="utf-8")


def test_latex_table_escapes(drawn: Path) -> None:
    text = (drawn / "results.tex").read_text(encoding="utf-8")
    assert text.startswith("\\begin{tabular}{lrrrrr}\n\\toprule\nmethod & K = 36")
    assert "cluster merge & -- & " in text
    assert "±" not in text
    assert text.count("\\\\") == 6  # header and five lines


def test_survival_is_the_share_of_cells_that_keep_the_head(results: Path, script) -> None:
    read = script("common").read(results, with_masks=True)
    (row,) = (row for row in script("survival_maps").map_rows(read) if row.line == ("dsp", "joint"))
    shares = script("survival_maps").survival(row.masks[row.masks["type"] == "cross"])
    kept, cells = np.zeros((3, 4)), set()
    for head in pd.read_parquet(results / "masks.parquet").to_dict("records"):
        if (head["method"], head["arm"], head["type"]) == ("dsp", "joint", "cross"):
            kept[head["layer"], head["index"]] += head["kept"]
            cells.add((head["budget"], head["seed"]))
    assert row.cells == len(cells) == 5  # three budgets, two seeds, one diverged
    np.testing.assert_allclose(shares.to_numpy(), kept / len(cells), atol=1e-12)


def test_masks_of_failed_cells_are_left_out(results: Path, script) -> None:
    read = script("common").read(results, with_masks=True)
    spoiled = read.cells.copy()
    mine = (spoiled[list(ROW)] == list(ROW.values())).all(axis=1)
    spoiled.loc[mine, ["status", "value"]] = ["failed", np.nan]
    changed = script("common").Results(read.folder, spoiled, read.masks, read.digest)
    counts = [{row.line: row.cells for row in script("survival_maps").map_rows(r)} for r in (read, changed)]
    assert counts[0][("dsp", "joint")] - counts[1][("dsp", "joint")] == 1


def test_kept_shares_add_up_to_the_budget(results: Path, script) -> None:
    read = script("common").read(results, with_masks=True)
    ((_, masks),) = script("masks").usable_masks(read)
    per_type = synthetic_results.LAYERS * synthetic_results.HEADS
    for _, shares in script("kept_by_type").by_line(masks):
        totals = shares.groupby(["arm", "budget", "seed"])["share"].sum() * per_type
        np.testing.assert_allclose(totals, totals.index.get_level_values("budget"), atol=1e-9)


@pytest.mark.parametrize(
    ("arm", "pooled"),
    [("draw1", ""), ("draw_12", ""), ("draw2+ft", "+ft"), ("one_shot", "one_shot"), ("", "")],
)
def test_only_draws_are_pooled(arm: str, pooled: str, script) -> None:
    assert script("common").pooled_arm(arm) == pooled


def test_ticks_keep_both_ends_and_stay_apart(script) -> None:
    assert script("looks").ticks([0, 1, 2, 4, 8, 33, 35, 36], gap=0.1) == [0, 4, 8, 36]
    assert script("looks").ticks([16.2]) == [16]
