"""Every standard corpus, from archives of a few hundred lines to the evaluation of a model that was trained on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import torch

from headprune.config import load
from headprune.data.standard import STANDARD, folder_of, wmt14
from headprune.pipeline import jobs
from headprune.pipeline.collect import collect
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import specification
from tests.data import archives, loopback

# Those of a recipe of their own: the other direction of Multi30k and the larger WikiText are built by the same code.
RECIPES = [name for name in STANDARD if name not in ("multi30k", "wikitext103")]
OPTIMISATION = {"updates": 3, "learning_rate": 0.005, "warmup": 1, "schedule": "linear"}
TRANSLATION = {"width": 16, "feed_forward": 16, "dropout": 0.0, "encoder_layers": 1, "decoder_layers": 1, "heads": 2}
LANGUAGE = {"width": 16, "layers": 2, "heads": 2, "persistent": 4, "segment": 8, "memory": 8}
CONFIG: dict[str, Any] = {
    "profile": "recipes",
    "seeds": [1],
    "budgets": [2],
    "methods": [{"name": "unpruned"}, {"name": "magnitude"}],
    "evaluation": {"beam": 1, "max_len_a": 0.0, "max_len_b": 4, "checked_sentences": 2, "rows": 2, "one_row": False},
    "calibration": {"sentences": 10, "windows": 4},
    "speed": {"sentences": 1, "batch_size": 2, "repeats": 1, "most_repeats": 1},
}


def section(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sections of a dataset and of a model."""
    if STANDARD[name].kind == "pairs":
        return {"corpus": name, "vocabulary": 100}, {
            "dataset": name,
            "architecture": TRANSLATION,
            "training": OPTIMISATION | {"max_tokens": 300},
        }
    units = {"units": "bytes" if name == "enwik8" else "words", "vocabulary": None}
    return {"track": "lm", "corpus": name, **units}, {
        "track": "lm",
        "dataset": name,
        "architecture": LANGUAGE,
        "training": OPTIMISATION | {"rows": 2},
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """All of them, fetched from a server on this machine; everything in this process."""
    folder = tmp_path_factory.mktemp("recipes")
    with pytest.MonkeyPatch.context() as patch, loopback.running() as site:
        patch.setenv("HEADPRUNE_CACHE", str(folder / "cache"))
        patch.delenv("HEADPRUNE_MIRROR", raising=False)
        for name in RECIPES:
            patch.setitem(STANDARD, name, archives.served(STANDARD[name], site.serve))
        sections = {name: section(name) for name in RECIPES}
        datasets = {name: dataset for name, (dataset, _) in sections.items()}
        models = {f"{name}-model": model for name, (_, model) in sections.items()}
        plan = Plan(load(CONFIG | {"datasets": datasets, "models": models, "results": str(folder / "results")}))
        deterministic = torch.are_deterministic_algorithms_enabled()
        for job in plan.jobs:
            jobs.run(job.kind, specification(plan, job), plan.folder / job.receipt)
        torch.use_deterministic_algorithms(deterministic)
        assert collect(plan) == {"ok": len(plan.cells)}
        yield plan


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_from_its_archives_to_the_test(name: str, run: Plan) -> None:
    cells = pd.read_parquet(run.folder / "cells.parquet")
    own = cells[(cells["dataset"] == name) & (cells["split"] == "test")]
    quality = "bleu" if STANDARD[name].kind == "pairs" else "perplexity"
    assert sorted(own[own["metric"] == quality]["method"]) == ["magnitude", "unpruned"]
    assert set(own["status"]) == {"ok"}
    assert (own[own["metric"] == quality]["value"] >= 0).all()


@pytest.mark.parametrize("name", RECIPES)
def test_what_was_prepared_is_what_was_served(name: str, run: Plan) -> None:
    record = json.loads((folder_of(STANDARD[name]) / "corpus.json").read_text(encoding="utf-8"))
    assert all(file["from"].startswith("http://127.0.0.1") for file in record["files"].values())
    prepared = run.run.statistics(name)
    splits = json.loads(prepared.read_text(encoding="utf-8"))["splits"]
    counted = {split: counts["pairs" if record["kind"] == "pairs" else "lines"] for split, counts in splits.items()}
    assert min(counted.values()) > 0
    if record["kind"] == "pairs":
        assert counted == record["counts"]


def test_the_table_of_cleaning_adds_up(run: Plan) -> None:
    text = (folder_of(STANDARD["wmt14-en-de"]) / "cleaning.tsv").read_text(encoding="utf-8")
    head, *rows = [line.split("\t") for line in text.splitlines()]
    assert head == ["corpus", "pairs", *wmt14.FATES]
    assert [row[0] for row in rows] == list(wmt14.CORPORA.values())
    assert all(int(row[1]) == sum(map(int, row[2:])) == 200 for row in rows)
    assert sum(int(row[3]) for row in rows) == 6  # every hundredth
