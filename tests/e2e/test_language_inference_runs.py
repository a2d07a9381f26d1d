"""Natural language inference through the DAG, from a folder of one's own to tables: labels, exact tests, removal."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import verses
from smoke_run import Run

from headprune.verification import verify

pytestmark = pytest.mark.slow

ARCHITECTURE = {"width": 16, "feed_forward": 16, "layers": 2, "heads": 2, "positions": 96, "dropout": 0.0}
TRAINING = {"updates": 10, "batch_size": 8, "learning_rate": 0.003, "warmup": 2, "schedule": "linear"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("judged"))
    config = {
        "seeds": [1],
        "budgets": [2, 0],
        "datasets": {"own": {"track": "nli", "corpus": str(verses.write(run.directory / "own")), "vocabulary": 250}},
        "models": {
            "judge": {
                "track": "nli",
                "dataset": "own",
                "architecture": ARCHITECTURE,
                "start": {"pretraining": TRAINING | {"mask": 0.2}},
                "training": TRAINING,
            }
        },
        "methods": [
            {"name": "unpruned"},
            {"name": "magnitude"},
            {"name": "gradient_importance"},
            {"name": "dsp", "arm": "joint", "mode": "joint", "budgets": [2]},
        ],
        "calibration": {"sentences": 20},
        "speed": {"sentences": 1, "batch_size": 4, "repeats": 1, "most_repeats": 1},
    }
    run.snakemake(*(f"results/smoke/tables/{name}" for name in ("results.md", "comparisons.csv")), config=config)
    return run


def test_every_cell_is_measured(run: Run) -> None:
    cells = run.cells()
    assert set(cells["status"]) == {"ok"}, cells["reason"].unique()
    accuracies = cells[(cells["metric"] == "accuracy") & (cells["split"] == "test")]
    assert len(accuracies) == 1 + 2 + 2 + 1
    assert set(accuracies["unit"]) == {"share of examples"}
    assert (accuracies["value"] * verses.SIZES["test"] % 1 < 1e-9).all()  # a whole number of examples
    assert (cells.loc[cells["metric"] == "masked_vs_removed_max_abs", "value"] < 1e-5).all()
    assert set(pd.read_parquet(run.results / "masks.parquet")["type"]) == {"encoder"}


def test_what_trainings_began_with_is_there_and_vouched_for(run: Run) -> None:
    """A job of its own, whose files the account of the run names."""
    assert (run.results / "jobs/pretrain/judge/s1.json").exists()
    steps = json.loads((run.results / "pretrained/judge/s1.manifest.json").read_text(encoding="utf-8"))["steps"]
    assert set(steps["pretrained"]["files"]) == {"pretrained/judge/s1.json", "pretrained/judge/s1.pt"}
    report = verify(run.results)
    assert report.differences == [] and report.checked["files"] > 10


def test_labels_give_the_accuracy_of_the_table(run: Run) -> None:
    cells = run.cells()
    found = cells[(cells["metric"] == "accuracy") & (cells["split"] == "test") & (cells["method"] == "unpruned")]
    (path,) = run.results.glob("segments/judge/unpruned/*/labels.test.parquet")
    table = pd.read_parquet(path)
    lines = Path(run.directory / "own" / "test.tsv").read_text(encoding="utf-8").splitlines()
    assert table["label"].tolist() == [line.split("\t")[2] for line in lines]
    assert float(found["value"].iloc[0]) == pytest.approx((table["label"] == table["predicted"]).mean())


def test_outputs_are_compared_by_the_exact_test(run: Run) -> None:
    compared = pd.read_csv(run.results / "tables" / "comparisons.csv")
    assert set(compared.loc[compared["p_outputs"].notna(), "outputs_test"]) == {"McNemar's exact test"}
