"""Fronts over all methods, against plain computations on made-up cells."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from made_up_cells import N_HEADS, rows_of

from headprune.analysis.fronts import COLUMNS, COSTS, fronts
from headprune.analysis.tables import read
from headprune.statistics import hypervolume

SEEDS = (1, 2, 3)


@pytest.fixture
def values() -> dict:
    found: dict = {("unpruned", "", N_HEADS, s): 20.0 for s in SEEDS}
    for method, levels in (("a", {3: 8.0, 6: 12.0, 9: 19.0}), ("b", {3: 10.0, 6: 11.0, 9: 17.0})):
        found |= {(method, "", k, s): level + 0.1 * s for k, level in levels.items() for s in SEEDS}
    found |= {("a", "+ft", k, s): 19.5 for k in (3, 6) for s in SEEDS}
    return found


def test_points_on_the_front_of_every_cost(values: dict, write: Callable) -> None:
    costs = {"parameters": lambda k: 100 + k, "latency_ms": lambda k: 30 - k, "prune_forward_sentences": lambda k: 50}
    costs |= {"prune_updates": lambda k: 10 * (N_HEADS - k), "prune_seconds": lambda k: 1}
    folder = write(rows_of(values, **costs, prune_backward_sentences=lambda k: 10 * k))
    manifest = {"config": {"models": {"tiny": {"training": {"updates": 100}}}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    table = fronts(read(folder))
    assert list(table.columns) == COLUMNS
    assert set(table["cost"]) == set(COSTS) - {"macs_per_token"}  # which nobody measured
    points = {cost: own[["method", "budget"]].values.tolist() for cost, own in table.groupby("cost")}
    assert points["heads"] == points["parameters"] == points["pruning"] == [["b", 3], ["a", 6], ["a", 9]]
    assert points["latency_ms"] == [["a", 9]]  # more heads are faster here
    assert points["total_updates"] == [["a", 9]]  # fewer heads take more updates here
    np.testing.assert_allclose(table.loc[table["cost"] == "total_updates", "at"], [1.3])
    heads = table[table["cost"] == "heads"]
    np.testing.assert_allclose(heads["at"], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(heads["quality"], [10.2 / 20, 12.2 / 20, 19.2 / 20])
    expected = hypervolume(heads["at"], heads["quality"], (1, 0))
    np.testing.assert_allclose(heads["hypervolume"], expected)
    assert (heads["hypervolume_low"] <= expected).all() and (heads["hypervolume_high"] >= expected).all()
    assert (heads["low"] <= heads["quality"]).all() and (heads["on_front"] == 1).all()
    pruning = table[table["cost"] == "pruning"]
    np.testing.assert_allclose(pruning["at"], [0.08, 0.11, 0.14])


def test_what_is_missing_is_counted(values: dict, write: Callable) -> None:
    values["b", "", 3, 2] = None
    rows = rows_of(values, parameters=lambda k: 100 + k)
    rows = [row for row in rows if (row["method"], row["seed"], row["metric"]) != ("a", 1, "parameters")]
    table = fronts(read(write(rows)))
    first = table[(table["cost"] == "parameters")].iloc[0]
    assert (first["method"], first["budget"], first["n_seeds"]) == ("b", 3, 2)
    assert first["without_cost"] == 3
    assert set(table.loc[table["cost"] == "heads", "without_cost"]) == {0}
