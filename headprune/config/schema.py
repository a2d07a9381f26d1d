"""The schema of a profile.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator

from headprune.config.execution import Execution
from headprune.config.models import AnyDataset, AnyModel, with_tracks
from headprune.heads import Scope
from headprune.method import Entry, unknown
from headprune.method.declared import declared
from headprune.method.entry import BUILT_IN
from headprune.method.search import BRACKET
from headprune.settings import (
    UPDATES,
    Calibration,
    Evaluation,
    Folder,
    Label,
    Mirror,
    Name,
    Numbers,
    Place,
    Section,
    Speed,
)
from headprune.treatments import TREATMENTS, MaskTreatment

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def plain_arm(value: str) -> str:
    """:raises ValueError: a name that cannot be part of a file name, or that reads like a draw's."""
    if value and not NAME.fullmatch(value):
        raise ValueError(f"arm {value!r} may hold letters, digits, `_` and `-` only")
    if re.search(r"(^|-)draw\d+$", value):
        raise ValueError(f"arm {value!r} is the name of a repetition; `draws` makes these")
    return value


_COEFFICIENT = WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1e6})  # `_rising` keeps the minimum


class GridEntry(Section):
    """The keys that method entries and treatments share: a variant's name, and the grid it runs on."""

    arm: Annotated[Name, AfterValidator(plain_arm)] = Field("", description="tells variants apart")
    draws: int = Field(1, ge=1, le=10_000, description="independent repetitions, each an arm of its own (`draw1`, …)")
    budgets: Numbers | None = Field(None, description="heads kept, K; null: the model's or the profile's")
    seeds: Numbers | None = Field(None, description="those of the profile's that it runs on; null: all")
    models: list[Name] | None = Field(None, min_length=1, max_length=100, description="keys of `models`; null: all")
    updates: int | None = Field(
        None, ge=1, le=UPDATES, description="of a training that starts from a trained model; null: as many as its own"
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1e6, description="peak, of weights that train on; null: as the model's"
    )
    schedule: Literal["inverse_sqrt", "linear", "cosine", "constant"] | None = Field(
        None, description="of the learning rate of weights that train on; null: as the model's"
    )

    def covers(self, model: str) -> bool:
        """True if the entry is for a model."""
        return self.models is None or model in self.models


class Method(GridEntry):
    """One method, or one arm of it."""

    name: Name = Field(description="one that `headprune methods` lists")
    options: dict[Name, Any] = Field(
        default_factory=dict, max_length=100, description="hyper-parameters of the method; see below"
    )
    mode: Literal["joint", "continued", "pipelined"] = Field(
        "pipelined",
        description="gate methods: train model and gates from new weights, from the trained model, or the gates alone",
    )
    types: tuple[Literal["encoder", "cross", "decoder"], ...] = Field(
        ("encoder", "cross", "decoder"),
        min_length=1,
        max_length=3,
        description="attention types whose heads may be removed; the others keep all",
    )
    min_per_module: int = Field(0, ge=0, le=1000, description="heads that every attention module keeps at least")
    update_freq: int | None = Field(
        None, ge=1, le=100_000, description="batches per update, each with gates of its own; null: as the model's"
    )
    gate_schedule: Literal["constant", "model"] = Field(
        "constant",
        description="gate methods: their learning rate stays as it is, or rises and falls as the model's does",
    )
    coefficients: list[Annotated[float, Field(le=1e6), _COEFFICIENT]] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="where the search for a budget starts, a sweep; null: 1e-5, 1e-4, 1e-3, 1e-2",
    )
    trials: int = Field(
        8, ge=0, le=1000, description="most trainings to search for one budget, beyond those it starts from"
    )
    updates_cap: int | None = Field(
        None,
        ge=1,
        le=UPDATES,
        description="most updates of all trainings that the search for one budget looks at; null: as many as it takes",
    )
    tuned: bool | None = Field(
        None, description="whether `tuning` chooses the options that are not given; null: where the profile has one"
    )

    @field_validator("coefficients")
    @classmethod
    def _rising(cls, values: list[float] | None) -> list[float] | None:
        if values is not None and (values != sorted(set(values)) or values[0] < 0):
            raise ValueError(f"{values} must rise, from 0 at least")
        return values

    @property
    def sweep(self) -> tuple[float, ...]:
        """The coefficients that a search starts from."""
        return BRACKET if self.coefficients is None else tuple(self.coefficients)

    def updates_of_training(self, whole: int) -> int:
        """Updates of one training.

        :param whole: updates of the model's own training
        """
        return whole if self.mode == "joint" else self.updates or whole

    def most_trainings(self, whole: int) -> int | None:
        """Trainings that the search for one budget may look at; None: no limit.

        :param whole: updates of the model's own training
        """
        return None if self.updates_cap is None else self.updates_cap // self.updates_of_training(whole)

    @property
    def label(self) -> str:
        """`dsp.joint`, or `magnitude` without an arm."""
        return f"{self.name}.{self.arm}" if self.arm else self.name

    @property
    def scope(self) -> Scope:
        """Heads that it may remove."""
        return Scope(self.types, self.min_per_module)


def known_treatment(value: str) -> str:
    """:raises ValueError: there is no such treatment."""
    if value not in TREATMENTS:
        raise ValueError(unknown("treatment", value, TREATMENTS))
    return value


_TREATMENT = WithJsonSchema({"type": "string", "enum": list(TREATMENTS)})


class Treatment(GridEntry):
    """A treatment of the masks of other methods: every cell it applies to has a twin that was treated."""

    name: Annotated[str, AfterValidator(known_treatment), _TREATMENT] = Field(
        max_length=100, description="; ".join(f"`{each.name}`: {each.__doc__}" for each in TREATMENTS.values())
    )
    of: list[Label] = Field(
        default_factory=list, max_length=1000, description="labels of method entries; empty: all that prune"
    )
    distillation: float = Field(0.0, ge=0, le=1, description="fine_tune: weight of the unpruned model's distribution")
    temperature: float = Field(1.0, gt=0, le=1e6, description="fine_tune: of both distributions in the distillation")

    @property
    def suffix(self) -> str:
        """`ft` in `dsp.joint+ft`."""
        return self.arm or self.kind.suffix

    @property
    def kind(self) -> MaskTreatment:
        """The treatment itself."""
        return TREATMENTS[self.name]


class Ablation(Section):
    """A study of single heads: what the unpruned model loses without each, or with each alone in its module."""

    kind: Literal["drop_one", "keep_one"] = Field(description="remove one head, or all others of its module")
    seeds: Numbers | None = Field(None, description="those of the profile's that it runs on; null: all")
    models: list[Name] | None = Field(None, min_length=1, max_length=100, description="keys of `models`; null: all")
    samples: int = Field(
        1000, ge=1, le=10**6, description="swaps that the paired test draws where more than 16 segments differ"
    )


class Tuning(Section):
    """The tuning of methods: every entry gets as many trials, and its cells the options of the best, docs/tuning.md."""

    trials: int = Field(
        ge=1, le=1000, description="of every entry; the first is its own values, so that 1 is no tuning at all"
    )
    seeds: Numbers = Field(description="that trials run on, none of which is reported; the first draws the trials, too")
    budgets: Numbers = Field(description="heads kept, K, that trials are judged at; less than any model has")
    chosen_in: Place | None = Field(
        None,
        description="results folder whose `tuning.csv` has these very trials: its choice is taken and none is run, for "
        "further seeds on another machine; null: the run chooses for itself",
    )


class Part(Section):
    """Entries that can be run, and make up a table, without the others."""

    name: Name = Field(description="what `part` says to run it alone")
    entries: list[Label] = Field(
        min_length=1, max_length=1000, description="patterns of labels; an entry is in the first part of which one fits"
    )


class Config(Section):
    """A profile."""

    profile: Name = Field(description="names the results folder")
    results: Folder = Field("results", description="folder of all results, below the current one; `~` is your home")
    mirror: Mirror = Field(
        "",
        description="folder or web address asked first for corpora; $HEADPRUNE_MIRROR wins over it; a relative path "
        "begins at the folder of the profile's file",
    )
    methods_directories: list[Place] = Field(
        default_factory=list,
        max_length=100,
        description="further folders with method files; a relative path begins at the folder of the profile's file",
    )
    seeds: Numbers = Field(min_length=1, description="of everything random: a run of the whole grid for each")
    budgets: Numbers = Field(min_length=1, description="heads kept, K")
    datasets: dict[Name, AnyDataset] = Field(min_length=1, max_length=100, description="by name")
    models: dict[Name, AnyModel] = Field(min_length=1, max_length=100, description="by name")
    methods: list[Method] = Field(min_length=1, max_length=1000, description="entries of the grid, docs/profiles.md")
    treatments: list[Treatment] = Field(
        default_factory=list, max_length=1000, description="of masks that methods found, docs/profiles.md"
    )
    ablations: list[Ablation] = Field(default_factory=list, max_length=10, description="studies of single heads")
    tuning: Tuning | None = Field(
        None, description="how values of options are chosen, docs/tuning.md; null: as the entries and methods have them"
    )
    batch: Literal["seed", "method"] = Field(
        "seed", description="cells that share a process: all short ones of a seed, or of a seed and method"
    )
    parts: list[Part] = Field(default_factory=list, max_length=100, description="what can be run without the rest")
    part: Name = Field("", description="the part to run; empty: the whole")
    evaluation: Evaluation = Field(Evaluation(), description="how models are measured")
    calibration: Calibration = Field(Calibration(), description="what score methods see")
    speed: Speed = Field(Speed(), description="how time is measured")
    execution: Execution = Field(Execution(), description="how jobs are run, docs/clusters.md")

    @model_validator(mode="before")
    @classmethod
    def _tracks(cls, values: Any) -> Any:
        return with_tracks(values)

    @property
    def folder(self) -> Path:
        return Path(self.results) / self.profile

    def budgets_of(self, model: str) -> list[int]:
        """The budgets of a model."""
        own = self.models[model].budgets
        return self.budgets if own is None else own

    def registry(self) -> dict[str, Entry]:
        """The methods of the repository and of `methods_directories`, as far as a plan must know them."""
        known = None if self.methods_directories else declared()
        return self.implementations() if known is None else known

    def implementations(self) -> dict[str, Entry]:
        """The same methods, which can do what they are for."""
        from headprune.method.registry import load_methods  # imports torch, which nothing else of a profile waits for

        return load_methods(BUILT_IN, *self.methods_directories)
