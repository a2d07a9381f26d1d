"""The schema of a profile.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    field_validator,
)

from headprune.config.models import AnyDataset, AnyModel, Section, Whole, distinct
from headprune.heads import Scope
from headprune.method import Entry, unknown
from headprune.method.entry import BUILT_IN
from headprune.search import BRACKET

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def plain_folder(value: str) -> str:
    """:raises ValueError: a path that is empty, or that Snakemake or a log could not write as it is."""
    if not value.strip() or re.search(r"[{}<>\x00-\x1f\x7f]", value):
        raise ValueError("must not be empty, and must not hold braces, angle brackets or control characters")
    return value


def plain_arm(value: str) -> str:
    """:raises ValueError: a name that cannot be part of a file name, or that reads like a draw's."""
    if value and not NAME.fullmatch(value):
        raise ValueError(f"arm {value!r} may hold letters, digits, `_` and `-` only")
    if re.search(r"(^|-)draw\d+$", value):
        raise ValueError(f"arm {value!r} is the name of a repetition; `draws` makes these")
    return value


class Grid(Section):
    """What method entries and treatments share: a variant's name, and the grid it runs on."""

    arm: Annotated[str, AfterValidator(plain_arm)] = Field("", description="tells variants apart")
    draws: int = Field(1, ge=1, le=10_000, description="independent repetitions, each an arm of its own (`draw1`, …)")
    budgets: list[Whole] | None = Field(None, description="instead of the profile's")
    seeds: list[Whole] | None = Field(None, description="instead of the profile's")
    models: list[str] | None = Field(None, min_length=1, description="keys of `models`, instead of all")
    updates: int | None = Field(None, ge=1, description="of a training that starts from a trained model; None: as it")
    learning_rate: float | None = Field(None, gt=0, description="peak, of weights that train on; None: as the model's")
    schedule: Literal["inverse_sqrt", "linear", "cosine", "constant"] | None = Field(
        None, description="of the learning rate of weights that train on; None: as the model's"
    )

    def covers(self, model: str) -> bool:
        """Whether the entry is for a model."""
        return self.models is None or model in self.models

    @field_validator("seeds", "budgets")
    @classmethod
    def _distinct(cls, values: list[int] | None) -> list[int] | None:
        return values if values is None else distinct(values)


class Method(Grid):
    """One method, or one arm of it."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict, description="hyper-parameters of the method")
    mode: Literal["joint", "continued", "pipelined"] = Field(
        "pipelined",
        description="gate methods: train model and gates from new weights, from the trained model, or the gates alone",
    )
    types: tuple[Literal["encoder", "cross", "decoder"], ...] = Field(
        ("encoder", "cross", "decoder"),
        min_length=1,
        description="attention types whose heads may be removed; the others keep all",
    )
    min_per_module: int = Field(0, ge=0, description="heads that every attention module keeps at least")
    update_freq: int | None = Field(
        None, ge=1, description="batches per update, each with gates of its own; None: as the model's"
    )
    coefficients: list[float] | None = Field(
        None, min_length=1, description="where the search for a budget starts, a sweep; None: 1e-5, 1e-4, 1e-3, 1e-2"
    )
    trials: int = Field(8, ge=0, description="most trainings to search for one budget, beyond those it starts from")

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

    @property
    def label(self) -> str:
        """`dsp.joint`, or `magnitude` without an arm."""
        return f"{self.name}.{self.arm}" if self.arm else self.name

    @property
    def scope(self) -> Scope:
        return Scope(self.types, self.min_per_module)


class Treatment(Grid):
    """What is done with the masks of other methods: every cell it applies to has a twin that was treated.

    - `fine_tune`: the pruned model trains on; of `unpruned`, what as many further updates do to all heads
    - `bias_compensation`: the output biases get the mean output of the removed heads
    - `matched_random`: random heads are removed instead, as many of every module
    - `from_scratch`: the pruned architecture trains from new weights
    """

    name: Literal["fine_tune", "bias_compensation", "matched_random", "from_scratch"]
    of: list[str] = Field(default_factory=list, description="labels of method entries; empty: all that prune")
    distillation: float = Field(0.0, ge=0, le=1, description="fine_tune: weight of the unpruned model's distribution")
    temperature: float = Field(1.0, gt=0, description="fine_tune: of both distributions in the distillation")

    @property
    def suffix(self) -> str:
        """`ft` in `dsp.joint+ft`."""
        return self.arm or SUFFIXES[self.name]

    @property
    def trains(self) -> bool:
        return self.name in ("fine_tune", "from_scratch")


SUFFIXES = {"fine_tune": "ft", "bias_compensation": "bc", "matched_random": "twin", "from_scratch": "scratch"}


class Ablation(Section):
    """A study of single heads: what the unpruned model loses without each, or with each alone in its module."""

    kind: Literal["drop_one", "keep_one"]
    seeds: list[Whole] | None = Field(None, description="instead of the profile's")
    models: list[str] | None = Field(None, min_length=1, description="keys of `models`, instead of all")
    samples: int = Field(1000, ge=1, description="resamples of the paired test")

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, values: list[int] | None) -> list[int] | None:
        return values if values is None else distinct(values)


class Part(Section):
    """Entries that can be run, and make up a table, without the others."""

    name: str
    entries: list[str] = Field(
        min_length=1, description="patterns of labels; an entry is in the first part of which one fits"
    )


class Evaluation(Section):
    """How models are measured: translations are made, text is read."""

    beam: int = Field(5, ge=1)
    length_penalty: float = 1.0
    max_len_a: float = Field(1.2, ge=0, description="hypotheses of at most a · source length + b subwords")
    max_len_b: int = Field(10, ge=1)
    max_tokens: int = Field(4000, ge=1, description="source tokens per batch, padding included")
    translate_valid: bool = Field(False, description="BLEU on the validation set too (perplexity is always measured)")
    checked_sentences: int = Field(32, ge=1, description="validation sentences read and translated masked and removed")
    rows: int = Field(64, ge=1, description="language models: streams that a split is read in (paper: 64)")
    checked_segments: int = Field(8, ge=1, description="language models: validation segments read masked and removed")
    one_row: bool = Field(True, description="language models: read the test set as one stream, too")
    sample: int = Field(60, ge=0, description="language models: tokens of text that every model writes; 0: none")


class Calibration(Section):
    """The train examples that score methods see: sentences, or windows of text."""

    sentences: int = Field(1000, ge=1)
    windows: int = Field(64, ge=1, description="language models: each of two segments, T + T tokens")
    max_tokens: int = Field(4000, ge=1, description="target tokens per batch, padding included")


class Speed(Section):
    """How latency and throughput are measured: pruned models of a seed in turn, one process, nothing beside it."""

    sentences: int = Field(8, ge=1, description="validation sentences translated one at a time")
    batch_size: int = Field(64, ge=1, description="sentences per batch for throughput")
    repeats: int = Field(5, ge=1, description="rounds over all models; median and quartiles over rounds")


KINDS = ("data", "dense", "score", "gates", "search", "treat", "retrain", "ablate", "test", "speed")  # of jobs
TRAININGS = ("dense", "gates", "search", "retrain")
MINUTES = {"data": 60, "dense": 2880, "gates": 2880, "search": 5760, "retrain": 2880}
MEMORY = {"data": 2000}


class Execution(Section):
    """How jobs are run. None of it changes a result, so nothing runs again when it is changed."""

    attempts: int = Field(
        2, ge=1, le=20, description="how often a job may be killed, or exceed its time, before it fails"
    )
    minutes: dict[str, Whole] = Field(
        default_factory=dict, description="time of a first attempt by kind of job; the second has twice as much, …"
    )
    memory_mb: dict[str, Whole] = Field(
        default_factory=dict, description="memory of a first attempt by kind of job; the second has twice as much, …"
    )
    max_minutes: int | None = Field(None, ge=1, description="most time that any attempt gets; trainings resume")
    max_memory_mb: int | None = Field(None, ge=1, description="most memory that any attempt gets")
    gpus: Literal["none", "training", "all"] = Field(
        "none", description="jobs that ask for GPUs: those that train, one per worker, or all, one each"
    )
    checkpoint_updates: int = Field(1000, ge=1, description="updates between two states of a training to resume from")
    checkpoint_minutes: float = Field(10, gt=0, description="minutes between two such states, if that comes first")

    @field_validator("minutes", "memory_mb")
    @classmethod
    def _kinds(cls, values: dict[str, int]) -> dict[str, int]:
        for kind, value in values.items():
            if kind not in KINDS:
                raise ValueError(unknown("kind of job", kind, KINDS))
            if value < 1:
                raise ValueError(f"{kind}: {value} must be at least 1")
        return values

    def minutes_of(self, kind: str, attempt: int = 1) -> int:
        wanted = attempt * self.minutes.get(kind, MINUTES.get(kind, 720))
        return wanted if self.max_minutes is None else min(wanted, self.max_minutes)

    def memory_of(self, kind: str, attempt: int = 1) -> int:
        wanted = attempt * self.memory_mb.get(kind, MEMORY.get(kind, 4000))
        return wanted if self.max_memory_mb is None else min(wanted, self.max_memory_mb)

    def gpus_of(self, kind: str, workers: int) -> int:
        """:param workers: of a training"""
        if kind == "data" or self.gpus == "none":
            return 0
        return workers if kind in TRAININGS else int(self.gpus == "all")


class Config(Section):
    """A profile."""

    profile: str = Field(description="names the results folder")
    results: Annotated[str, AfterValidator(plain_folder)] = Field("results", description="folder of all results")
    mirror: str = Field("", description="folder or web address asked first for corpora; $HEADPRUNE_MIRROR wins over it")
    methods_directories: list[Annotated[str, AfterValidator(plain_folder)]] = Field(
        default_factory=list, description="further folders with method files"
    )
    seeds: list[Whole] = Field(min_length=1)
    budgets: list[Whole] = Field(min_length=1, description="heads kept, K")
    datasets: dict[str, AnyDataset] = Field(min_length=1)
    models: dict[str, AnyModel] = Field(min_length=1)
    methods: list[Method] = Field(min_length=1)
    treatments: list[Treatment] = Field(default_factory=list)
    ablations: list[Ablation] = Field(default_factory=list)
    batch: Literal["seed", "method"] = Field(
        "seed", description="cells that share a process: all short ones of a seed, or of a seed and method"
    )
    parts: list[Part] = Field(default_factory=list, description="what can be run without the rest")
    part: str = Field("", description="the part to run; empty: the whole")
    evaluation: Evaluation = Evaluation()
    calibration: Calibration = Calibration()
    speed: Speed = Speed()
    execution: Execution = Execution()

    @field_validator("seeds", "budgets")
    @classmethod
    def _distinct(cls, values: list[int]) -> list[int]:
        return distinct(values)

    @property
    def folder(self) -> Path:
        return Path(self.results) / self.profile

    def budgets_of(self, model: str) -> list[int]:
        """The budgets of a model."""
        own = self.models[model].budgets
        return self.budgets if own is None else own

    def registry(self) -> dict[str, Entry]:
        """The methods of the repository and of `methods_directories`."""
        from headprune.method.registry import load_methods  # imports torch, which few errors of a profile wait for

        return load_methods(BUILT_IN, *self.methods_directories)
