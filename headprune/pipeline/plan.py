"""The cells of a profile and the jobs that compute them. Pure arithmetic: nothing is read, written or trained.

Jobs are units of scheduling, cells are units of results. Short cells of one kind share a job, a *batch*, because
importing torch and fairseq costs seconds; cells of a batch that are done already are kept when it runs again:

    data(dataset) ─ dense(model, seed) ─┬─ score(model, batch, seed)           one ranking a method, all budgets
                                        ├─ gates(model, label, budget, seed)   one training
                                        └─ search(model, label, seed)          trainings that serve all budgets
    score, gates, search ─┬─ treat(model, label, seed)            another mask or other biases
                          └─ retrain(model, label, budget, seed)  one training of the pruned model
    all of these ─ test(model, batch, seed) ─ speed(model, seed) ─ collect
    dense ─ ablate(model, kind, seed) ─ collect

Every job writes one receipt, `jobs/<kind>/….json`; it is what Snakemake sees.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headprune.config import Ablation, Config, ConfigError, Method, Treatment
from headprune.config.lengths import bounds
from headprune.config.rules import treated_by
from headprune.method import Entry
from headprune.pipeline import limits
from headprune.pipeline.cells import PRUNING, Cell, Job

LEAST_SPACE = 64 * 2**20  # bytes that must be free before anything begins: less than any run takes


@dataclass(frozen=True)
class Treated:
    """A treatment of the cells of one method entry."""

    treatment: Treatment
    base: Method

    @property
    def label(self) -> str:
        """`dsp.joint+ft`"""
        return f"{self.base.label}+{self.treatment.suffix}"


class Plan:
    """All cells and jobs of a configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.folder: Path = config.folder
        self._registry = config.registry()
        self._methods = {method.label: method for method in config.methods}
        treated = [Treated(t, base) for t in config.treatments for base in treated_by(config, t, self._registry)]
        self._treated = {entry.label: entry for entry in treated}
        # Asked for again and again while Snakemake plans; by model and seed.
        self._labels_of: dict[tuple[str, int], list[str]] = {}
        self._batches: dict[tuple[str, int], dict[str, list[str]]] = {}
        limits.check_size(self)

    def method(self, label: str) -> Method:
        """The method entry of a label; of a treated one, the entry whose masks it takes."""
        return self._treated[label].base if label in self._treated else self._methods[label]

    def treatment(self, label: str) -> Treatment | None:
        return self._treated[label].treatment if label in self._treated else None

    @property
    def labels(self) -> list[str]:
        """Of all entries, treated ones last."""
        return [*self._methods, *self._treated]

    def kind(self, label: str) -> str:
        """The kind of job that finds the masks of an entry: `score`, `gates`, `search`, `treat` or `retrain`."""
        if (treatment := self.treatment(label)) is not None:
            return "retrain" if treatment.trains else "treat"
        entry = self.entry(label)
        if entry.kind == "score":
            return "score"
        return "gates" if entry.method.per_budget else "search"  # type: ignore[attr-defined]

    def entry(self, label: str) -> Entry:
        """The registered method of an entry."""
        return self._registry[self.method(label).name]

    def file_of(self, label: str) -> Path:
        """The file that defines the method of an entry."""
        return self.entry(label).file

    def directories_of(self, labels: list[str]) -> list[str]:
        """Those of `methods_directories` that define the methods of these entries."""
        folders = {self.file_of(label).parent for label in labels}
        return [name for name in self.config.methods_directories if Path(name).resolve() in folders]

    def check_writable(self) -> None:
        """:raises ConfigError: the results folder, or the nearest one that exists, cannot be written or is full, or
        the names of its files would be too long."""
        limits.check_names(self)
        existing = next(path for path in (self.folder, *self.folder.absolute().parents) if os.path.lexists(path))
        try:
            with tempfile.TemporaryFile(dir=existing) as file:
                file.write(b"x")
            if (free := shutil.disk_usage(existing).free) < LEAST_SPACE:
                room = f"only {free / 2**20:.1f} MiB are free, {LEAST_SPACE / 2**20:.0f} are needed"
                raise OSError(errno.ENOSPC, room)
        except OSError as error:
            raise ConfigError(
                f"results: {str(self.folder)!r} cannot be written: {existing}: {error.strerror}"
            ) from None

    def check_data(self) -> None:
        """:raises ConfigError: data that are prepared already do not fit this profile: a sentence is too long."""
        for name in dict.fromkeys(model.dataset for model in self.config.models.values()):
            dataset, folder = self.config.datasets[name], self.folder / "data" / name
            try:
                dataset.check_prepared(folder, bounds(self.config, name))
            except ValueError as error:
                raise ConfigError(f"datasets.{name}: {error}") from None

    def seeds(self, label: str, model: str) -> list[int]:
        """Those of the entry that the model has; of a treated entry those that its method has, too."""
        method, treatment = self.method(label), self.treatment(label)
        seeds = method.seeds if method.seeds is not None else self.config.seeds
        limits = (self.config.models[model].seeds, treatment.seeds if treatment else None)
        return [seed for seed in seeds if all(limit is None or seed in limit for limit in limits)]

    def budgets(self, label: str, model: str) -> list[int]:
        """Largest first; the method that prunes nothing has one, N; a treated entry those that its method has, too."""
        method, treatment = self.method(label), self.treatment(label)
        if not getattr(self.entry(label).method, "prunes", True):
            return [self.config.models[model].architecture.n_heads]
        budgets = method.budgets if method.budgets is not None else self.config.budgets_of(model)
        if treatment is not None and treatment.budgets is not None:
            budgets = [budget for budget in budgets if budget in treatment.budgets]
        return sorted(budgets, reverse=True)

    @cached_property
    def cells(self) -> list[Cell]:
        return [cell for cells in self._cells.values() for cell in cells]

    @cached_property
    def _cells(self) -> dict[tuple[str, str, int], list[Cell]]:
        """By model, label and seed."""
        cells = {}
        for model, settings in self.config.models.items():
            for label in self.labels_for(model):
                m, treatment = self.method(label), self.treatment(label)
                suffix = treatment.suffix if treatment else ""
                for seed in self.seeds(label, model):
                    cells[model, label, seed] = [
                        Cell(model, m.name, m.arm, draw, budget, seed, settings.architecture.n_heads, suffix, again)
                        for draw in _draws(m.draws)
                        for again in _draws(treatment.draws if treatment else 1)
                        for budget in self.budgets(label, model)
                    ]
        return cells

    def cells_of(self, model: str, label: str, seed: int, budget: int | None = None) -> list[Cell]:
        """The cells of one entry and seed, at all budgets or one."""
        return [cell for cell in self._cells.get((model, label, seed), []) if budget in (None, cell.budget)]

    def needs_dense(self, label: str) -> bool:
        """Whether an entry starts from, or learns from, the unpruned model. Joint methods start from the data."""
        treatment = self.treatment(label)
        if treatment is not None and treatment.trains:
            return treatment.distillation > 0
        return treatment is not None or self.kind(label) == "score" or self.method(label).mode != "joint"

    def shares_with(self, model: str, label: str, seed: int) -> str | None:
        """The entry before this one whose trainings a `search` shares: it waits for them instead of repeating them."""
        mine = self._training_of(label)
        earlier = [other for other in self.labels_of(model, seed) if self.kind(other) == "search"]
        earlier = earlier[: earlier.index(label)] if label in earlier else []
        return next((other for other in reversed(earlier) if self._training_of(other) == mine), None)

    def _training_of(self, label: str) -> object:
        method = self.method(label)
        options = self.entry(label).training_options(method.options)
        keys = ("name", "mode", "updates", "learning_rate", "schedule", "update_freq", "scope")
        return tuple(getattr(method, key) for key in keys), options

    def batches(self, model: str, seed: int) -> dict[str, list[str]]:
        """The labels whose short cells share a process, by the name of the batch."""
        if (model, seed) not in self._batches:
            self._batches[model, seed] = self._find_batches(model, seed)
        return self._batches[model, seed]

    def _find_batches(self, model: str, seed: int) -> dict[str, list[str]]:
        labels = self.labels_of(model, seed)
        if self.config.batch == "method":
            return {label: [label] for label in labels}
        kinds = {"score": "all-score", "gates": "all-gate", "search": "all-gate"}
        found: dict[str, list[str]] = {}
        for label in labels:
            found.setdefault(kinds.get(self.kind(label), "all-treated"), []).append(label)
        return found

    def batch(self, job: Job) -> list[str]:
        """The labels of the batch that a `score` or `test` job computes."""
        return self.batches(job.model, job.seed or 0)[job.label]

    def batch_of(self, model: str, label: str, seed: int) -> str:
        return next(name for name, members in self.batches(model, seed).items() if label in members)

    def jobs_of(self, model: str, label: str, seed: int, budgets: list[int] | None = None) -> list[Job]:
        """The jobs that find the masks of one entry and seed, at some of its budgets or all."""
        kind = self.kind(label)
        if kind == "score":
            return [Job("score", model, label=self.batch_of(model, label, seed), seed=seed)]
        if kind in ("search", "treat"):
            return [Job(kind, model, label=label, seed=seed)]
        chosen = [budget for budget in self.budgets(label, model) if budgets is None or budget in budgets]
        return [Job(kind, model, label=label, budget=budget, seed=seed) for budget in chosen]

    def pruning_jobs(self, model: str, batch: str, seed: int) -> list[Job]:
        """The jobs that find the masks of a batch."""
        jobs = [job for label in self.batches(model, seed)[batch] for job in self.jobs_of(model, label, seed)]
        return list(dict.fromkeys(jobs))

    def needs(self, job: Job) -> list[Job]:
        """What a job that finds masks, or an ablation, waits for."""
        seed = job.seed or 0
        dense = Job("dense", job.model, seed=seed)
        if job.kind in ("score", "ablate"):
            return [dense]
        data = Job("data", dataset=self.config.models[job.model].dataset)
        jobs = [dense if self.needs_dense(job.label) else data]
        if job.kind == "search" and (other := self.shares_with(job.model, job.label, seed)):
            jobs.append(Job("search", job.model, label=other, seed=seed))
        if job.kind in ("treat", "retrain"):
            budgets = None if job.budget is None else [job.budget]
            jobs += self.jobs_of(job.model, self.method(job.label).label, seed, budgets)
        return jobs

    def dense_seeds(self, model: str) -> list[int]:
        seeds = {s for label in self.labels_for(model) if self.needs_dense(label) for s in self.seeds(label, model)}
        return sorted(seeds.union(*(self.ablated_seeds(model, ablation) for ablation in self.config.ablations)))

    def ablated_seeds(self, model: str, ablation: Ablation) -> list[int]:
        if ablation.models is not None and model not in ablation.models:
            return []
        own = self.config.models[model].seeds
        seeds = ablation.seeds if ablation.seeds is not None else self.config.seeds
        return [seed for seed in seeds if own is None or seed in own]

    def all_seeds(self, model: str) -> list[int]:
        return sorted({seed for label in self.labels_for(model) for seed in self.seeds(label, model)})

    def labels_for(self, model: str) -> list[str]:
        """The entries that are for a model."""
        return [
            label
            for label in self.labels
            if self.method(label).covers(model) and ((t := self.treatment(label)) is None or t.covers(model))
        ]

    def labels_of(self, model: str, seed: int) -> list[str]:
        """The entries of a model and seed."""
        if (model, seed) not in self._labels_of:
            found = [label for label in self.labels_for(model) if seed in self.seeds(label, model)]
            self._labels_of[model, seed] = found
        return self._labels_of[model, seed]

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs but `collect`, in an order in which they can run."""
        used = dict.fromkeys(model.dataset for model in self.config.models.values())
        return [Job("data", dataset=name) for name in used] + list(self._model_jobs())

    def _model_jobs(self) -> Iterator[Job]:
        for model in self.config.models:
            yield from (Job("dense", model, seed=seed) for seed in self.dense_seeds(model))
            for seed in self.all_seeds(model):
                for batch in self.batches(model, seed):
                    yield from self.pruning_jobs(model, batch, seed)
                yield from (Job("test", model, label=batch, seed=seed) for batch in self.batches(model, seed))
                yield Job("speed", model, seed=seed)
            for ablation in self.config.ablations:
                yield from (
                    Job("ablate", model, label=ablation.kind, seed=s) for s in self.ablated_seeds(model, ablation)
                )

    def specification(self, job: Job) -> dict[str, Any]:
        """What a job depends on, as plain data: its parameters for Snakemake, and nothing that it does not use."""
        config = self.config
        spec: dict[str, Any] = {"kind": job.kind, "results": str(self.folder), "job": job.name}
        if job.kind == "data":
            return spec | {"dataset": job.dataset, "recipe": _plain(config.datasets[job.dataset])}
        model = config.models[job.model]
        spec |= {"model": job.model, "seed": job.seed, "dataset": model.dataset}
        spec["settings"] = model.model_dump(exclude_defaults=True, exclude={"budgets", "seeds"})
        if job.kind == "dense":
            return spec
        spec["evaluation"] = _plain(config.evaluation)
        if job.kind == "ablate":
            ablation = next(a for a in config.ablations if a.kind == job.label)
            return spec | {"ablation": ablation.model_dump(exclude_defaults=True, exclude={"seeds"})}
        spec["cells"] = [vars(cell) for cell in self.cells_in(job)]
        if job.kind in PRUNING:
            spec["methods"] = [_plain(self.method(label)) for label in self.labels_in(job)]
            spec["directories"] = self.directories_of(self.labels_in(job))
            spec["calibration"] = _plain(config.calibration)
        if job.kind in ("treat", "retrain"):
            treatment = self.treatment(job.label)
            assert treatment is not None
            spec["treatment"] = treatment.model_dump(exclude_defaults=True, exclude={"of"})
        if job.kind == "speed":
            spec["speed"] = _plain(config.speed)
        return spec

    def labels_in(self, job: Job) -> list[str]:
        """The entries that a job has to do with."""
        if job.kind in PRUNING and job.kind != "score":
            return [job.label]
        labels = self.labels_of(job.model, job.seed or 0) if job.kind == "speed" else self.batch(job)
        return [label for label in labels if job.kind != "score" or self.kind(label) == "score"]

    def cells_in(self, job: Job) -> list[Cell]:
        """The cells that a job computes a part of."""
        seed = job.seed or 0
        return [cell for label in self.labels_in(job) for cell in self.cells_of(job.model, label, seed, job.budget)]


def _draws(number: int) -> tuple[int, ...]:
    """Numbers of the draws; a single one has none."""
    return tuple(range(1, number + 1)) if number > 1 else (0,)


def _plain(section: Any) -> dict[str, Any]:
    """Non-default values only: adding an option with a default does not change what exists."""
    return dict(section.model_dump(exclude_defaults=True))
