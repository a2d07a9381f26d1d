"""All-Attention and Transformer-XL through the whole DAG, on the first paragraphs of a novel."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest
from smoke_run import Run

from headprune.data import read_lines, text_corpus

pytestmark = pytest.mark.slow

SIZES: dict[str, Any] = {"width": 32, "layers": 2, "heads": 4, "segment": 16, "memory": 16}
CONTINUED = {"mode": "continued", "updates": 30, "learning_rate": 0.001, "schedule": "constant", "trials": 1}


def model(updates: int = 40, **architecture: Any) -> dict[str, Any]:
    training = {"updates": updates, "rows": 8, "learning_rate": 0.005, "warmup": 5, "clip_norm": 0.5}
    architecture = SIZES | architecture
    return {"track": "lm", "dataset": "novel", "architecture": architecture, "training": training}


METHODS = [
    *({"name": name} for name in ("unpruned", "random", "magnitude", "gradient_importance")),
    {"name": "drop_one", "models": ["all-attention"]},
    {"name": "obs", "models": ["all-attention"]},
    {"name": "dsp", "arm": "joint", "mode": "joint", "budgets": [3], "models": ["all-attention"]},
    {"name": "dsp", "arm": "pipelined", "updates": 10, "budgets": [3], "models": ["all-attention"]},
    {"name": "l0", "arm": "continued", **CONTINUED, "models": ["all-attention"]},
    {"name": "layerwise_l0", "arm": "continued", **CONTINUED, "options": {"learning_rate": 0.2}},
]
TREATMENTS = [
    {"name": "matched_random", "of": ["layerwise_l0.continued"]},
    {"name": "fine_tune", "of": ["magnitude"], "updates": 10, "budgets": [3], "distillation": 0.5},
    {"name": "bias_compensation", "of": ["magnitude"], "models": ["all-attention"]},
]


DRAWN = ("quality_vs_heads", "pareto", "survival_maps", "penalty_frontier")
SHOWN = [*(f"results/smoke/figures/{name}.png" for name in DRAWN), "results/smoke/tables/results.md"]


@pytest.fixture(scope="module")
def novel(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("novel"))
    folder = run.directory / "novel"
    folder.mkdir()
    for split, lines in (("train", 200), ("valid", 20), ("test", 20)):
        text = "".join(f"{line}\n" for line in read_lines(text_corpus("austen"), split)[:lines])
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")
    config = {
        "seeds": [1],
        "budgets": [6, 3],
        "datasets": {"novel": {"track": "lm", "corpus": str(folder), "vocabulary": 300}},
        "models": {"all-attention": model(persistent=16), "transformer-xl": model(persistent=0, feed_forward=16)},
        "methods": METHODS,
        "treatments": TREATMENTS,
        "ablations": [{"kind": "drop_one", "samples": 99, "models": ["all-attention"]}],
        "calibration": {"windows": 4},
        "evaluation": {"rows": 4},
        "speed": {"sentences": 1, "batch_size": 4, "repeats": 1, "most_repeats": 1},
    }
    run.snakemake(*SHOWN, config=config)
    return run


@pytest.fixture(scope="module")
def cells(novel: Run) -> pd.DataFrame:
    cells = novel.cells()
    assert set(cells["status"]) == {"ok"}, cells.loc[cells["status"] != "ok", ["model", "method", "reason"]].to_string()
    return cells


def values(cells: pd.DataFrame, metric: str, split: str) -> pd.Series:
    rows = cells[(cells["metric"] == metric) & (cells["split"] == split)]
    return rows.set_index(["model", "method", "arm", "budget"])["value"]


def test_masked_equals_removed_in_every_cell(cells: pd.DataFrame) -> None:
    assert (
        len(values(cells, "masked_vs_removed_max_abs", "valid"))
        == cells.groupby(["model", "method", "arm", "budget"]).ngroups
    )
    assert values(cells, "masked_vs_removed_max_abs", "valid").max() < 1e-5


def test_the_two_families_are_of_one_size_and_cost(cells: pd.DataFrame) -> None:
    macs = values(cells, "macs_per_token", "")
    assert macs["all-attention", "unpruned", "", 8] == macs["transformer-xl", "unpruned", "", 8]
    size = values(cells, "parameters_non_embedding", "")
    # Two layer norms instead of one, and the biases of the feed-forward layer, in each of two layers.
    difference = size["transformer-xl", "unpruned", "", 8] - size["all-attention", "unpruned", "", 8]
    assert difference == 2 * (2 * 32 + 16 + 32)


def test_heads_are_all_there_is_to_remove_in_all_attention_only(cells: pd.DataFrame) -> None:
    """A head takes its share of all matrices; of the Transformer-XL the feed-forward part stays."""
    size, fixed = values(cells, "parameters_non_embedding", ""), 2 * 3 * 32  # layer norm and output bias of two layers
    whole = size["all-attention", "unpruned", "", 8] - fixed
    assert size["all-attention", "magnitude", "", 3] - fixed == whole * 3 / 8
    head, layer = 5 * 32 * 8 + 2 * 8, 2 * 32 * 16 + 16 + 32 + 5 * 32  # what goes with a head, what stays in a layer
    assert size["transformer-xl", "magnitude", "", 3] == 3 * head + 2 * layer


def test_segments_give_the_perplexity_of_the_table(novel: Run, cells: pd.DataFrame) -> None:
    found = values(cells, "perplexity", "test")
    for path in sorted((novel.results / "segments").glob("**/likelihoods.test.parquet")):
        table = pd.read_parquet(path)
        name, method, cell = path.parent.relative_to(novel.results / "segments").parts
        label, plus, treatment = method.partition("+")
        method, _, arm = label.partition(".")
        budget = int(cell.split("-")[0].removeprefix("k"))
        expected = math.exp(-table["log_likelihood"].sum() / table["tokens"].sum())
        assert found[name, method, arm + plus + treatment, budget] == pytest.approx(expected, rel=1e-12)


def test_every_model_writes_a_sample_of_text(novel: Run) -> None:
    """After the beginning of the test text, and not all of them the same."""
    paths = sorted((novel.results / "segments").glob("**/sample.test.json"))
    assert len(paths) == len(list((novel.results / "segments").glob("**/likelihoods.test.parquet")))
    texts = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    beginning = "".join((novel.directory / "novel" / "test.txt").read_text(encoding="utf-8").split())
    for text in texts:
        assert beginning.startswith("".join(text["prompt"].split())[:20])
        assert text["continuation"].strip()
    assert len({text["continuation"] for text in texts}) > 1


def test_one_row_and_many_read_the_same_tokens(cells: pd.DataFrame) -> None:
    signatures = cells[cells["metric"].isin(["perplexity", "perplexity_one_row"]) & (cells["split"] == "test")]
    tokens = signatures["metric_signature"].str.extract(r"tokens:(\d+)\|dropped:(\d+)")
    assert tokens[0].nunique() == 1
    assert set(tokens[1]) == {"0"}
    assert set(signatures["metric_signature"].str.extract(r"^rows:(\d+)")[0]) == {"1", "4"}


def test_the_search_reports_the_count_it_achieved(novel: Run, cells: pd.DataFrame) -> None:
    trials = pd.read_csv(novel.results / "trials.csv")
    assert {"layerwise_l0", "l0"} == set(trials["method"])
    found = cells[cells["method"] == "layerwise_l0"].groupby(["model", "arm", "budget"])["heads_kept"].first()
    assert found.between(0, 8).all()
    masks = pd.read_parquet(novel.results / "masks.parquet")
    assert set(masks["type"]) == {"decoder"}


def test_ablations_compare_perplexities(novel: Run) -> None:
    table = pd.read_csv(novel.results / "ablations.csv")
    assert len(table) == 8
    assert set(table["metric"]) == {"perplexity"}
    assert table["p_value"].between(0, 1).all()
    assert (table["value"] > 1).all()


def test_figures_and_tables_are_there(novel: Run) -> None:
    for name in DRAWN:
        assert (novel.results / "figures" / f"{name}.png").stat().st_size > 10_000
    assert "perplexity" in (novel.results / "tables" / "results.md").read_text()
