"""The tables of single heads and of stabilisers, from rows made by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "paper_figures"))

import ablations  # noqa: E402
import penalty_frontier  # noqa: E402
import stabilisers  # noqa: E402

PERPLEXITIES = {"continued": [100.0, 104.0, 99.0], "no_scaling": [103.0, 110.0, 101.0], "no_warmup": [98.0]}
HEADS = {0.0: [32, 32, 32], 0.1: [8, 9, 7], 0.3: [2]}


def folder_of(arms: dict[str, list[float]], folder: Path) -> Path:
    place: dict[str, Any] = {"profile": "p", "track": "lm", "dataset": "d", "model": "m", "n_heads": 32}
    place |= {"split": "test", "metric": "perplexity", "status": "ok", "reason": ""}
    found = {("layerwise_l0", arm, 16): values for arm, values in arms.items()} | {("unpruned", "", 32): [90.0] * 3}
    rows = [
        place
        | {"method": method, "arm": arm, "budget": k, "heads_kept": k - (arm == "no_scaling"), "seed": seed, "value": v}
        for (method, arm, k), values in found.items()
        for seed, v in enumerate(values, 1)
    ]
    pd.DataFrame(rows).to_parquet(folder / "cells.parquet")
    trials = [
        {"profile": "p", "model": "m", "method": "layerwise_l0", "label": "layerwise_l0.continued", "seed": seed}
        | {"coefficient": penalty, "heads_kept": heads, "perplexity": 100.0 + seed, "status": "ok"}
        for penalty, counts in HEADS.items()
        for seed, heads in enumerate(counts, 1)
    ]
    pd.DataFrame(trials).to_csv(folder / "trials.csv", index=False)
    return folder


def test_differences_are_paired_by_seed_with_the_t_interval_of_scipy(tmp_path: Path) -> None:
    assert stabilisers.main([str(folder_of(PERPLEXITIES, tmp_path)), str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "stabilisers.csv")
    (row,) = table[(table["arm"] == "no_scaling") & (table["at"] == "K = 16")].to_dict("records")
    change = np.subtract(*(np.log(PERPLEXITIES[arm]) for arm in ("no_scaling", "continued")))
    low, high = stats.t.interval(0.95, 2, change.mean(), stats.sem(change))
    assert [row["worse"], row["low"], row["high"]] == pytest.approx([change.mean(), low, high], rel=1e-12)
    assert (row["heads_kept"], row["n_seeds"], row["p_seeds"]) == (15, 3, 0.25)
    assert row["verdict"] == "undecidable with 3 seeds"
    text = (tmp_path / "stabilisers.md").read_text(encoding="utf-8")
    logs = np.log([103, 110, 101])
    low, high = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    mean = stats.gmean([103, 110, 101])
    assert f"| without scaling what is left | K = 16 | 3 | 15.0 | {mean:.2f} [{low:.2f}, {high:.2f}] |" in text
    assert "| without the growing penalty | K = 16 | 1 | 16.0 | 98.00 | −0.020 | undecidable with 1 seed |" in text


def test_the_sweep_has_the_penalties_of_several_seeds(tmp_path: Path) -> None:
    assert stabilisers.main([str(folder_of(PERPLEXITIES, tmp_path)), str(tmp_path)]) == 0
    text = (tmp_path / "stabilisers.md").read_text(encoding="utf-8")
    logs = np.log([101, 102, 103])
    low, high = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    assert f"| all three | λ = 0 | 3 | 32.0 | {np.exp(logs.mean()):.2f} [{low:.2f}, {high:.2f}] |" in text
    assert "| all three | λ = 0.1 | 3 | 8.0 [5.5, 10.5] |" in text  # t(2) = 4.303, standard error 0.577
    assert "λ = 0.3" not in text


def test_without_an_ablation_the_table_says_so(tmp_path: Path) -> None:
    assert stabilisers.main([str(folder_of({"continued": [100.0]}, tmp_path)), str(tmp_path)]) == 0
    assert "No ablation" in (tmp_path / "stabilisers.md").read_text(encoding="utf-8")


def test_a_training_without_penalty_has_a_place_in_the_frontier(tmp_path: Path) -> None:
    """Zero has no logarithm, and no colour."""
    assert penalty_frontier.main([str(folder_of(PERPLEXITIES, tmp_path)), str(tmp_path)]) == 0
    text = (tmp_path / "penalty_frontier.txt").read_text(encoding="utf-8")
    assert "7 trainings, 3 seeds" in text
    norm = penalty_frontier.scale(pd.Series([0.0, 0.1, 0.3]))
    assert (norm.vmin, norm.vmax) == (0.1, pytest.approx(0.3, rel=1e-3))
    assert penalty_frontier.scale(pd.Series([0.0])).vmin > 0


ROWS = [
    # kind, head, bleu, p, segments in which outputs differ
    ("drop_one", "encoder.0.0", 20.5, 0.2, 50),
    ("drop_one", "encoder.0.1", 18.0, 0.004, 8),
    ("drop_one", "encoder.1.0", 18.0, 0.004, 7),  # of which no p lies below 2 / 2⁷ = 0.016
    ("drop_one", "encoder.1.1", 20.0, 1.0, 0),
    ("keep_one", "cross.0.0", 10.0, 0.001, 50),
    ("keep_one", "cross.0.1", 19.5, 0.01, 50),
]


def rows() -> pd.DataFrame:
    table = pd.DataFrame(ROWS, columns=["kind", "head", "value", "p_value", "segments_differing"])
    place = table["head"].str.split(".", expand=True)
    table = table.assign(type=place[0], layer=place[1].astype(int), index=place[2].astype(int))
    return table.assign(model="m", seed=1, unpruned=20.0, metric="bleu")


def test_drop_one_is_layer_by_head_and_keep_one_the_best_of_each_module() -> None:
    (drop, header, body), (keep, columns, best) = ablations.tables(rows())
    assert header == ["encoder layer", "head 0", "head 1"]
    assert body == [["0", "+0.50", "−2.00*"], ["1", "−2.00", "+0.00"]]
    assert columns == ["layer", "cross"]
    assert best == [["0", "−0.50"]]  # p = 0.01 is not below 0.01
    assert "20.00; m, seed 1" in drop
    assert "best head of each module" in keep


def test_nothing_is_starred_without_the_number_of_segments_that_differ() -> None:
    (_, _, body), _ = ablations.tables(rows().assign(segments_differing=float("nan")))
    assert body == [["0", "+0.50", "−2.00"], ["1", "−2.00", "+0.00"]]


def test_perplexities_differ_by_their_logarithm() -> None:
    """ln(18 / 20) = −0.105: a lower perplexity is a smaller one."""
    (_, _, body), _ = ablations.tables(rows().assign(metric="perplexity"))
    assert body[0] == ["0", "+0.025", "−0.105*"]
