"""A results folder as the jobs before have left it: prepared data, and an unpruned model with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from headprune import removal
from headprune.config import load
from headprune.data import TranslationRecipe, corpus, prepare, read_pairs
from headprune.heads import HeadMask
from headprune.pipeline.cells import Cell, Job
from headprune.pipeline.jobs import attempt
from headprune.pipeline.plan import Plan
from headprune.pipeline.progress import Reporter
from headprune.pipeline.specification import specification
from headprune.pipeline.store import Record, read_json, write_json
from headprune.results.jobs import JOBS
from headprune.results.provenance import file_sha256
from headprune.tasks.translation.arguments import arguments
from headprune.tasks.translation.corpus import TranslationCorpus
from headprune.training.trainer import configuration

# N = 12: an encoder, a cross and a decoder module of four heads
CONFIG: dict[str, Any] = {
    "profile": "unit",
    "seeds": [1],
    "budgets": [8, 5],
    "datasets": {"help": {"corpus": "lohelp-de-en"}},
    "models": {
        "tiny": {
            "dataset": "help",
            "architecture": {
                "width": 16,
                "feed_forward": 16,
                "encoder_layers": 1,
                "decoder_layers": 1,
                "heads": 4,
                "dropout": 0.0,
            },
            "training": {"updates": 4, "max_tokens": 300, "learning_rate": 0.005, "warmup": 1, "schedule": "linear"},
        }
    },
    "evaluation": {"beam": 1, "max_len_a": 0.0, "max_len_b": 4, "checked_sentences": 2},
    "calibration": {"sentences": 30},
}


@dataclass
class Run:
    """A plan and its results folder."""

    plan: Plan

    def job(self, kind: str, label: str, budget: int | None = None) -> Record:
        """Runs one job of seed 1; returns its receipt."""
        job = Job(kind, "tiny", label=label, budget=budget, seed=1)
        assert job in self.plan.jobs
        return attempt(JOBS[kind], specification(self.plan, job), Reporter(self.plan.folder, job.name))[1]

    def cells(self, label: str) -> list[Cell]:
        return self.plan.grid.cells_of("tiny", label, 1)

    def path(self, cell: Cell) -> Path:
        return self.plan.folder / "cells" / cell.id

    def record(self, cell: Cell) -> Record:
        record: Record = read_json(self.path(cell) / "pruned.json")
        return record

    def model(self, cell: Cell) -> Any:
        return removal.load(self.path(cell) / "model.pt")

    @property
    def dense(self) -> Any:
        return removal.load(self.plan.folder / "dense" / "tiny" / "s1.pt")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> TranslationCorpus:
    """A few short sentence pairs of an embedded corpus: 80 for training, 12 and 4 for validation and test."""
    folder = tmp_path_factory.mktemp("small") / "small-de-en"
    folder.mkdir()
    for split, size in (("train", 80), ("valid", 12), ("test", 4)):
        pairs = [pair for pair in read_pairs(corpus("lohelp-de-en"), split) if max(map(len, pair)) < 30][:size]
        (folder / f"{split}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    prepare(corpus(folder), TranslationRecipe(vocabulary=150), folder.parent / "prepared")
    return TranslationCorpus(folder.parent / "prepared")


@pytest.fixture
def start(small: TranslationCorpus, tmp_path: Path) -> Callable[..., Run]:
    """`start(methods, treatments, name, weights)`: a run of these entries; of one name, in one folder.

    `weights`: seed of the unpruned model's
    """

    def start(
        methods: list[dict[str, Any]], treatments: Any = (), name: str = "run", weights: int = 1, **changes: Any
    ) -> Run:
        entries = {"methods": methods, "treatments": list(treatments), "results": str(tmp_path / name)}
        run = Run(Plan(load(CONFIG | entries | changes)))
        dense = run.plan.folder / "dense" / "tiny" / "s1.pt"
        if not dense.exists():
            (run.plan.folder / "data").mkdir(parents=True)
            (run.plan.folder / "data" / "help").symlink_to(small.folder)
            model = run.plan.config.models["tiny"]
            argv = arguments(small.binarised, small.pair, model.architecture, model.training)
            torch.manual_seed(weights)
            removal.save(small.task.build_model(configuration(argv).model), dense)
            known = {"status": "ok", "reason": "", "seconds": 7.5, "sha256": file_sha256(dense)}
            write_json(dense.with_suffix(".json"), known)
        return run

    return start


@pytest.fixture
def mask() -> Callable[[Record], HeadMask]:
    """The mask in a record."""
    from headprune.pipeline.stages.treat import mask_of

    return mask_of
