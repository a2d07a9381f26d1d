"""The profile of MultiNLI, shrunk, from an archive on this machine and a released model to tables."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from headprune.config import load
from headprune.data.sources import Source
from headprune.tasks.nli.corpora import judged_corpus, read_judged
from headprune.tasks.nli.standard import MNLI, STANDARD_JUDGED, archived
from tests.checkpoints.own_profile import run
from tests.data import archives, loopback
from tests.tasks import released_roberta

pytestmark = pytest.mark.slow

PROFILE = Path(__file__).parents[2] / "workflows/config/mnli.yaml"
FILES = {"train": "train.tsv", "test": "dev_mismatched.tsv"}
SIZES = {"train": 400, "test": 40}


def truncated() -> bytes:
    """MNLI.zip with a few lines in each file, its columns in their order; the text is that of verses."""
    members = {}
    for split, size in SIZES.items():
        rows = [("index", "sentence1", "sentence2", "gold_label")]
        examples = read_judged(judged_corpus("versenli"), split)[:size]
        rows += [(str(number), *example) for number, example in enumerate(examples)]
        members[f"MNLI/{FILES[split]}"] = "".join("\t".join(row) + "\n" for row in rows)
    return archives.zipped(members)


def shrunk(roberta: Path, results: Path) -> dict[str, Any]:
    """The profile with `gpt2` and `start` as its comments say, fewer heads, updates and budgets."""
    profile: dict[str, Any] = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    profile["datasets"]["mnli"] = {"track": "nli", "corpus": "mnli", "gpt2": str(roberta)}
    (model,) = profile["models"].values()
    model["architecture"] |= released_roberta.ARCHITECTURE
    model["start"] = {"checkpoint": str(roberta / "model.pt")}
    model["training"] |= {"updates": 3, "batch_size": 8, "checkpoint_every": None, "precision": "fp32"}
    for method in profile["methods"]:
        method |= {key: value for key, value in (("updates", 2), ("budgets", [2])) if key in method}
        if method.get("arm") == "iterative":
            method["options"]["step"] = 1
    small = {"sentences": 1, "batch_size": 2, "repeats": 1, "most_repeats": 1}
    return profile | {"budgets": [2], "results": str(results), "calibration": {"sentences": 20}, "speed": small}


def test_mnli_runs_from_its_archive_to_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HEADPRUNE_MIRROR", raising=False)
    roberta, content = released_roberta.write(tmp_path / "roberta.tiny"), truncated()
    with loopback.running() as site:
        address = site.serve("MNLI.zip", content)
        source = Source("MNLI.zip", (address,), len(content), {"sha256": hashlib.sha256(content).hexdigest()})
        small = replace(MNLI, routes=archived(source, FILES, percent=10), counts={"test": SIZES["test"]})
        monkeypatch.setitem(STANDARD_JUDGED, "mnli", small)
        plan = run(shrunk(roberta, tmp_path / "results"))
    cells = pd.read_parquet(plan.folder / "cells.parquet")
    assert set(cells["status"]) == {"ok"}, cells["reason"].unique()
    accuracies = cells[(cells["metric"] == "accuracy") & (cells["split"] == "test")]
    assert len(accuracies) == len(load(shrunk(roberta, tmp_path / "results")).methods) == 9
    assert (accuracies["value"] * SIZES["test"] % 1 < 1e-9).all()
    assert (cells.loc[cells["metric"] == "masked_vs_removed_max_abs", "value"] < 1e-5).all()
