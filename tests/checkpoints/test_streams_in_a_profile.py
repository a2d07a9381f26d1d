"""An All-Attention language model that one profile trained and another is given."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from headprune.config import load
from headprune.pipeline.plan import Plan
from tests.checkpoints.own_profile import run

SHAPE = {"width": 16, "layers": 2, "heads": 2, "persistent": 8, "segment": 8, "memory": 8, "dropout": 0.0}
TRAINING = {"updates": 6, "rows": 4, "learning_rate": 0.01, "warmup": 1, "schedule": "linear"}
DATASET = {"track": "lm", "units": "words", "vocabulary": None}
FAST = {
    "evaluation": {"rows": 4, "checked_segments": 2, "sample": 0},
    "calibration": {"windows": 4},
    "speed": {"sentences": 1, "batch_size": 4, "repeats": 1, "most_repeats": 1},
}


@pytest.fixture(scope="module")
def text(pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    for split in ("train", "valid", "test"):
        shutil.copy(pieces / f"{split}.xx", folder / f"{split}.txt")
    return folder


def profile_of(text: Path, results: Path, model: dict[str, Any], **entries: Any) -> dict[str, Any]:
    sections = {"datasets": {"letters": {"corpus": str(text), **DATASET}}, "models": {"streams": model}}
    return {"profile": "own", "results": str(results), "seeds": [1], "budgets": [2], **FAST, **sections, **entries}


@pytest.fixture(scope="module")
def trained(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A run that trains the model and measures it."""
    model = {"track": "lm", "dataset": "letters", "architecture": SHAPE, "training": TRAINING}
    return run(profile_of(text, tmp_path_factory.mktemp("trained"), model, methods=[{"name": "unpruned"}]))


@pytest.fixture(scope="module")
def finished(text: Path, trained: Plan, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A run that is given that model."""
    checkpoint = trained.folder / "dense/streams/s1.pt"
    model = {"dataset": "letters", "checkpoint": str(checkpoint), "further_training": {**TRAINING, "updates": 3}}
    methods = [{"name": "unpruned"}, {"name": "magnitude"}, {"name": "dsp", "arm": "pipelined", "updates": 3}]
    treatments = [{"name": "fine_tune", "of": ["magnitude"], "updates": 2}]
    return run(profile_of(text, tmp_path_factory.mktemp("given"), model, methods=methods, treatments=treatments))


def test_the_given_model_is_the_one_that_was_trained(trained: Plan, finished: Plan) -> None:
    """Every score of the unpruned model is the same to the last bit, and every cell has a result."""
    before, after = (pd.read_parquet(plan.folder / "cells.parquet") for plan in (trained, finished))
    assert set(after["status"]) == {"ok"}, after["reason"].unique()
    assert set(after["arm"].fillna("") + after["method"]) == {"unpruned", "magnitude", "+ftmagnitude", "pipelineddsp"}
    for metric in ("perplexity", "perplexity_one_row", "bits_per_byte", "macs_per_token", "parameters"):
        one, other = (
            table.loc[(table["method"] == "unpruned") & (table["metric"] == metric)].set_index("split")["value"]
            for table in (before, after)
        )
        assert one.to_dict() == other.to_dict() != {}
    assert "train_seconds" in set(before["metric"])
    assert "train_seconds" not in set(after["metric"])
    assert trained.config.models["streams"].architecture == finished.config.models["streams"].architecture


def test_what_does_not_fit_is_refused(text: Path, trained: Plan, pieces: Path, tmp_path: Path) -> None:
    model = {"dataset": "letters", "checkpoint": str(trained.folder / "dense/streams/s1.pt")}
    methods = [{"name": "unpruned"}]
    with pytest.raises(ValueError, match=r"methods\[1\]: 'dsp.pipelined' trains, and model 'streams' is given"):
        load(profile_of(text, tmp_path, model, methods=[*methods, {"name": "dsp", "arm": "pipelined"}]))
    with pytest.raises(ValueError, match=r"models.streams.checkpoint: there is no checkpoint .*nowhere.pt"):
        load(profile_of(text, tmp_path, model | {"checkpoint": "nowhere.pt"}, methods=methods))
    other = shutil.copytree(text, tmp_path / "other")
    (other / "train.txt").write_text((text / "train.txt").read_text(encoding="utf-8") * 2 + "more\n", encoding="utf-8")
    cells = pd.read_parquet(run(profile_of(other, tmp_path, model, methods=methods)).folder / "cells.parquet")
    assert set(cells["status"]) == {"failed"}
    message = r"its dictionary of the decoder has \d+ symbols, that in .*s1\.pt 24, or others: give the data"
    assert cells["reason"].str.contains(message).all(), cells["reason"][0]
