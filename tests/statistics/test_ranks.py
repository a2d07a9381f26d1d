"""Friedman and Nemenyi: scikit-posthocs and scipy on random data, the critical values and an example of Demšar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats

from headprune.statistics.ranks import cliques, critical_difference, friedman

# Demšar 2006, table 5 (a): critical values q of the two-tailed Nemenyi test for 2 … 10 classifiers.
Q = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}
# Demšar 2006, table 6: AUC of C4.5 with parameters default, m, cf, m+cf on 14 data sets.
DEMSAR = [
    [0.763, 0.768, 0.771, 0.798],
    [0.599, 0.591, 0.590, 0.569],
    [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898],
    [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685],
    [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000],
    [0.940, 0.962, 0.965, 0.962],
    [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975],
    [0.957, 0.978, 0.946, 0.970],
]


@pytest.mark.parametrize("alpha", Q)
def test_published_critical_values(alpha: float) -> None:
    for k, q in enumerate(Q[alpha], start=2):
        assert critical_difference(k, 14, alpha) == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 14)), abs=2e-3)


def test_demsars_example() -> None:
    found = friedman(DEMSAR, ["C4.5", "m", "cf", "m+cf"], alpha=0.10)
    ranks = dict(zip(found.methods, found.mean_ranks, strict=True))
    assert {name: round(rank, 3) for name, rank in ranks.items()} == {
        "m+cf": 1.964,
        "m": 2.000,
        "cf": 2.893,
        "C4.5": 3.143,
    }
    # His χ² of 9.28 leaves ties uncorrected; scipy corrects for them.
    assert found.statistic == pytest.approx(stats.friedmanchisquare(*np.transpose(DEMSAR)).statistic, abs=1e-12)
    assert found.critical_difference == pytest.approx(1.12, abs=5e-3)
    assert found.cliques == ((0, 2), (2, 3))  # C4.5 is told from m and m+cf, cf from none


@pytest.mark.parametrize("seed", range(20))
def test_against_scikit_posthocs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 9, (rng.integers(4, 15), rng.integers(3, 8))).astype(float)  # with ties
    methods = [f"m{i}" for i in range(table.shape[1])]
    found = friedman(table, methods)
    expected = scikit_posthocs.posthoc_nemenyi_friedman(pd.DataFrame(table, columns=methods))
    np.testing.assert_allclose(found.p_values, expected.loc[list(found.methods), list(found.methods)], atol=1e-9)
    chi = stats.friedmanchisquare(*table.T)
    assert (found.statistic, found.p_value) == pytest.approx((chi.statistic, chi.pvalue), abs=1e-12)


def test_best_method_has_rank_one_and_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    table = np.column_stack([rng.normal(0, 1, 12), rng.normal(5, 1, 12), rng.normal(10, 1, 12)])
    found, shuffled = friedman(table, ["c", "b", "a"]), friedman(table[::-1, [2, 0, 1]], ["a", "c", "b"])
    assert found.methods == shuffled.methods == ("a", "b", "c")
    np.testing.assert_allclose(found.mean_ranks, shuffled.mean_ranks)
    assert found.p_value == pytest.approx(shuffled.p_value, abs=1e-12)


def test_pairs_differ_where_their_ranks_do_by_more_than_the_critical_difference() -> None:
    rng = np.random.default_rng(2)
    found = friedman(rng.normal(0, 1, (10, 6)) + np.linspace(0, 2, 6), list("abcdef"))
    apart = np.abs(found.mean_ranks[:, None] - found.mean_ranks) > found.critical_difference
    np.testing.assert_array_equal(found.p_values < 0.05, apart)


def test_cliques() -> None:
    assert cliques([1.0, 1.5, 2.0, 4.0, 4.1], 1.0) == ((0, 2), (3, 4))
    assert cliques([1.0, 1.8, 2.6], 1.0) == ((0, 1), (1, 2))
    assert cliques([1.0, 3.0], 1.0) == ()


def test_nothing_but_ties() -> None:
    found = friedman(np.ones((4, 3)), ["a", "b", "c"])
    assert (found.p_value, found.statistic) == (1, 0)
    assert found.cliques == ((0, 2),)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((5, 2), "three methods"), ((2, 4), "three blocks")],
)
def test_too_little_to_rank(shape: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        friedman(np.zeros(shape), [f"m{i}" for i in range(shape[1])])


def test_missing_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="1 that are not finite"):
        friedman([[1, 2, np.nan], [1, 2, 3]], ["a", "b", "c"])
