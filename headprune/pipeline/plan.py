"""The cells of a profile and the jobs that compute them. Pure arithmetic: nothing is read, written or trained.

Jobs are units of scheduling, cells are units of results. Short cells of one kind share a job, a *batch*, because
importing torch and fairseq costs seconds; cells of a batch that are done already are kept when it runs again:

    data(dataset) ─ dense(model, seed) ─┬─ score(model, batch, seed)           one ranking a method, all budgets
                                        └─ gates(model, label, budget, seed)   one training
    score, gates ─ test(model, batch, seed) ─ speed(model, seed) ─ collect

Every job writes one receipt, `jobs/<kind>/….json`; it is what Snakemake sees.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headprune.config import Config, ConfigError, Method

# Seconds of one 2.5 GHz core per update, token and parameter of training, and per cell of everything else; measured on
# a small model, good for an estimate within a factor of two.
TRAINING_COST = 1.2e-10
CELL_COST = 8.0
START_UP = 6.0


@dataclass(frozen=True)
class Cell:
    """One (model, method arm, draw, budget, seed)."""

    model: str
    method: str
    arm: str
    draw: int  # 0: the method is not drawn repeatedly
    budget: int
    seed: int
    n_heads: int

    @property
    def full_arm(self) -> str:
        """The arm as it stands in the tables: draws are arms of their own."""
        draw = f"draw{self.draw}" if self.draw else ""
        return "-".join(part for part in (self.arm, draw) if part)

    @property
    def id(self) -> str:
        label = f"{self.method}.{self.full_arm}" if self.full_arm else self.method
        return f"{self.model}/{label}/k{self.budget}-s{self.seed}"


@dataclass(frozen=True)
class Job:
    """One process. `receipt` is relative to the results folder of the profile."""

    kind: str
    model: str = ""
    dataset: str = ""
    label: str = ""  # of a method entry, or the name of a batch of them
    budget: int | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        parts = [self.dataset or self.model, self.label]
        parts += [
            f"k{self.budget}" if self.budget is not None else "",
            f"s{self.seed}" if self.seed is not None else "",
        ]
        return "/".join([self.kind, *(part for part in parts if part)])

    @property
    def receipt(self) -> str:
        return f"jobs/{self.name}.json"


class Plan:
    """All cells and jobs of a configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.folder: Path = config.folder
        self._registry = config.registry()

    def method(self, label: str) -> Method:
        return next(method for method in self.config.methods if method.label == label)

    def kind(self, label: str) -> str:
        """`score` or `gate`."""
        return self._registry[self.method(label).name].kind

    def file_of(self, label: str) -> Path:
        """The file that defines the method of an entry."""
        return self._registry[self.method(label).name].file

    def directories_of(self, labels: list[str]) -> list[str]:
        """Those of `methods_directories` that define the methods of these entries."""
        folders = {self.file_of(label).parent for label in labels}
        return [name for name in self.config.methods_directories if Path(name).resolve() in folders]

    def check_writable(self) -> None:
        """:raises ConfigError: the results folder, or the nearest folder above it that exists, cannot be written."""
        existing = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            raise ConfigError(
                f"results: {str(self.folder)!r} cannot be written: {existing}: {error.strerror}"
            ) from None

    def seeds(self, method: Method) -> list[int]:
        return method.seeds if method.seeds is not None else self.config.seeds

    def budgets(self, method: Method, model: str) -> list[int]:
        """Largest first; the method that prunes nothing has one, N."""
        if not getattr(self._registry[method.name].method, "prunes", True):
            return [self.config.models[model].architecture.n_heads]
        return sorted(method.budgets if method.budgets is not None else self.config.budgets, reverse=True)

    @cached_property
    def cells(self) -> list[Cell]:
        cells = []
        for model, settings in self.config.models.items():
            total = settings.architecture.n_heads
            for m in self.config.methods:
                for seed in self.seeds(m):
                    draws = range(1, m.draws + 1) if m.draws > 1 else (0,)
                    cells += [
                        Cell(model, m.name, m.arm, draw, budget, seed, total)
                        for draw in draws
                        for budget in self.budgets(m, model)
                    ]
        return cells

    def cells_of(self, model: str, label: str, seed: int, budget: int | None = None) -> list[Cell]:
        """The cells of one method entry and seed, at all budgets or one."""
        entry = self.method(label)
        return [
            cell
            for cell in self.cells
            if (cell.model, cell.method, cell.arm, cell.seed) == (model, entry.name, entry.arm, seed)
            and budget in (None, cell.budget)
        ]

    def needs_dense(self, label: str) -> bool:
        """Joint gate methods start from the data, everything else from the trained model."""
        return not (self.kind(label) == "gate" and self.method(label).mode == "joint")

    def batches(self, seed: int) -> dict[str, list[str]]:
        """The labels whose short cells share a process, by the name of the batch."""
        labels = self.labels_of(seed)
        if self.config.batch == "method":
            return {label: [label] for label in labels}
        kinds = {f"all-{kind}": [label for label in labels if self.kind(label) == kind] for kind in ("score", "gate")}
        return {name: members for name, members in kinds.items() if members}

    def batch(self, job: Job) -> list[str]:
        """The labels of the batch that a `score` or `test` job computes."""
        return self.batches(job.seed or 0)[job.label]

    def pruning_jobs(self, model: str, batch: str, seed: int) -> list[Job]:
        """The jobs that find the masks of a batch."""
        labels = self.batches(seed)[batch]
        jobs = [Job("score", model, label=batch, seed=seed)] if any(self.kind(x) == "score" for x in labels) else []
        for label in labels:
            if self.kind(label) == "gate":
                budgets = self.budgets(self.method(label), model)
                jobs += [Job("gates", model, label=label, budget=budget, seed=seed) for budget in budgets]
        return jobs

    def dense_seeds(self, model: str) -> list[int]:
        seeds = {s for m in self.config.methods if self.needs_dense(m.label) for s in self.seeds(m)}
        return sorted(seeds)

    def all_seeds(self) -> list[int]:
        return sorted({seed for method in self.config.methods for seed in self.seeds(method)})

    def labels_of(self, seed: int) -> list[str]:
        return [method.label for method in self.config.methods if seed in self.seeds(method)]

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs but `collect`, in an order in which they can run."""
        used = dict.fromkeys(model.dataset for model in self.config.models.values())
        return [Job("data", dataset=name) for name in used] + list(self._model_jobs())

    def _model_jobs(self) -> Iterator[Job]:
        for model in self.config.models:
            yield from (Job("dense", model, seed=seed) for seed in self.dense_seeds(model))
            for seed in self.all_seeds():
                for batch in self.batches(seed):
                    yield from self.pruning_jobs(model, batch, seed)
                yield from (Job("test", model, label=batch, seed=seed) for batch in self.batches(seed))
                yield Job("speed", model, seed=seed)

    def estimate(self, job: Job) -> float:
        """Seconds of one core that a job takes, roughly."""
        if job.kind == "data":
            return START_UP + 10
        settings = self.config.models[job.model]
        training = settings.training
        update = TRAINING_COST * training.max_tokens * training.update_freq * self._parameters(job.model)
        if job.kind == "dense":
            return START_UP + training.updates * update
        if job.kind == "gates":
            method = self.method(job.label)
            updates = training.updates if method.mode == "joint" else method.updates or training.updates
            return START_UP + updates * update + CELL_COST / 2
        return START_UP + len(self.cells_in(job)) * (CELL_COST / 4 if job.kind in ("score", "speed") else CELL_COST)

    def _parameters(self, model: str) -> int:
        a = self.config.models[model].architecture
        layer = 4 * a.width**2 + 2 * a.width * a.feed_forward
        embeddings = self.config.datasets[self.config.models[model].dataset].vocabulary * a.width
        return a.encoder_layers * layer + a.decoder_layers * (layer + 4 * a.width**2) + 2 * embeddings

    def specification(self, job: Job) -> dict[str, Any]:
        """What a job depends on, as plain data: its parameters for Snakemake, and nothing that it does not use."""
        config = self.config
        spec: dict[str, Any] = {"kind": job.kind, "results": str(self.folder), "job": job.name}
        if job.kind == "data":
            return spec | {"dataset": job.dataset, "recipe": _plain(config.datasets[job.dataset])}
        model = config.models[job.model]
        spec |= {"model": job.model, "seed": job.seed, "dataset": model.dataset, "settings": _plain(model)}
        if job.kind == "dense":
            return spec
        spec |= {"evaluation": _plain(config.evaluation), "cells": [vars(cell) for cell in self.cells_in(job)]}
        if job.kind in ("score", "gates"):
            spec["methods"] = [_plain(self.method(label)) for label in self.labels_in(job)]
            spec["directories"] = self.directories_of(self.labels_in(job))
        if job.kind == "score":
            spec["calibration"] = _plain(config.calibration)
        if job.kind == "speed":
            spec["speed"] = _plain(config.speed)
        return spec

    def labels_in(self, job: Job) -> list[str]:
        """The method entries that a job has to do with."""
        if job.kind == "gates":
            return [job.label]
        labels = self.labels_of(job.seed or 0) if job.kind == "speed" else self.batch(job)
        return [label for label in labels if job.kind != "score" or self.kind(label) == "score"]

    def cells_in(self, job: Job) -> list[Cell]:
        """The cells that a job computes a part of."""
        seed = job.seed or 0
        return [cell for label in self.labels_in(job) for cell in self.cells_of(job.model, label, seed, job.budget)]


def _plain(section: Any) -> dict[str, Any]:
    """Non-default values only: adding an option with a default does not change what exists."""
    return dict(section.model_dump(exclude_defaults=True))
