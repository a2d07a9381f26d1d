"""The verdict of every predicate on results made to hold and to fail it."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from found import Found, rows
from made_up_cells import GROUP, N_HEADS, rows_of
from scipy import stats

from headprune.analysis.claims import COLUMNS, Claim, effect_text, elsewhere, evaluate, load
from headprune.analysis.tables import read
from headprune.analysis.versus import versus
from headprune.results.schema import ablations_table, to_csv

FILE = Path(__file__).parents[2] / "paper_figures" / "claims.yaml"
SEEDS = tuple(range(1, 8))  # as few as decide a claim of two comparisons: 2 / 2⁷ · 2 = 0.031


def claim(**check: Any) -> Claim:
    own = {"margin_of": "ours", "least_n": 1}
    return Claim(id="a-claim", text="It is so.", source="somebody", track="mt", check=check, **own)


def values(qualities: dict[tuple[str, int], tuple[float, ...]]) -> dict:
    """Qualities by (method.arm, budget), three that recur over the seeds, or one for one seed; the unpruned at 20."""
    found = {("unpruned", "", N_HEADS, seed): 20.0 for seed in SEEDS}
    for (label, budget), own in qualities.items():
        method, _, arm = label.partition(".")
        own = own * len(SEEDS) if len(own) > 1 else own
        found |= {(method, arm, budget, seed): value for seed, value in zip(SEEDS, own, strict=False)}
    return found


def decided(claim: Claim, folder: Path, with_masks: bool = False) -> dict[str, Any]:
    (row,) = evaluate([claim], read(folder, with_masks)).to_dict("records")
    return row


@pytest.mark.parametrize(
    ("ours", "theirs", "margin", "verdict"),
    [
        ((15.0, 15.1, 14.9), (12.0, 12.1, 12.2), 0.0, "held"),
        ((12.0, 12.1, 12.2), (15.0, 15.1, 14.9), 0.0, "not held"),
        ((15.0, 12.0, 17.0), (14.0, 14.0, 14.0), 0.0, "undecided"),
        ((14.0, 14.0, 14.1), (14.1, 14.1, 14.1), -0.02, "held"),  # no worse by more than 2 % of 20
        ((15.0,), (12.0,), 0.0, "undecidable"),
    ],
)
def test_compare(ours: tuple, theirs: tuple, margin: float, verdict: str, write: Callable) -> None:
    folder = write(rows_of(values({("dsp.joint", 4): ours, ("l0.joint", 4): theirs})))
    row = decided(claim(predicate="compare", systems=["dsp.joint"], baselines=["l0.joint"], margin=margin), folder)
    effects = np.resize((np.array(ours) - theirs) / 20, len(SEEDS) if len(ours) > 1 else 1)
    assert row["verdict"] == verdict
    assert row["effect"] == pytest.approx(effects.mean())
    if len(ours) > 1:
        interval = stats.t.interval(0.95, len(SEEDS) - 1, effects.mean(), stats.sem(effects))
        assert (row["low"], row["high"]) == pytest.approx(interval)
    else:
        assert row["note"] == "no p below 1 from 1 seed"


def test_claims_that_are_decided_together_share_alpha(write: Callable) -> None:
    """Seven seeds reach 2 / 2⁷ = 0.016, enough for α = 0.05 and too much for a fifth of it."""
    folder = write(rows_of(values({("dsp.joint", 4): (14.0, 15.0, 12.5), ("l0.joint", 4): (12.0, 12.0, 12.0)})))
    check = {"predicate": "compare", "systems": ["dsp.joint"], "baselines": ["l0.joint"], "margin": 0.0}
    alone, together = (decided(claim(**check, family=number), folder) for number in (1, 5))
    assert (alone["verdict"], alone["wanted"]) == ("held", "≥ 0")
    assert (together["verdict"], together["wanted"]) == ("undecidable", "≥ 0, one of 5")
    assert alone["p_value"] == together["p_value"]
    effects = np.resize((np.array([14.0, 15.0, 12.5]) - 12) / 20, 7)
    for row, level in ((alone, 0.95), (together, 0.99)):  # the interval is that of the test that decides
        assert row["level"] == pytest.approx(level)
        interval = stats.t.interval(level, 6, effects.mean(), stats.sem(effects))
        assert (row["low"], row["high"]) == pytest.approx(interval)
    assert effect_text(together).endswith("] at 99 %")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"effect": 0.12345, "low": -0.03, "high": 0.21, "level": 0.95}, "0.123 [−0.03, 0.21]"),
        ({"effect": 0.12345, "low": -0.03, "high": 0.21, "level": 0.99}, "0.123 [−0.03, 0.21] at 99 %"),
        ({"effect": -1.0, "low": "", "high": "", "level": ""}, "−1"),
        ({"effect": 0.5, "low": 0.25, "high": 0.75}, "0.5 [0.25, 0.75]"),  # a table of before there were other levels
        ({"effect": np.nan}, "–"),
        ({}, "–"),
    ],
)
def test_effects_in_words(row: dict[str, Any], text: str) -> None:
    assert effect_text(row) == text


def test_effect_is_the_mean_over_the_budgets_that_count(write: Callable) -> None:
    qualities = {("dsp.joint", k): (k / 1.0,) * 3 for k in (2, 6, 9)} | {("l0.joint", k): (1.0,) * 3 for k in (2, 6, 9)}
    folder = write(rows_of(values(qualities)))
    check = {"predicate": "compare", "systems": ["dsp.joint"], "baselines": ["l0.joint"]}
    assert decided(claim(**check), folder)["effect"] == pytest.approx((1 + 5 + 8) / 3 / 20)
    assert decided(claim(**check, kept=(0.5, 1.0)), folder)["effect"] == pytest.approx((5 + 8) / 2 / 20)


def test_the_weakest_comparison_decides(write: Callable) -> None:
    qualities = {("dsp.joint", 4): (15, 15.1, 15.2), ("a", 4): (12, 12, 12), ("b", 4): (18, 18, 18)}
    folder = write(rows_of(values(qualities)))
    row = decided(claim(predicate="compare", systems=["dsp.joint"], baselines=["a", "b", "c"]), folder)
    assert (row["verdict"], row["decided_by"]) == ("not held", "dsp.joint − b at K = 4")
    assert row["note"] == "no data: c is not in the results"
    assert row["p_value"] == row["p_floor"] == 2 / 2**7


@pytest.mark.parametrize(("direction", "verdict"), [("below", "held"), ("above", "not held")])
def test_loss(direction: str, verdict: str, write: Callable) -> None:
    folder = write(rows_of(values({("dsp.joint", 10): (19.9, 19.8, 19.9)})))
    row = decided(claim(predicate="loss", systems=["dsp.joint"], direction=direction, margin=0.05), folder)
    assert row["verdict"] == verdict
    assert row["effect"] == pytest.approx(1 - np.resize([19.9, 19.8, 19.9], 7).mean() / 20)


def test_cells_without_a_result_are_counted(write: Callable) -> None:
    folder = write(rows_of(values({("dsp.joint", 4): (15, 15.2, None), ("l0.joint", 4): (12, 12.1, 12.2)})))
    row = decided(claim(predicate="compare", systems=["dsp.joint"], baselines=["l0.joint"]), folder)
    assert (row["n"], row["note"]) == (5, "no p below 0.0625 from 5 seeds; 2 cells without a result left out")
    row = decided(claim(predicate="exact_count", systems=["dsp.joint"]), folder)
    assert (row["n"], row["note"]) == (5, "counted over 5 cells; 2 cells without a result left out")


def test_saving(write: Callable) -> None:
    costs = {"parameters": lambda k: 100 + 10 * k, "throughput": lambda k: 1000 - 10 * k}
    folder = write(rows_of(values({("dsp.joint", 6): (15, 15, 15)}), **costs))
    row = decided(claim(predicate="saving", systems=["dsp.joint"], metric="parameters"), folder)
    assert (row["verdict"], row["effect"]) == ("held", pytest.approx(60 / 220))
    assert row["note"] == "the same with every training" and np.isnan([row["p_value"], row["low"]]).all()
    row = decided(claim(predicate="saving", systems=["dsp.joint"], metric="throughput"), folder)
    assert (row["verdict"], row["effect"]) == ("held", pytest.approx(940 / 880 - 1))
    assert row["p_value"] == 2 / 2**7  # a speed is measured


@pytest.mark.parametrize(("cost", "verdict"), [(lambda k: 10 * k, "held"), (lambda k: 1 + k**4, "not held")])
def test_proportional(cost: Callable, verdict: str, write: Callable) -> None:
    folder = write(rows_of(values({("dsp.joint", k): (15, 15, 15) for k in (2, 5, 8)}), parameters=cost))
    check = {"predicate": "proportional", "systems": ["dsp.joint"], "metric": "parameters", "margin": 0.01}
    assert decided(claim(**check), folder)["verdict"] == verdict


def test_exact_count(write: Callable) -> None:
    rows = rows_of(values({("dsp.joint", 4): (15, 15, 15), ("l0.joint", 4): (15, 15, 15)}))
    for row in rows:
        if row["method"] == "l0" and row["seed"] == 2:
            row["heads_kept"] = 5
    folder = write(rows)
    exact, off = (decided(claim(predicate="exact_count", systems=[x]), folder) for x in ("dsp.joint", "l0.joint"))
    assert (exact["verdict"], exact["effect"], exact["n"]) == ("held", 1, 7)
    assert (off["verdict"], off["effect"]) == ("not held", pytest.approx(6 / 7))
    assert np.isnan([exact["low"], exact["high"], off["low"], off["high"]]).all()  # what is counted is not estimated
    some = decided(claim(predicate="exact_count", systems=["l0.joint"], direction="below"), folder)
    assert (some["verdict"], some["note"]) == ("held", "counted over 7 cells")  # one exception is enough
    loose = decided(claim(predicate="exact_count", systems=["l0.joint"], direction="below", margin=0.99), folder)
    shares = [1, 0, 1, 1, 1, 1, 1]  # of the cells of a seed, which is what another training would change
    assert (loose["low"], loose["high"]) == pytest.approx(stats.t.interval(0.95, 6, 6 / 7, stats.sem(shares)))
    assert loose["verdict"] == "undecided"


def test_survival(write: Callable) -> None:
    """Cross heads of the upper layer are kept, those of the lower and all decoder heads are not."""
    qualities = values({("l0.continued", 4): (15, 15, 15)})
    masks = [
        GROUP
        | {"method": "l0", "arm": "continued", "budget": 4, "seed": seed, "head": f"{kind}.{layer}.{i}"}
        | {"type": kind, "layer": layer, "index": i, "kept": kind == "cross" and (layer == 1 or i < seed % 2)}
        for seed in SEEDS
        for kind in ("cross", "decoder")
        for layer in (0, 1)
        for i in range(4)
    ]
    folder = write(rows_of(qualities), masks)
    check: dict[str, Any] = {"predicate": "survival", "systems": ["l0.continued"], "more": "cross", "less": "decoder"}
    row = decided(claim(**check), folder, with_masks=True)
    assert (row["verdict"], row["effect"]) == ("held", pytest.approx((4 * 5 / 8 + 3 * 4 / 8) / 7))
    assert decided(claim(**check | {"more": "decoder", "less": "cross"}), folder, True)["verdict"] == "not held"
    depth = decided(claim(predicate="survival_by_depth", systems=["l0.continued"], type="cross"), folder, True)
    assert (depth["verdict"], depth["effect"]) == ("held", pytest.approx((4 * 0.75 + 3 * 1) / 7))


def test_ablations(write: Callable) -> None:
    folder = write(rows_of(values({("dsp.joint", 4): (15, 15, 15)})))
    rows = []
    for seed in SEEDS:
        common = {"profile": "unit", "model": "tiny", "seed": seed, "status": "ok"}
        common |= {"metric": "bleu", "unpruned": 20.0}
        for kind, layer, i in [(k, layer, i) for k in ("encoder", "cross") for layer in (0, 1) for i in (0, 1)]:
            place = {"type": kind, "layer": layer, "index": i, "head": f"{kind}.{layer}.{i}"}
            cliff = kind == "cross" and layer == 1
            rows.append(common | place | {"kind": "keep_one", "value": 5.0 if cliff else 19.5 - i, "p_value": 0.5})
            rows.append(common | place | {"kind": "drop_one", "value": 19.0, "p_value": 0.001 if cliff and i else 0.5})
    (folder / "ablations.csv").write_bytes(to_csv(ablations_table(rows)))
    one = decided(claim(predicate="one_head", margin=0.5), folder)
    assert (one["verdict"], one["effect"]) == ("held", 0.75)  # three of four modules, of the best head 2.5 % lost
    last = decided(claim(predicate="one_head_of_last", type="cross", margin=0.1), folder)
    assert (last["verdict"], last["effect"]) == ("held", 0.75)
    assert decided(claim(predicate="drop_one", margin=0.5), folder)["effect"] == 7 / 8
    nothing = [row | {"unpruned": 0.0, "value": 0.0} for row in rows]
    (folder / "ablations.csv").write_bytes(to_csv(ablations_table(nothing)))
    without = decided(claim(predicate="one_head", margin=0.5), folder)  # no share of nothing
    assert (without["verdict"], without["n"]) == ("no data", 0)
    assert "some quality" in without["note"]


def test_no_data_is_said(write: Callable) -> None:
    folder = write(rows_of(values({("dsp.joint", 4): (15, 15, 15)})))
    table = evaluate(load(FILE), read(folder))
    assert list(table.columns) == COLUMNS
    assert len(table) == len(load(FILE))
    missing = table[table["verdict"] == "no data"]
    assert missing["note"].str.startswith("no data: ").all()
    assert set(table.loc[table["track"] == "lm", "verdict"]) == {"elsewhere"}
    assert set(table.loc[table["track"] == "lm", "note"]) == {"track lm is not in the results"}
    assert table.set_index("id").loc["michel-flat", "verdict"] == "elsewhere"
    told = elsewhere(table)
    assert told.startswith("Not about these results: ") and "shim-warmup" in told and "michel-flat" in told
    assert "dsp-ninety-percent" not in told
    assert table.set_index("id").loc["michel-drop-one", "note"] == "no data: no ablations of kind drop_one"
    kept = table.set_index("id").loc["dsp-ninety-percent", "note"]
    assert kept == "no data: dsp.joint has no quality with 8% to 12% of the heads kept"


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ({8: (1,)}, {8: (2,)}, "no seed has both dsp.joint and l0.joint with 0% to 100% of the heads kept"),
        ({8: (1,)}, {4: (1,)}, "there is no K of both dsp.joint and l0.joint with 0% to 100% of the heads kept"),
        ({8: (1,), 4: (2,)}, {8: (1,), 4: (2,)}, "dsp.joint − l0.joint at K = 8, 4: no seed has all of these"),
        ({8: (1,)}, {}, "l0.joint is not in the results"),
    ],
)
def test_the_reason_for_no_data_is_the_one_that_holds(ours: dict, theirs: dict, reason: str, write: Callable) -> None:
    """The seeds that either method has are given by budget."""
    found = {("unpruned", "", N_HEADS, seed): 20.0 for seed in (1, 2)}
    for method, own in (("dsp", ours), ("l0", theirs)):
        found |= {(method, "joint", k, seed): 10.0 for k, seeds in own.items() for seed in seeds}
    check = {"predicate": "compare", "systems": ["dsp.joint"], "baselines": ["l0.joint"]}
    note = decided(claim(**check), write(rows_of(found)))["note"]
    assert note.removeprefix("no data: ") == reason


@rows(
    Found("one cell with K heads", "held", "undecided", "one cell is no every", (1, 0)),
    Found("one cell with another count", "not held", "not held", "one exception settles it", (0, 1)),
    Found("two cells with K heads", "held", "held", "counting", (2, 0)),
)
def test_a_verdict_needs_two(found: Found, write: Callable) -> None:
    """The first read "held", 1 [0.0125, 1] of 1 cell, wanted ≥ 1."""
    exact, off = found.case
    cells = rows_of({("dsp", "joint", 4, seed): 15.0 for seed in range(1, exact + off + 1)})
    for row in cells[:off]:
        row["heads_kept"] = 5
    row = decided(claim(predicate="exact_count", systems=["dsp.joint"]), write(cells))
    assert row["verdict"] == found.right
    assert row["n"] == exact + off


@rows(
    Found("a search switched off", "held", "no data", "trials: 0 in the configuration", 0),
    Found("a search that misses", "held", "held", "9 of 9 cells are off", 2),
)
def test_what_does_not_search_says_nothing_of_control(found: Found, write: Callable) -> None:
    cells = rows_of(values({("l0.joint", k): (15, 15, 15) for k in (2, 4, 6)}))
    for row in cells:
        row["heads_kept"] = 8
    folder = write(cells)
    entry = {"name": "l0", "arm": "joint", "coefficients": [0.01], "trials": found.case}
    (folder / "manifest.json").write_text(json.dumps({"config": {"methods": [{"name": "unpruned"}, entry]}}))
    check = {"predicate": "exact_count", "systems": ["l0.joint"], "direction": "below"}
    row = decided(claim(**check), folder)
    assert row["verdict"] == found.right
    assert ("trials: 0" in row["note"]) == (found.case == 0)


def test_a_fifth_is_not_judged_at_less(write: Callable) -> None:
    """32 of 36 heads are 11 % removed; a claim of a fifth has no data there."""
    (flat,) = [claim for claim in load(FILE) if claim.id == "michel-flat"]
    for kept, known in ((11, False), (9, False)):  # of 12: 8 % and a quarter removed
        row = decided(flat, write(rows_of(values({("gradient_importance.iterative", kept): (19.9, 19.9, 20)}))))
        assert (row["verdict"] != "no data") == known
    low, high = flat.check.kept
    assert low <= 0.8 <= high and not low <= 32 / 36 <= high


def test_a_claim_of_which_a_part_is_missing_is_not_held(write: Callable) -> None:
    folder = write(rows_of(values({("dsp.joint", 4): (15, 15.1, 15.2), ("a", 4): (12, 12, 12)})))
    row = decided(claim(predicate="compare", systems=["dsp.joint"], baselines=["a", "b"]), folder)
    assert (row["verdict"], row["note"]) == ("undecided", "no data: b is not in the results")


def test_a_claim_is_about_its_models(write: Callable) -> None:
    folder = write(rows_of(values({("dsp.joint", 4): (15, 15, 15)})))
    about = claim(predicate="exact_count", systems=["dsp.joint"])
    (row,) = evaluate([about.model_copy(update={"model": "t*"})], read(folder)).to_dict("records")
    assert row["verdict"] == "held"
    (row,) = evaluate([about.model_copy(update={"model": "other*"})], read(folder)).to_dict("records")
    assert (row["verdict"], row["note"]) == ("elsewhere", "no model other* is in the results")


@rows(
    Found("3 % worse, ±5 % wanted", "held", "held", "both one-sided tests pass", 19.4),
    Found("7 % worse, ±5 % wanted", "not held", "not held", "one of them fails on the other side", 18.6),
    Found("7 % better, ±5 % wanted", "held", "not held", "as good is not better", 21.4),
    Found("5 % worse, ±5 % wanted", "held", "undecided", "the bound itself", 19.0),
)
def test_as_good_needs_a_margin_and_two_tests(found: Found, write: Callable) -> None:
    noisy = tuple(found.case + shift for shift in (-0.1, 0, 0.1))
    folder = write(rows_of(values({("dsp.joint", 4): noisy, ("a", 4): (20.0, 20.0, 20.0)})))
    check = {"predicate": "compare", "systems": ["dsp.joint"], "baselines": ["a"]}
    check |= {"direction": "within", "margin": 0.05}
    row = decided(claim(**check), folder)
    assert (row["verdict"], row["wanted"]) == (found.right, "±0.05")
    with pytest.raises(ValueError, match="margin 0 leaves nothing to lie within"):
        claim(**check | {"margin": 0})


def test_all_parts_together_need_no_correction_and_one_of_them_does(write: Callable) -> None:
    """Ten comparisons, p = 2 / 2⁷ = 0.016 each: all of them hold at 0.05, and none is refuted at 0.05 / 10."""
    others = {f"b{i}": (12.0, 12.1, 12.2) for i in range(10)}
    folder = write(rows_of(values({("dsp.joint", 4): (15, 15, 15.1), **{(name, 4): v for name, v in others.items()}})))
    check = {"predicate": "compare", "systems": ["dsp.joint"], "baselines": list(others)}
    assert decided(claim(**check), folder)["verdict"] == "held"
    assert decided(claim(**check, direction="below"), folder)["verdict"] == "undecided"
    assert decided(claim(**check | {"baselines": ["b1", "b2"]}, direction="below"), folder)["verdict"] == "not held"


@pytest.mark.parametrize("seeds", [3, 5, 6, 8])
def test_claims_and_comparisons_give_one_verdict_about_the_same_cells(seeds: int, write: Callable) -> None:
    """Twelve pairs at one budget against the family of that pair alone; unpruned models differ from seed to seed."""
    rng = np.random.default_rng(seeds)
    named = {"held": "significant", "not held": "significant", "undecided": "not significant"}
    cells = {("unpruned", "", N_HEADS, s): 20 + rng.normal(0, 2) for s in range(seeds)}
    for i in range(12):
        shift = rng.normal(0, 1)
        cells |= {("a", f"x{i}", 4, s): 15 + shift + rng.normal(0, 0.7) for s in range(seeds)}
        cells |= {("b", f"x{i}", 4, s): 15 + rng.normal(0, 0.7) for s in range(seeds)}
    results, found = read(write(rows_of(cells))), set()
    for i in range(12):
        check = {"predicate": "compare", "systems": [f"a.x{i}"], "baselines": [f"b.x{i}"]}
        (row,) = evaluate([claim(**check)], results).to_dict("records")
        (pair,) = versus(results, f"a.x{i}", f"b.x{i}")
        expected = pair.table.loc[0, "verdict"]
        assert row["p_value"] == pytest.approx(pair.table.loc[0, "p_seeds"], abs=1e-12)
        assert named.get(row["verdict"], f"undecidable with {seeds} seeds") == expected
        found.add(expected)
    assert len(found) == (2 if seeds > 5 else 1)


@pytest.mark.parametrize("asked", ["l0", "fine"])
def test_what_misses_k_has_one_effect_in_claims_and_comparisons(asked: str, write: Callable) -> None:
    """L0 keeps 6 heads, not 4, and 10, not 8; at these and at K the other's curve is read, as `compare` does."""
    rng = np.random.default_rng(3)
    cells = {("unpruned", "", N_HEADS, s): 20 + rng.normal(0, 1) for s in range(7)}
    for method, k in product(("l0", "fine"), (4, 8)):
        cells |= {(method, "", k, s): 8 + k + rng.normal(0, 0.7) for s in range(7)}
    rows = rows_of(cells)
    for row in rows:
        row["heads_kept"] = row["budget"] + 2 * (row["method"] == "l0")
    results, other = read(write(rows)), {"l0": "fine", "fine": "l0"}[asked]
    (pair,) = versus(results, asked, other)
    whole, table = np.mean([cells["unpruned", "", N_HEADS, s] for s in range(7)]), pair.table.set_index("budget")
    compared = [k for k in (4, 8) if table.loc[k, "n_seeds"]]
    assert compared == ([4, 8] if asked == "l0" else [8])  # of four heads nothing is known of L0
    for k in compared:
        own = {"predicate": "compare", "systems": [asked], "baselines": [other], "kept": (k / N_HEADS, k / N_HEADS)}
        (row,) = evaluate([claim(**own)], results).to_dict("records")
        assert row["effect"] == pytest.approx(table.loc[k, "improvement"] / whole, abs=1e-12)
        assert row["p_value"] == pytest.approx(table.loc[k, "p_seeds"], abs=1e-12)
        assert f"{other} at K = {k} at as many heads as {asked} keeps" in row["decided_by"]


@rows(
    Found("of outputs that differ in 7 segments", 1.0, 0.0, "no p below 2 / 2⁷ = 0.016", 7),
    Found("of outputs that differ in 8 segments", 1.0, 1.0, "2 / 2⁸ = 0.0078", 8),
    Found("where their number was not recorded", 1.0, 1.0, "it counts against the claim", None),
)
def test_losses_of_single_heads(found: Found, write: Callable) -> None:
    """The share of heads with a significant loss."""
    folder = write(rows_of(values({("dsp.joint", 4): (15, 15, 15)})))
    place = {"profile": "unit", "model": "tiny", "status": "ok", "metric": "bleu", "unpruned": 20.0, "value": 19.0}
    place |= {"kind": "drop_one", "type": "encoder", "layer": 0, "index": 0, "head": "encoder.0.0", "p_value": 0.001}
    table = ablations_table([place | {"seed": seed, "segments_differing": found.case} for seed in SEEDS])
    (folder / "ablations.csv").write_bytes(to_csv(table if found.case else table.drop(columns="segments_differing")))
    assert decided(claim(predicate="drop_one", margin=0.5), folder)["effect"] == 1 - found.right


def test_every_model_of_a_track_is_asked(write: Callable) -> None:
    own = values({("dsp.joint", 4): (15, 15, 15)})
    other = dict(GROUP) | {"model": "other"}
    folder = write(rows_of(own) + rows_of(own, other))
    table = evaluate([claim(predicate="exact_count", systems=["dsp.joint"])], read(folder))
    assert table["model"].tolist() == ["other", "tiny"]
