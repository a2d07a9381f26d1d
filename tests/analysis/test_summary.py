"""One line per method: against plain computations on made-up curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_up_cells import N_HEADS, rows_of

from headprune.analysis.study import Study
from headprune.analysis.summary import COLUMNS, ranking, summarise
from headprune.analysis.tables import read
from headprune.statistics.ranks import friedman

SEEDS, BUDGETS = (1, 2, 3), (3, 6, 9)


@pytest.fixture
def values() -> dict:
    found = {("unpruned", "", N_HEADS, s): 20.0 for s in SEEDS}
    for method, power in (("a", 0.3), ("b", 0.6), ("random", 1.5)):
        arm = "draw1" if method == "random" else ""
        for k in BUDGETS:
            found |= {(method, arm, k, s): 20 * (k / N_HEADS) ** power + 0.1 * s for s in SEEDS}
    return found


def test_curve_as_numbers(values: dict, write: Callable) -> None:
    table = summarise(read(write(rows_of(values, parameters=lambda k: 100 + k)))).set_index("method")
    assert [*table.columns[:4], "method"] == COLUMNS[:5]
    row = table.loc["a"]
    shares = [(20 * (k / 12) ** 0.3 + 0.2) / 20 for k in BUDGETS] + [1.0]
    area = np.trapezoid(shares, [0.25, 0.5, 0.75, 1.0]) / 0.75
    assert row["area"] == pytest.approx(area)
    assert row["area_low"] <= area <= row["area_high"]
    assert row["k_at_5%_loss"] == pytest.approx(9 + 3 * (0.95 - shares[2]) / (1 - shares[2]))
    costs = [(100 + k) / 112 for k in BUDGETS]
    assert row["hypervolume"] == pytest.approx(sum(q * w for q, w in zip(shares, np.diff([*costs, 1.0]), strict=False)))
    assert (row["n_seeds"], row["budgets"], row["beats_random"]) == (3, "3 6 9", 1)
    assert np.isnan(table.loc["random", "beats_random"])


def test_ranks_over_budgets(values: dict, write: Callable) -> None:
    results = read(write(rows_of(values)))
    found = ranking([Study(results, results.groups()[0])])
    assert found is not None
    assert found.methods == (("a", ""), ("b", ""), ("random", ""))
    expected = friedman(np.tile([3.0, 2.0, 1.0], (3, 1)), "abr")
    assert (found.p_value, found.blocks) == (pytest.approx(expected.p_value), 3)


def test_what_is_ranked(values: dict, write: Callable) -> None:
    """Neither treated masks nor the unpruned model that trained on, nor what misses K by two heads with one seed."""
    more = {("a", "+ft", k, s): 99.0 for k in BUDGETS for s in SEEDS}
    more |= {("unpruned", "+ft", N_HEADS, s): 99.0 for s in SEEDS} | {
        ("l0", "", k, s): 99.0 for k in BUDGETS for s in SEEDS
    }
    rows = rows_of(values | more)
    for row in rows:
        if (row["method"], row["budget"], row["seed"]) == ("l0", 6, 2):
            row["heads_kept"] = 8
    table = summarise(read(write(rows))).set_index(["method", "arm"])
    assert sorted(table.index[table["mean_rank"].notna()]) == [("a", ""), ("b", ""), ("random", "")]
    assert table.index[~table["competes"]].tolist() == [("a", "+ft"), ("l0", ""), ("unpruned+ft", "")]
    for row in rows:
        if row["method"] == "l0" and row["heads_kept"] == 8:
            row["heads_kept"] = 7
    assert summarise(read(write(rows, name="near"))).set_index("method").loc["l0", "mean_rank"] == 1


def test_two_seeds_are_not_ranked(values: dict, write: Callable) -> None:
    two = {key: value for key, value in values.items() if key[3] < 3}
    results = read(write(rows_of(two)))
    assert ranking([Study(results, results.groups()[0])]) is None


def test_runs_beat_runs(values: dict, write: Callable) -> None:
    """Two draws of random a seed, 1 and 30: their means, 15.5, lose against 16 always, the draws half of the time."""
    mine = {("unpruned", "", N_HEADS, s): 20.0 for s in SEEDS} | {("a", "", 6, s): 16.0 for s in SEEDS}
    mine |= {("random", f"draw{d}", 6, s): value for s in SEEDS for d, value in ((1, 1.0), (2, 30.0))}
    assert summarise(read(write(rows_of(mine)))).set_index("method").loc["a", "beats_random"] == 0.5


def test_a_line_that_lacks_a_block_is_not_ranked(values: dict, write: Callable) -> None:
    values |= {("short", "", 3, s): 1.0 for s in SEEDS}
    table = summarise(read(write(rows_of(values)))).set_index("method")
    ranks = table["mean_rank"]
    assert np.isnan(ranks["short"]) or table.loc["a", "rank_blocks"] == 1
    assert not np.isnan(table.loc["short", "area"])


def test_failed_cells_are_counted(values: dict, write: Callable) -> None:
    values["a", "", 6, 2] = None
    table = summarise(read(write(rows_of(values)))).set_index("method")
    assert table["without_result"].to_dict() == {"a": 1, "b": 0, "random": 0}
