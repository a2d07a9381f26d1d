"""Comparisons: hand computations, sacrebleu on the outputs, invariances, calibration, missing cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from found import Found, rows
from made_up_cells import N_HEADS, rows_of, write_hypotheses
from scipy import stats
from statsmodels.stats.multitest import multipletests

from headprune.analysis.comparisons import COLUMNS, compare, family_rows, may_be_the_best
from headprune.analysis.study import RANDOM, REFERENCE, Study
from headprune.analysis.tables import Results, ResultsError, label_of, line_of, read
from headprune.results.merging import merge
from headprune.statistics import approximate_randomization, seeds

SEEDS = range(1, 10)
KEY = ["method", "arm", "budget"]


def grid(rng: np.random.Generator, effects: dict[str, float], seeds=SEEDS, budgets=(8, 4)) -> dict:
    """Qualities with seeds that are good and bad for all methods, and noise."""
    values: dict = {}
    for seed in seeds:
        level = rng.normal(20, 1)
        values["unpruned", "", N_HEADS, seed] = level
        for budget in budgets:
            for draw in (1, 2):
                values["random", f"draw{draw}", budget, seed] = level - 8 + rng.normal(0, 0.3)
            for method, effect in effects.items():
                values[method, "", budget, seed] = level - 8 + effect + rng.normal(0, 0.3)
    return values


@pytest.fixture
def values() -> dict:
    return grid(np.random.default_rng(0), {"good": 3.0, "bad": -2.0, "same": 0.0})


def test_row_equals_a_hand_computation(values: dict, write: Callable) -> None:
    table = compare(read(write(rows_of(values))))
    assert list(table.columns) == COLUMNS
    row = table[(table["method"] == "good") & (table["budget"] == 4) & (table["baseline"] == "random")].iloc[0]
    ours = np.array([values["good", "", 4, s] for s in SEEDS])
    theirs = np.array([(values["random", "draw1", 4, s] + values["random", "draw2", 4, s]) / 2 for s in SEEDS])
    top = np.array([values["unpruned", "", N_HEADS, s] for s in SEEDS])
    interval = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (row["improvement"], row["low"], row["high"]) == pytest.approx((np.mean(ours - theirs), *interval), abs=1e-9)
    assert (row["value"], row["baseline_value"]) == pytest.approx((ours.mean(), theirs.mean()))
    assert row["p_seeds"] == row["p_floor"] == 2 / 2**9
    assert row["normalised"] == pytest.approx((ours - theirs).mean() / (top - theirs).mean())
    assert row["p_wilcoxon"] == pytest.approx(stats.wilcoxon(ours - theirs, method="exact").pvalue)
    assert row["n_seeds"] == 9
    assert row["family_size"] == 6  # three methods at two budgets
    assert row["verdict"] == "significant"


def test_families_are_corrected_by_holm(values: dict, write: Callable) -> None:
    table = compare(read(write(rows_of(values))))
    assert table["family"].nunique() == 2
    for _, own in table.groupby("family"):
        np.testing.assert_allclose(own["p_seeds_holm"], multipletests(own["p_seeds"], method="holm")[1], atol=1e-12)
        assert (own["family_size"] == len(own)).all()


def test_swapping_turns_signs_and_keeps_p(values: dict, write: Callable) -> None:
    results = read(write(rows_of(values)))
    there = compare(results, [("good", "")]).set_index(KEY).loc[("bad", "")]
    back = compare(results, [("bad", "")]).set_index(KEY).loc[("good", "")]
    np.testing.assert_allclose(there["improvement"], -back["improvement"], atol=1e-12)
    np.testing.assert_allclose(there["p_seeds"], back["p_seeds"], atol=1e-12)


def test_order_of_rows_changes_nothing(values: dict, write: Callable) -> None:
    folder = write(rows_of(values))
    before = compare(read(folder))
    cells = pd.read_parquet(folder / "cells.parquet")
    cells.sample(frac=1, random_state=1).to_parquet(folder / "cells.parquet")
    pd.testing.assert_frame_equal(compare(read(folder)), before)


def test_an_unrelated_method_changes_no_raw_p(values: dict, write: Callable) -> None:
    before = compare(read(write(rows_of(values)))).set_index(["baseline", *KEY])
    more = values | {("other", "", 8, s): 1.0 * s for s in SEEDS}
    after = compare(read(write(rows_of(more)))).set_index(["baseline", *KEY]).loc[before.index]
    for column in ("improvement", "low", "high", "p_seeds", "p_wilcoxon", "p_floor"):
        np.testing.assert_array_equal(before[column], after[column])
    assert (after["p_seeds_holm"] >= before["p_seeds_holm"]).all()


def test_few_seeds_are_undecidable(write: Callable) -> None:
    values = grid(np.random.default_rng(1), {"good": 9.0}, seeds=(1, 2, 3))
    table = compare(read(write(rows_of(values))))
    assert set(table["verdict"]) == {"undecidable with 3 seeds"}
    assert set(table["p_floor"]) == {0.25}


def test_failed_cells_are_counted_and_their_seeds_left_out(values: dict, write: Callable) -> None:
    values["good", "", 8, 3] = None
    del values["unpruned", "", N_HEADS, 5]
    table = compare(read(write(rows_of(values)))).set_index(["baseline", *KEY])
    random, top = (table.loc[name, "good", "", 8] for name in ("random", "unpruned"))
    assert (random["n_seeds"], random["seeds_left_out"], random["without_result"]) == (8, "3", 1)
    assert (top["n_seeds"], top["seeds_left_out"]) == (7, "3 5")


def test_one_seed_is_no_test(write: Callable) -> None:
    table = compare(read(write(rows_of(grid(np.random.default_rng(2), {"good": 3.0}, seeds=(1,))))))
    assert table["p_seeds"].isna().all()
    assert set(table["verdict"]) == {"undecidable with 1 seed"}


def test_flags(write: Callable) -> None:
    values = grid(np.random.default_rng(3), {"bad": -3.0, "magic": 12.0, "fine": 3.0}, budgets=(4,))
    table = compare(read(write(rows_of(values)))).set_index(["baseline", "method"])["flags"]
    assert table["unpruned"].to_dict() == {
        "bad": "below matched random",
        "fine": "",
        "magic": "above unpruned",
        "random": "",
    }


def test_own_twins_are_the_matched_random_heads(write: Callable) -> None:
    values = grid(np.random.default_rng(4), {"fine": 2.0}, budgets=(4,))
    twins = {("fine", f"+twin-draw{d}", 4, s): values["fine", "", 4, s] + 1 + 0.1 * s for s in SEEDS for d in (1, 2)}
    table = compare(read(write(rows_of(values | twins)))).set_index(["baseline", "method", "arm"])["flags"]
    assert table["random", "fine", ""] == "below matched random"
    assert table["random", "fine", "+twin"] == ""


@pytest.mark.parametrize(("metric", "track"), [("bleu", "mt"), ("perplexity", "lm")])
def test_what_misses_k_is_compared_at_the_heads_it_kept(metric: str, track: str, write: Callable) -> None:
    """Asked for 8 heads it kept 6 and 7, between the 4 and 8 of the other; 11 lie between those and the unpruned 12."""
    group = {"profile": "unit", "track": track, "dataset": "text", "model": "tiny"}
    values = grid(np.random.default_rng(5), {"good": 3.0, "l0": 1.0}, seeds=(1, 2, 3, 4), budgets=(8, 4))
    kept = {1: 6.0, 2: 7.0, 3: 11.0, 4: 3.0}
    cells = rows_of(values, group, metric)
    for row in cells:
        if row["method"] == "l0":
            row["heads_kept"] = kept[row["seed"]] if row["budget"] == 8 else 4
    found = compare(read(write(cells)), [("good", ""), REFERENCE]).set_index(["baseline", *KEY])
    row = found.loc["good", "l0", "", 8]
    scale = (lambda x: x) if track == "mt" else (lambda x: -np.log(x))
    expected = []
    for seed in (1, 2, 3):  # with fewer heads than any budget there is nothing to compare with
        curve = {4: ("good", 4), 8: ("good", 8), N_HEADS: ("unpruned", N_HEADS)}
        worths = [scale(values[method, "", k, seed]) for method, k in curve.values()]
        expected.append(scale(values["l0", "", 8, seed]) - np.interp(kept[seed], list(curve), worths))
    assert row["improvement"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert (row["n_seeds"], row["seeds_left_out"]) == (3, "4")
    assert row["flags"].endswith("baseline at as many heads")
    assert "as many heads" not in found.loc["good", "l0", "", 4]["flags"]
    assert found.loc["unpruned", "l0", "", 8]["n_seeds"] == 4


def test_perplexity_improves_downwards(write: Callable) -> None:
    group = {"profile": "unit", "track": "lm", "dataset": "text", "model": "tiny"}
    values = {("unpruned", "", N_HEADS, s): 30.0 + s for s in SEEDS}
    values |= {("random", "draw1", 4, s): 60.0 + s for s in SEEDS} | {("dsp", "", 4, s): 40.0 + s for s in SEEDS}
    table = compare(read(write(rows_of(values, group, "perplexity")))).set_index("baseline")
    row = table[table["method"] == "dsp"].loc["random"]
    logs = {first: np.log([first + s for s in SEEDS]).mean() for first in (30, 40, 60)}
    assert row["improvement"] == pytest.approx(logs[60] - logs[40], rel=1e-12)
    assert (row["value"], row["baseline_value"]) == pytest.approx((np.exp(logs[40]), np.exp(logs[60])), rel=1e-12)
    assert row["normalised"] == pytest.approx((logs[60] - logs[40]) / (logs[60] - logs[30]), rel=1e-12)
    assert row["unit"] == "nats per token"


def test_all_pairs_of_a_budget(values: dict, write: Callable) -> None:
    table = compare(read(write(rows_of(values))), baselines=[], pairs=True)
    assert table.groupby("family").size().tolist() == [6, 6]  # four lines at each of two budgets


def outputs(folder: Path, seeds: tuple[int, ...]) -> tuple[list[str], dict]:
    """References, and hypotheses of `good` and two draws of `random`."""
    rng = np.random.default_rng(5)
    references = [" ".join(f"w{i}" for i in rng.integers(0, 30, rng.integers(4, 9))) for _ in range(50)]
    (folder / "data/help/raw").mkdir(parents=True)
    (folder / "data/help/raw/test.tgt").write_text("".join(f"{line}\n" for line in references), encoding="utf-8")
    lines = {}
    for seed in seeds:
        for method, arm, share in (("good", "", 0.2), ("random", "draw1", 0.4), ("random", "draw2", 0.5)):
            words = [[w if rng.random() > share else "x" for w in line.split()] for line in references]
            lines[method, arm, seed] = [" ".join(line) for line in words]
            write_hypotheses(folder, method, arm, 4, seed, lines[method, arm, seed])
    return references, lines


def test_outputs_are_tested_within_seeds(write: Callable) -> None:
    values = grid(np.random.default_rng(6), {"good": 3.0}, seeds=(1, 2), budgets=(4,))
    folder = write(rows_of(values))
    references, lines = outputs(folder, (1, 2))
    table = compare(read(folder), [RANDOM])
    (row,) = table.to_dict("records")
    pairs = [(seed, draw) for seed in (1, 2) for draw in ("draw1", "draw2")]
    expected = approximate_randomization(
        [lines["random", draw, seed] for seed, draw in pairs],
        [lines["good", "", seed] for seed, _ in pairs],
        references,
    )
    assert row["p_outputs"] == expected.p_value
    assert (row["outputs_improvement"], row["outputs_low"]) == pytest.approx((expected.difference, expected.low))
    assert (row["outputs_seeds"], row["segments"], row["outputs_test"]) == (2, 50, "approximate randomisation")
    assert row["verdict"] == "undecidable with 2 seeds"


@rows(
    Found("two seeds whose outputs differ", "told apart by the outputs", None, "another question", (1, 2)),
    Found("four seeds", "told apart by the outputs", None, "no p below 1 / 2⁴", (1, 2, 3, 4)),
    Found("six seeds", "told apart", {(("good", ""), 4)}, "1 / 2⁶", tuple(range(1, 7))),
)
def test_seeds_alone_leave_out_what_is_not_the_best(found: Found, write: Callable) -> None:
    """One method is 3 BLEU better with every seed; two draws of one generator have other outputs, too."""
    folder = write(rows_of(grid(np.random.default_rng(7), {"good": 3.0}, seeds=found.case, budgets=(4,))))
    outputs(folder, found.case)
    results = read(folder)
    points = [(("good", ""), 4), (RANDOM, 4)]
    for order in (points, points[::-1]):
        assert may_be_the_best(Study(results, results.groups()[0]), order) == found.right


@rows(
    Found("the best lacks one of seven", "others underlined, it bold", {"good"}, "six in common", ("good", 1)),
    Found("its equal lacks one of seven", "left out", {"good", "same"}, "six in common", ("same", 1)),
    Found("the worst lacks three of seven", "all seven", {"good", "same"}, "four allow no p", ("random", 3)),
    Found("the best lacks three of seven", "the others underlined", None, "four allow no p", ("good", 3)),
)
def test_the_best_is_looked_for_over_the_seeds_that_all_have(found: Found, write: Callable) -> None:
    name, lacking = found.case
    same = 0.0 if name == "good" else 3.0
    values = grid(np.random.default_rng(8), {"good": 3.0, "same": same}, seeds=range(1, 8), budgets=(4,))
    for key in [key for key in values if key[0] == name and key[3] <= lacking]:
        values[key] = None
    results = read(write(rows_of(values)))
    points = [(("good", ""), 4), (("same", ""), 4), (RANDOM, 4)]
    best = may_be_the_best(Study(results, results.groups()[0]), points)
    assert (best if best is None else {point[0][0] for point in best}) == found.right


@rows(
    Found("1 of 200", "too few differing segments: 1", "undecidable: 1 segment differs", "2 / 2", 1),
    Found("5 of 200", "too few differing segments: 5", "undecidable: 5 segments differ", "2 / 2⁵ = 0.0625", 5),
    Found("6 of 200", "too few differing segments: 6", "significant", "2 / 2⁶ = 0.031", 6),
)
def test_few_differing_segments_decide_what_they_can(found: Found, write: Callable) -> None:
    """The first system has the reference where the other has nothing."""
    values = {(m, "", 4, 1): 10.0 for m in ("good", "random")}
    folder = write(rows_of(values))
    (folder / "data/help/raw").mkdir(parents=True)
    lines = [f"the house number {i} stands near the old bridge" for i in range(200)]
    (folder / "data/help/raw/test.tgt").write_text("".join(f"{line}\n" for line in lines))
    write_hypotheses(folder, "good", "", 4, 1, lines)
    write_hypotheses(folder, "random", "", 4, 1, ["x"] * found.case + lines[found.case :])
    results = read(folder)
    study = Study(results, results.groups()[0])
    (row,) = family_rows(study, "one", study.against(RANDOM))
    assert row["p_outputs_holm"] == row["p_outputs_floor_holm"] == 2.0 ** (1 - found.case)
    assert (row["segments_differing"], row["verdict_outputs"]) == (found.case, found.right)


def test_packed_outputs_decide_the_same(write: Callable, tmp_path: Path) -> None:
    """Every number of every comparison."""
    values = grid(np.random.default_rng(6), {"good": 3.0}, seeds=(1, 2), budgets=(4,))
    folder = write(rows_of(values))
    outputs(folder, (1, 2))
    merge(tmp_path / "packed", [folder])
    assert not (tmp_path / "packed/segments").exists()
    before, after = (compare(read(each), [RANDOM], pairs=True) for each in (folder, tmp_path / "packed"))
    assert before["p_outputs"].notna().any()
    pd.testing.assert_frame_equal(before, after, check_exact=True)
    (tmp_path / "packed/outputs/tiny.parquet").write_bytes(b"no table")
    with pytest.raises(ResultsError, match=r"outputs/tiny\.parquet cannot be read"):
        compare(read(tmp_path / "packed"))


def test_damaged_outputs_are_named(write: Callable) -> None:
    values = grid(np.random.default_rng(8), {"good": 3.0}, seeds=(1,), budgets=(4,))
    folder = write(rows_of(values))
    outputs(folder, (1,))
    path = folder / "segments/tiny/good/k4-s1/hypotheses.test.txt.gz"
    path.write_bytes(b"not gzip")
    with pytest.raises(ResultsError, match=r"segments/tiny/good/k4-s1/hypotheses.test.txt.gz cannot be used"):
        compare(read(folder))


@pytest.mark.parametrize(
    ("track", "metric", "test"),
    [
        ("lm", "perplexity", "approximate randomisation"),
        ("nli", "accuracy", "McNemar's exact test, seeds together"),
    ],
)
def test_other_tracks_pair_their_segments(track: str, metric: str, test: str, write: Callable) -> None:
    group = {"profile": "unit", "track": track, "dataset": "text", "model": "tiny"}
    values = {("unpruned", "", N_HEADS, s): 30.0 for s in (1, 2)} | {("dsp", "", 4, s): 40.0 for s in (1, 2)}
    folder = write(rows_of(values, group, metric))
    rng = np.random.default_rng(9)
    tokens, changes = rng.integers(3, 9, 30), []
    for seed in (1, 2):
        one, two = rng.normal(-9, 1, (2, 30)) if track == "lm" else rng.integers(0, 2, (2, 30)).astype(float)
        changes.append(two - one)
        for method, budget, own in (("unpruned", N_HEADS, one), ("dsp", 4, two)):
            place = folder / f"segments/tiny/{method}/k{budget}-s{seed}"
            place.mkdir(parents=True)
            if track == "lm":
                table = {"segment": range(30), "tokens": tokens, "log_likelihood": own}
                pd.DataFrame(table).iloc[::-1].to_parquet(place / "likelihoods.test.parquet")
            else:
                table = {"segment": range(30), "label": 1, "predicted": own.astype(int)}
                pd.DataFrame(table).to_parquet(place / "labels.test.parquet")
    (row,) = compare(read(folder), [REFERENCE]).to_dict("records")
    change = np.mean(changes, axis=0)
    sizes = tokens if track == "lm" else np.ones(30)
    assert row["outputs_improvement"] == pytest.approx(change.sum() / sizes.sum(), abs=1e-12)
    exact = stats.permutation_test((change,), np.mean, permutation_type="samples", rng=1, n_resamples=9999).pvalue
    assert row["p_outputs"] == pytest.approx(exact, abs=0.05)
    assert row["outputs_test"] == test


def test_familywise_error_of_500_a_a_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three names for one method, nine seeds, and a family of all pairs at each of 500 budgets: errors at α or below.

    Seeds are good or bad for all names alike, as seeds are.
    """
    few = partial(seeds.probability_of_improvement, samples=10)  # of an interval, which no verdict reads
    monkeypatch.setattr(seeds, "probability_of_improvement", few)
    grids, names, runs = 500, list("abc"), range(1, 10)
    rng = np.random.default_rng(10)
    place = pd.MultiIndex.from_product([range(1, grids + 1), names, runs], names=["budget", "method", "seed"])
    level = np.repeat(rng.normal(20, 1, (grids, 1, len(runs))), len(names), axis=1)
    cells = place.to_frame(index=False).assign(value=(level + rng.normal(0, 0.3, level.shape)).ravel())
    cells = cells.assign(arm="", line="", split="test", metric="bleu", status="ok", reason="", n_heads=grids)
    cells = cells.assign(profile="unit", track="mt", dataset="help", model="tiny", heads_kept=cells["budget"] * 1.0)
    table = compare(Results(Path(), cells, None, ""), baselines=[], pairs=True)
    families = table.groupby("family")
    assert (families.size() == 3).all() and len(families) == grids
    wrong = families["verdict"].agg(lambda own: (own == "significant").any()).sum()
    assert 0 < wrong / grids <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / grids)
    assert not table["verdict"].str.startswith("undecidable").any()


LABELLED = [("dsp", "joint"), ("random", ""), ("magnitude", "+ft"), ("dsp", "joint+ft"), ("unpruned+ft", "")]


@pytest.mark.parametrize("line", LABELLED)
def test_labels_read_back(line: tuple[str, str]) -> None:
    assert line_of(label_of(line)) == line
