"""The jobs that compute the cells of a profile, and what each waits for.

Jobs are units of scheduling, cells are units of results. Short cells of one kind share a job, a *batch*, because
importing torch and fairseq costs seconds; cells of a batch that are done already are kept when it runs again:

    data(dataset) ─ pretrain(model, seed), of a model whose trainings begin with weights ─ dense(model, seed), as below
    data(dataset) ─ dense(model, seed) ─┬─ score(model, batch, seed)           one ranking a method, all budgets
                                        ├─ gates(model, label, budget, seed)   one training
                                        └─ search(model, label, seed)          trainings that serve all budgets
    score, gates, search ─┬─ treat(model, label, seed)            another mask or other biases
                          └─ retrain(model, label, budget, seed)  one training of the pruned model
    all of these ─ test(model, batch, seed) ─ speed(model, seed) ─ collect
    dense ─ ablate(model, kind, seed) ─ collect
    dense ─ tune(model, label, trial, seed) ─ choose(model, label) ─ score, gates, search, where a profile tunes

Every job writes one receipt, `jobs/<kind>/….json`; it is what Snakemake sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from headprune.config import Config
from headprune.pipeline import limits
from headprune.pipeline.cells import Cell, Job
from headprune.pipeline.grid import Grid
from headprune.results.jobs import JOBS, JobKind, Need
from headprune.results.layout import RunFolder


class Plan:
    """All jobs of a configuration.

    :param folder: of the results, where it is not that of the configuration
    """

    def __init__(self, config: Config, folder: Path | None = None) -> None:
        self.config = config
        self.grid = Grid(config)
        self.run = RunFolder(folder or config.folder)
        self._batches: dict[tuple[str, int], dict[str, list[str]]] = {}  # asked for again and again, as labels are
        self._alike: dict[str, dict[tuple[str, int], tuple[str, int]]] = {}  # trials that share trainings, by model
        self._finders: dict[Need, Callable[[Job], list[Job]]] = {
            "data": self._data,
            "new": self._new,
            "dense": self._dense,
            "start": self._start,
            "shared": self._shared,
            "tried": lambda job: self.trial_jobs(job.model, job.label),
            "chosen": self._chosen,
            "masks": self._masks,
            "pruned": lambda job: self.pruning_jobs(job.model, job.label, job.seed or 0),
            "tested": self._tests,
        }
        limits.check_size(self.grid)

    @property
    def folder(self) -> Path:
        """Results of the profile."""
        return self.run.path

    @property
    def cells(self) -> list[Cell]:
        return self.grid.cells

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs but `collect`, in an order in which they can run."""
        calibrated_on = filter(None, [self.config.calibration.corpus])
        used = dict.fromkeys([*(model.dataset for model in self.config.models.values()), *calibrated_on])
        found = [Job(kind.name, dataset=name) for kind in JOBS.values() if kind.per == "dataset" for name in used]
        return found + [job for model in self.config.models for kind in JOBS.values() for job in self._per(kind, model)]

    def _per(self, kind: JobKind, model: str) -> Iterator[Job]:
        """The jobs of a kind that a model has."""
        grid = self.grid
        if kind.per == "begun model":
            yield from (Job(kind.name, model, seed=seed) for seed in grid.begun_seeds(model))
        elif kind.per == "unpruned model":
            seeds = [*grid.dense_seeds(model), *grid.tuning_seeds(model)]
            yield from (Job(kind.name, model, seed=seed) for seed in seeds)
        elif kind.per in ("seed", "timed seed"):
            seeds = [s for s in grid.all_seeds(model) if kind.per == "seed" or grid.timed_of(model, s)]
            yield from (Job(kind.name, model, seed=seed) for seed in seeds)
        elif kind.per == "ablation":
            for each in self.config.ablations:
                yield from (Job(kind.name, model, label=each.kind, seed=s) for s in grid.ablated_seeds(model, each))
        elif kind.per == "batch":
            for seed in grid.all_seeds(model):
                yield from (Job(kind.name, model, label=batch, seed=seed) for batch in self.batches(model, seed))
        elif kind.per == "trial":
            jobs = (job for label in grid.tuned_for(model) for job in self.trial_jobs(model, label))
            yield from (job for job in jobs if job.kind == kind.name)
        elif kind.per == "tuned entry":
            yield from (Job(kind.name, model, label=label) for label in grid.tuned_for(model))
        elif kind.per == "entry":
            labels = ((label, seed) for seed in grid.all_seeds(model) for label in grid.labels_of(model, seed))
            mine = ((label, seed) for label, seed in labels if grid.kind(label) == kind.name)
            yield from dict.fromkeys(job for label, seed in mine for job in self.jobs_of(model, label, seed))

    def needs(self, job: Job) -> list[Job]:
        """The jobs that a job waits for."""
        found = [need for name in JOBS[job.kind].after for need in self._finders[name](job)]
        other = self.config.calibration.corpus
        if other and "calibration" in JOBS[job.kind].told:
            found.append(Job("data", dataset=other))
        return list(dict.fromkeys(found))

    def _data(self, job: Job) -> list[Job]:
        return [Job("data", dataset=self.config.models[job.model].dataset)]

    def _new(self, job: Job) -> list[Job]:
        """The job after which a model can be trained anew: that of the weights it begins with, or the data."""
        start = self.config.models[job.model].begins_with
        if start is None:
            return self._data(job)
        return [Job("pretrain", job.model, seed=start.seed_for(job.seed or 0))]

    def _dense(self, job: Job) -> list[Job]:
        return [Job("dense", job.model, seed=job.seed)]

    def _start(self, job: Job) -> list[Job]:
        """The job that an entry starts from: that of the unpruned model, or the one of a new model."""
        return self._dense(job) if self.grid.needs_dense(job.label) else self._new(job)

    def _shared(self, job: Job) -> list[Job]:
        if job.trial is not None:
            before = self.shared_trial(job)
            return [before] if before else []
        other = self.shares_with(job.model, job.label, job.seed or 0)
        return [Job(job.kind, job.model, label=other, seed=job.seed)] if other else []

    def _chosen(self, job: Job) -> list[Job]:
        """The jobs that choose the options of the entries of a job."""
        tuned = (label for label in self.labels_in(job) if self.grid.method(label).tuned)
        return [Job("choose", job.model, label=label) for label in tuned]

    def trial_jobs(self, model: str, label: str) -> list[Job]:
        """The jobs of all trials of an entry, by trial and seed; none where another run has chosen."""
        kind, trials = "tune_score" if self.grid.kind(label) == "score" else "tune_gates", self.grid.trials(label)
        numbers, seeds = range(len(trials)), self.grid.tried_seeds
        return [Job(kind, model, label=label, trial=trial, seed=seed) for trial in numbers for seed in seeds]

    def _masks(self, job: Job) -> list[Job]:
        """The jobs that find the masks which a treatment takes."""
        budgets = None if job.budget is None else [job.budget]
        return self.jobs_of(job.model, self.grid.method(job.label).label, job.seed or 0, budgets)

    def _tests(self, job: Job) -> list[Job]:
        seed, mine = job.seed or 0, set(self.labels_in(job))
        batches = self.batches(job.model, seed).items()
        return [Job("test", job.model, label=batch, seed=seed) for batch, labels in batches if mine & set(labels)]

    def jobs_of(self, model: str, label: str, seed: int, budgets: list[int] | None = None) -> list[Job]:
        """The jobs that find the masks of one entry and seed, at some of its budgets or all."""
        kind = JOBS[self.grid.kind(label)]
        if kind.shared:
            return [Job(kind.name, model, label=self.batch_of(model, label, seed), seed=seed)]
        if "{budget}" not in kind.place:
            return [Job(kind.name, model, label=label, seed=seed)]
        chosen = [budget for budget in self.grid.budgets(label, model) if budgets is None or budget in budgets]
        return [Job(kind.name, model, label=label, budget=budget, seed=seed) for budget in chosen]

    def pruning_jobs(self, model: str, batch: str, seed: int) -> list[Job]:
        """The jobs that find the masks of a batch."""
        jobs = [job for label in self.batches(model, seed)[batch] for job in self.jobs_of(model, label, seed)]
        return list(dict.fromkeys(jobs))

    def shares_with(self, model: str, label: str, seed: int) -> str | None:
        """The entry before this one whose trainings a `search` shares: it waits for them instead of repeating them."""
        mine = self._training_of(label)
        earlier = [other for other in self.grid.labels_of(model, seed) if self.grid.kind(other) == "search"]
        earlier = earlier[: earlier.index(label)] if label in earlier else []
        return next((other for other in reversed(earlier) if self._training_of(other) == mine), None)

    def shared_trial(self, job: Job) -> Job | None:
        """The trial before this one that has the same trainings, which a `search` keeps for others."""
        if job.model not in self._alike:
            self._alike[job.model] = self._find_alike(job.model)
        label, trial = self._alike[job.model].get((job.label, job.trial or 0), ("", None))
        return Job(job.kind, job.model, label=label, trial=trial, seed=job.seed) if label else None

    def _find_alike(self, model: str) -> dict[tuple[str, int], tuple[str, int]]:
        """The last trial before each with the same trainings, by label and number."""
        found: dict[tuple[str, int], tuple[str, int]] = {}
        last: dict[str, tuple[str, int]] = {}
        for label in (label for label in self.grid.tuned_for(model) if self.grid.kind(label) == "search"):
            for number, options in enumerate(self.grid.trials(label)):
                key = repr(self._training_of(label, options))
                if key in last:
                    found[label, number] = last[key]
                last[key] = label, number
        return found

    def _training_of(self, label: str, trial: Mapping[str, Any] | None = None) -> object:
        method = self.grid.method(label)
        try:
            options: object = self.grid.entry(label).training_options({**method.options, **(trial or {})})
        except ValueError:  # of a trial, which will say so
            options = label, trial
        keys = ("name", "mode", "updates", "learning_rate", "schedule", "update_freq", "gate_schedule", "scope")
        return tuple(getattr(method, key) for key in keys), options

    def batches(self, model: str, seed: int) -> dict[str, list[str]]:
        """The labels whose short cells share a process, by the name of the batch."""
        if (model, seed) not in self._batches:
            self._batches[model, seed] = self._find_batches(model, seed)
        return self._batches[model, seed]

    def _find_batches(self, model: str, seed: int) -> dict[str, list[str]]:
        labels = self.grid.labels_of(model, seed)
        if self.config.batch == "method":
            return {label: [label] for label in labels}
        names = {"score": "all-score", "gates": "all-gate", "search": "all-gate"}
        found: dict[str, list[str]] = {}
        for label in labels:
            found.setdefault(names.get(self.grid.kind(label), "all-treated"), []).append(label)
        return found

    def batch_of(self, model: str, label: str, seed: int) -> str:
        """The batch that an entry is in."""
        return next(name for name, members in self.batches(model, seed).items() if label in members)

    def labels_in(self, job: Job) -> list[str]:
        """The entries that a job has to do with."""
        kind, seed = JOBS[job.kind], job.seed or 0
        if kind.tunes or (kind.finds_masks and not kind.shared):
            return [job.label]
        if kind.per == "timed seed":
            return self.grid.timed_of(job.model, seed)
        labels = self.batches(job.model, seed)[job.label] if job.label else self.grid.labels_of(job.model, seed)
        return [label for label in labels if not kind.finds_masks or self.grid.kind(label) == job.kind]

    def cells_in(self, job: Job) -> list[Cell]:
        """The cells that a job computes a part of."""
        seed = job.seed or 0
        return [
            cell for label in self.labels_in(job) for cell in self.grid.cells_of(job.model, label, seed, job.budget)
        ]
