"""A whole run, as its jobs leave it: two tiny models, one that translates and one of language, trained for real."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from headprune.config import load
from headprune.data import corpus, read_pairs
from headprune.pipeline import jobs
from headprune.pipeline.collect import collect
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import specification
from tests.damaging import lent

LAYERS = {"encoder_layers": 1, "decoder_layers": 1, "heads": 2}
OPTIMISATION = {"updates": 4, "learning_rate": 0.005, "warmup": 1, "schedule": "linear"}
CONFIG: dict[str, Any] = {
    "profile": "whole",
    "seeds": [1],
    "budgets": [3],
    "models": {
        "tiny": {
            "dataset": "help",
            "architecture": {"width": 16, "feed_forward": 16, "dropout": 0.0, **LAYERS},
            "training": {"max_tokens": 300, **OPTIMISATION},
        },
        "text": {
            "track": "lm",
            "dataset": "words",
            "budgets": [2],
            "architecture": {"width": 16, "layers": 2, "heads": 2, "persistent": 4, "segment": 8, "memory": 8},
            "training": {"rows": 2, **OPTIMISATION},
        },
    },
    "methods": [{"name": "magnitude"}, {"name": "dsp", "arm": "pipelined", "updates": 3, "models": ["tiny"]}],
    "ablations": [{"kind": "drop_one", "samples": 20, "models": ["tiny"]}],
    "evaluation": {
        "beam": 1,
        "max_len_a": 0.0,
        "max_len_b": 4,
        "checked_sentences": 2,
        "translate_valid": True,
        "rows": 2,
    },
    "calibration": {"sentences": 10, "windows": 4},
    "speed": {"sentences": 1, "batch_size": 2, "repeats": 1, "most_repeats": 1},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """All jobs have run, and the tables are collected."""
    folder = tmp_path_factory.mktemp("finished")
    pairs, words = folder / "small-de-en", folder / "words"
    pairs.mkdir()
    words.mkdir()
    for split, size in (("train", 60), ("valid", 8), ("test", 6)):
        chosen = [pair for pair in read_pairs(corpus("lohelp-de-en"), split) if max(map(len, pair)) < 30][:size]
        (pairs / f"{split}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in chosen), encoding="utf-8")
        (words / f"{split}.txt").write_text("".join(f"{b} .\n" for _, b in chosen), encoding="utf-8")
    datasets = {
        "help": {"corpus": str(pairs), "vocabulary": 150},
        "words": {"track": "lm", "corpus": str(words), "units": "words", "vocabulary": None},
    }
    plan = Plan(load(CONFIG | {"datasets": datasets, "results": str(folder / "results")}))
    deterministic = torch.are_deterministic_algorithms_enabled()
    for job in plan.jobs:
        jobs.run(job.kind, specification(plan, job), plan.folder / job.receipt)
    torch.use_deterministic_algorithms(deterministic)
    assert collect(plan) == {"ok": len(plan.cells)}
    return plan


@pytest.fixture(scope="session")
def copy(finished: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(finished.folder, tmp_path_factory.mktemp("copy") / "whole"))


@pytest.fixture
def copied(finished: Plan, copy: Path, tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """A copy of the results that a test may change."""
    with lent(copy, finished.folder, tmp_path / "whole") as folder:
        yield lambda: folder
