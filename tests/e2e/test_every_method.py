"""Every method, every treatment and both ablations in one run of the DAG."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from smoke_run import UNTIMED, Run

from headprune.method import load_methods
from headprune.results.schema import CELL_KEY

pytestmark = pytest.mark.slow

CONTINUED = {"mode": "continued", "updates": 10, "learning_rate": 0.001}
METHODS = [
    {"name": "unpruned"},
    *({"name": name} for name in ("random_balanced", "magnitude", "drop_one", "keep_one", "confidence", "entropy")),
    *({"name": name} for name in ("fisher", "obs", "fluctuation", "greedy", "gradient_importance")),
    {"name": "evolutionary", "options": {"population": 4, "generations": 2}},
    {"name": "random", "draws": 2},
    {"name": "magnitude", "arm": "not_encoder", "types": ["cross", "decoder"], "min_per_module": 1, "budgets": [8]},
    {"name": "dsp", "arm": "continued", **CONTINUED, "budgets": [4]},
    {"name": "dsp", "arm": "encoder", "updates": 10, "types": ["encoder"], "budgets": [9]},
    {"name": "ste", "mode": "joint", "budgets": [4]},
    *({"name": name, **CONTINUED, "budgets": [4]} for name in ("simple", "sst", "imle", "capped_simplex", "pass")),
    {"name": "movement", **CONTINUED, "budgets": [4]},
    {"name": "lagrangian_l0", **CONTINUED, "budgets": [4]},
    {"name": "l0", **CONTINUED, "trials": 1},
    {"name": "l0", "arm": "at_k", **CONTINUED, "trials": 1, "options": {"at_k": True}},
    {"name": "layerwise_l0", **CONTINUED, "trials": 1, "options": {"learning_rate": 0.2}},
    {"name": "drophead", "mode": "joint"},
]
TREATMENTS = [
    {"name": "fine_tune", "of": ["magnitude", "obs"], "updates": 10, "budgets": [4]},
    {"name": "fine_tune", "arm": "distil", "of": ["magnitude"], "updates": 10, "budgets": [4], "distillation": 0.5},
    {"name": "matched_random", "of": ["obs", "ste", "random"]},
    {"name": "bias_compensation", "of": ["magnitude"]},
    {"name": "from_scratch", "of": ["magnitude"], "budgets": [4]},
]
CONFIG = UNTIMED | {
    "seeds": [1],
    "budgets": [8, 4],
    "methods": METHODS,
    "treatments": TREATMENTS,
    "ablations": [{"kind": "drop_one", "samples": 50}, {"kind": "keep_one", "samples": 50}],
}


DRAWN = ("quality_vs_heads", "treatments", "pruning_cost", "penalty_frontier", "survival_maps")
SHOWN = [*(f"results/smoke/figures/{name}.png" for name in DRAWN), "results/smoke/tables/ablations.md"]


@pytest.fixture(scope="module")
def every(tmp_path_factory) -> Run:
    run = Run(tmp_path_factory.mktemp("every"))
    run.snakemake(*SHOWN, config=CONFIG)
    return run


@pytest.fixture(scope="module")
def heads_kept(every: Run) -> pd.Series:
    """Heads kept by method, arm and budget."""
    cells = every.cells()
    assert set(cells["status"]) == {"ok"}, cells.loc[cells["status"] != "ok", ["method", "arm", "reason"]].to_string()
    return cells.groupby(["method", "arm", "budget"])["heads_kept"].first()


def test_every_method_of_the_repository_takes_part(heads_kept):
    assert set(heads_kept.index.get_level_values("method")) == set(load_methods())


def test_budgets_are_hit_or_the_count_is_reported(heads_kept):
    searched = heads_kept.index.get_level_values("method").isin(["l0", "layerwise_l0", "lagrangian_l0"])
    natural = searched & (heads_kept.index.get_level_values("arm") != "at_k")
    exact = heads_kept[~natural]
    assert (exact == exact.index.get_level_values("budget")).all()
    assert heads_kept[natural].between(0, 12).all()


def test_masked_equals_removed_in_every_cell(every):
    values = every.cells().set_index("metric")["value"]
    assert values["masked_vs_removed_max_abs"].max() < 1e-5
    assert values["masked_vs_removed_hypotheses"].max() == 0


def test_scopes_are_kept(every):
    masks = pd.read_parquet(every.results / "masks.parquet")
    of = dict(list(masks.groupby("arm")))
    assert of["not_encoder"].query("type == 'encoder'")["kept"].all()
    assert (of["not_encoder"].groupby(["type", "layer"])["kept"].sum() >= 1).all()
    assert of["encoder"].query("type != 'encoder'")["kept"].all()


def test_twins_have_as_many_heads_in_every_module(every):
    masks = pd.read_parquet(every.results / "masks.parquet")
    counts = masks.groupby(["method", "arm", "budget", "type", "layer"])["kept"].sum()
    twins = [key for key in counts.index if key[1].endswith("+twin")]
    assert len(twins) > 20
    assert all(counts[key] == counts[(key[0], key[1].removesuffix("+twin"), *key[2:])] for key in twins)


def test_treated_masks_are_those_of_their_base(every):
    kept = every.masks()
    for label in ("+ft", "+distil", "+bc", "+scratch"):
        assert kept[f"tiny/magnitude{label}/k4-s1"] == kept["tiny/magnitude/k4-s1"]


def test_both_arms_of_a_search_share_its_trainings(every):
    trials = pd.read_csv(every.results / "trials.csv")
    searched = trials[trials["method"] == "l0"]
    assert len(searched) == searched["coefficient"].nunique()
    assert set(searched["label"]) == {"l0"}
    records = [every.results / f"cells/tiny/{label}/k4-s1/pruned.json" for label in ("l0", "l0.at_k")]
    first, second = (json.loads(path.read_text()) for path in records)
    assert first["trials"] == second["trials"]
    assert len(trials[trials["method"] == "drophead"]) == 1


def test_costs_count_what_finding_a_mask_took(every):
    table = every.cells().set_index(["method", "arm", "budget", "metric"])["value"].sort_index()
    assert table["magnitude", "", 4, "prune_forward_sentences"] == 0
    assert table["gradient_importance", "", 4, "prune_forward_sentences"] == 40
    assert table["gradient_importance", "", 4, "prune_backward_sentences"] == 40
    assert table["magnitude", "+bc", 4, "prune_forward_sentences"] == 40
    assert table["drop_one", "", 4, "prune_forward_sentences"] >= 12 * 40
    assert table["magnitude", "+ft", 4, "prune_updates"] == 10
    assert table["l0", "", 4, "prune_updates"] >= 40  # four trainings to bracket the budget
    assert table["ste", "", 4, "prune_seconds"] == 0  # the model had to be trained anyway


def test_ablations_have_a_row_per_head(every):
    table = pd.read_csv(every.results / "ablations.csv")
    assert table.groupby("kind").size().to_dict() == {"drop_one": 12, "keep_one": 12}
    assert table["p_value"].between(0, 1).all()
    same = table["value"] == table["unpruned"]
    assert (table.loc[same, "p_value"] == 1).all()


def test_pictures_and_studies_are_drawn(every):
    for name in DRAWN:
        assert (every.results / "figures" / f"{name}.png").stat().st_size > 20_000
    assert "Without one head" in (every.results / "tables/ablations.md").read_text()


def test_every_cell_can_be_found(every):
    assert every.cells().groupby(CELL_KEY).ngroups == len(list(every.results.glob("cells/*/*/*/test.json")))
    assert "Nothing to be done" in every.snakemake(*SHOWN, config=CONFIG)
