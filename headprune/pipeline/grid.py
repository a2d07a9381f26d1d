"""The grid of a profile: its entries, and the cells of each. Pure arithmetic: nothing is read, written or trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from headprune.config import Ablation, Config, Method, Treatment
from headprune.config.treated import prunes, treated_by
from headprune.config.tuned import trials_of
from headprune.method import Entry
from headprune.pipeline.cells import Cell


@dataclass(frozen=True)
class Treated:
    """A treatment of the cells of one method entry."""

    treatment: Treatment
    base: Method

    @property
    def label(self) -> str:
        """`dsp.joint+ft`"""
        return f"{self.base.label}+{self.treatment.suffix}"


class Grid:
    """All entries and cells of a configuration. Entries are known by their labels, `dsp.joint+ft`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._registry = config.registry()
        self._trials = {m.label: trials_of(config.tuning, m, self._registry[m.name]) for m in config.methods}
        self._methods = {m.label: _decided(m, bool(self._trials[m.label])) for m in config.methods}
        treated = [Treated(t, base) for t in config.treatments for base in treated_by(config, t, self._registry)]
        self._treated = {entry.label: entry for entry in treated}
        self._labels_of: dict[tuple[str, int], list[str]] = {}  # asked for again and again while Snakemake plans

    @property
    def labels(self) -> list[str]:
        """Labels of all entries, treated ones last."""
        return [*self._methods, *self._treated]

    def method(self, label: str) -> Method:
        """The method entry of a label, `tuned` true or null; of a treated one, the entry whose masks it takes."""
        return self._methods[self._treated[label].base.label if label in self._treated else label]

    def treatment(self, label: str) -> Treatment | None:
        return self._treated[label].treatment if label in self._treated else None

    def entry(self, label: str) -> Entry:
        """The registered method of an entry."""
        return self._registry[self.method(label).name]

    def kind(self, label: str) -> str:
        """The kind of job that finds the masks of an entry."""
        if (treatment := self.treatment(label)) is not None:
            return "retrain" if treatment.kind.trains else "treat"
        entry = self.entry(label)
        if entry.kind == "score":
            return "score"
        return "gates" if entry.method.per_budget else "search"  # type: ignore[attr-defined]

    def needs_dense(self, label: str) -> bool:
        """Tells whether an entry starts from, or learns from, the unpruned model. Joint methods start from the data."""
        treatment = self.treatment(label)
        if treatment is not None:
            return treatment.kind.needs_dense(treatment)
        return self.kind(label) == "score" or self.method(label).mode != "joint"

    def file_of(self, label: str) -> Path:
        """The file that defines the method of an entry."""
        return self.entry(label).file

    def directories_of(self, labels: list[str]) -> list[str]:
        """Those of `methods_directories` that define the methods of these entries."""
        folders = {self.file_of(label).parent for label in labels}
        return [name for name in self.config.methods_directories if Path(name).resolve() in folders]

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

    def seeds(self, label: str, model: str) -> list[int]:
        """Those of the profile that the model and the entry have; of a treated entry those that its method has, too."""
        treatment = self.treatment(label)
        own = treatment.seeds if treatment else None
        return self._narrowed(self.config.models[model].seeds, self.method(label).seeds, own)

    def _narrowed(self, *limits: Sequence[int] | None) -> list[int]:
        """The profile's seeds within all limits that there are."""
        return [seed for seed in self.config.seeds if all(limit is None or seed in limit for limit in limits)]

    def all_seeds(self, model: str) -> list[int]:
        """Seeds with cells of a model."""
        return sorted({seed for label in self.labels_for(model) for seed in self.seeds(label, model)})

    def timed_of(self, model: str, seed: int) -> list[str]:
        """The entries of a model and seed whose speed is measured: what is asked for, beside what prunes nothing."""
        wanted = self.config.speed
        labels = self.labels_of(model, seed) if wanted.seeds is None or seed in wanted.seeds else []
        if wanted.entries is None:
            return labels
        fitting = [label for label in labels if any(fnmatchcase(label, pattern) for pattern in wanted.entries)]
        if not any(prunes(self.entry(label)) for label in fitting):
            return []
        return [label for label in labels if label in fitting or not prunes(self.entry(label))]

    def trials(self, label: str) -> list[dict[str, Any]]:
        """The options of every trial of an entry beside its own; none where it is not tuned."""
        return self._trials[self.method(label).label]

    def tuned_for(self, model: str) -> list[str]:
        """The entries that are tuned for a model."""
        found = (label for label in self._methods if self.method(label).tuned)
        return [label for label in found if self.method(label).covers(model) and self.seeds(label, model)]

    def tuning_seeds(self, model: str) -> list[int]:
        """Seeds for which the unpruned model is trained for trials alone."""
        wanted = any(self.needs_dense(label) for label in self.tuned_for(model))
        return sorted(self.tried_seeds) if wanted else []

    @property
    def tried_seeds(self) -> list[int]:
        """Seeds that trials run on; none where nothing is tuned, or where another run has chosen."""
        tuning = self.config.tuning
        return [] if tuning is None or tuning.chosen_in is not None else tuning.seeds

    def dense_seeds(self, model: str) -> list[int]:
        """Seeds for which the unpruned model is trained and reported."""
        seeds = {s for label in self.labels_for(model) if self.needs_dense(label) for s in self.seeds(label, model)}
        return sorted(seeds.union(*(self.ablated_seeds(model, ablation) for ablation in self.config.ablations)))

    def begun_seeds(self, model: str) -> list[int]:
        """Seeds for which there are weights that the trainings of a model begin with; none where these are random."""
        start = self.config.models[model].begins_with
        if start is None:
            return []
        tuned = self.tried_seeds if self.tuned_for(model) else []
        return sorted({start.seed_for(s) for s in (*self.all_seeds(model), *self.dense_seeds(model), *tuned)})

    def ablated_seeds(self, model: str, ablation: Ablation) -> list[int]:
        """Seeds for which single heads of a model are studied."""
        if ablation.models is not None and model not in ablation.models:
            return []
        return self._narrowed(self.config.models[model].seeds, ablation.seeds)

    def budgets(self, label: str, model: str) -> list[int]:
        """Largest first; the method that prunes nothing has one, N; a treated entry those that its method has, too."""
        method, treatment = self.method(label), self.treatment(label)
        if not prunes(self.entry(label)):
            return [self.config.models[model].architecture.n_heads]
        budgets = method.budgets if method.budgets is not None else self.config.budgets_of(model)
        if treatment is not None and treatment.budgets is not None:
            budgets = [budget for budget in budgets if budget in treatment.budgets]
        return sorted(budgets, reverse=True)

    @cached_property
    def cells(self) -> list[Cell]:
        return [cell for cells in self._cells.values() for cell in cells]

    def cells_of(self, model: str, label: str, seed: int, budget: int | None = None) -> list[Cell]:
        """The cells of one entry and seed, at all budgets or one."""
        return [cell for cell in self._cells.get((model, label, seed), []) if budget in (None, cell.budget)]

    @cached_property
    def _cells(self) -> dict[tuple[str, str, int], list[Cell]]:
        """The cells by model, label and seed."""
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


def _decided(method: Method, tuned: bool) -> Method:
    """An entry that says no more of its tuning than that it is; one that is not looks as in a profile without."""
    return method.model_copy(update={"tuned": tuned or None})


def _draws(number: int) -> tuple[int, ...]:
    """Numbers of the draws; a single one has none."""
    return tuple(range(1, number + 1)) if number > 1 else (0,)
