"""The schema of a profile.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    field_validator,
    model_validator,
)

from headprune.data import TranslationRecipe, corpus
from headprune.heads import HeadSpace, Scope
from headprune.method import Entry, load_methods, unknown
from headprune.method.registry import BUILT_IN

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def whole(value: Any) -> Any:
    """A whole number; its digits as text, too, which is what snakemake makes of `--config seeds=[1,2]`."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value.strip()):
        return int(value)
    return value


Whole = Annotated[int, Strict(), BeforeValidator(whole)]


def distinct(values: list[int]) -> list[int]:
    """:raises ValueError: no values, a repeated or a negative one."""
    if not values or len(set(values)) != len(values) or min(values) < 0:
        raise ValueError(f"{values} must be distinct, not negative, and at least one")
    return values


class Section(BaseModel):
    """A part of the configuration: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(Section):
    """A corpus and how it is prepared."""

    corpus: str = Field(description="an embedded corpus, or a folder of {train,valid,test}.tsv[.gz] ending in -xx-yy")
    vocabulary: int = Field(2000, ge=100, description="subword units, source and target joined")
    max_words: int | None = Field(None, ge=1, description="train pairs longer on either side are left out")

    @field_validator("corpus")
    @classmethod
    def _known(cls, value: str) -> str:
        corpus(value)
        return value

    def recipe(self) -> TranslationRecipe:
        return TranslationRecipe(vocabulary=self.vocabulary, max_words=self.max_words)


class Architecture(Section):
    """The Transformer; defaults are fairseq's `transformer` except where smaller."""

    width: int = Field(512, ge=1, description="model dimension d")
    feed_forward: int = Field(2048, ge=1, description="inner dimension of the feed-forward sublayers")
    encoder_layers: int = Field(6, ge=1)
    decoder_layers: int = Field(6, ge=1)
    heads: int = Field(8, ge=1, description="heads of every attention module")
    normalize_before: bool = Field(False, description="pre-norm instead of post-norm")
    share_embeddings: bool = Field(True, description="one embedding for encoder, decoder and output")
    dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    activation_dropout: float = Field(0.0, ge=0, lt=1)
    activation: Literal["relu", "gelu"] = "relu"

    @model_validator(mode="after")
    def _divisible(self) -> Architecture:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    @property
    def head_space(self) -> HeadSpace:
        """One encoder module per encoder layer, a cross and a decoder module per decoder layer."""
        layers = {"encoder": self.encoder_layers, "cross": self.decoder_layers, "decoder": self.decoder_layers}
        return HeadSpace.from_names(
            f"{t}.{i}.{h}" for t, n in layers.items() for i in range(n) for h in range(self.heads)
        )

    @property
    def n_heads(self) -> int:
        return self.heads * (self.encoder_layers + 2 * self.decoder_layers)


class Training(Section):
    """How the unpruned model is trained; joint gate methods train the same way."""

    updates: int = Field(ge=1, description="optimiser updates")
    max_tokens: int = Field(4096, ge=1, description="target tokens per batch and device, padding included")
    update_freq: int = Field(1, ge=1, description="batches accumulated per update")
    learning_rate: float = Field(5e-4, gt=0, description="peak")
    warmup: int = Field(4000, ge=0, description="updates of linear warm-up")
    schedule: Literal["inverse_sqrt", "linear", "cosine"] = Field("inverse_sqrt", description="decay after warm-up")
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(0.0, ge=0, description="0: no clipping")
    beta2: float = Field(0.98, gt=0, lt=1, description="Adam's second moment decay")
    precision: Literal["fp32", "bf16"] = "fp32"
    checkpoint_every: int | None = Field(
        None, ge=1, description="updates between validations, which select the checkpoint; None: every epoch"
    )
    workers: int = Field(
        1, ge=1, description="processes that share a training, a GPU each: `workers` batches of max_tokens per step"
    )


class Model(Section):
    """A model to prune: task, data, architecture and training."""

    track: Literal["mt"] = "mt"
    dataset: str = Field(description="a key of `datasets`")
    architecture: Architecture
    training: Training


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
    draws: int = Field(1, ge=1, description="independent repetitions, each an arm of its own (`draw1`, …)")
    budgets: list[Whole] | None = Field(None, description="instead of the profile's")
    seeds: list[Whole] | None = Field(None, description="instead of the profile's")
    updates: int | None = Field(None, ge=1, description="of a training that starts from a trained model; None: as it")
    learning_rate: float | None = Field(None, gt=0, description="peak, of weights that train on; None: as the model's")

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
    trials: int = Field(8, ge=1, description="most trainings to search for one budget, beyond the first bracket")

    @property
    def label(self) -> str:
        """`dsp.joint`, or `magnitude` without an arm."""
        return f"{self.name}.{self.arm}" if self.arm else self.name

    @property
    def scope(self) -> Scope:
        return Scope(self.types, self.min_per_module)


class Treatment(Grid):
    """What is done with the masks of other methods: every cell it applies to has a twin that was treated.

    - `fine_tune`: the pruned model trains on
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
    samples: int = Field(1000, ge=1, description="resamples of the paired bootstrap")

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, values: list[int] | None) -> list[int] | None:
        return values if values is None else distinct(values)


class Evaluation(Section):
    """How hypotheses are made."""

    beam: int = Field(5, ge=1)
    length_penalty: float = 1.0
    max_len_a: float = Field(1.2, ge=0, description="hypotheses of at most a · source length + b subwords")
    max_len_b: int = Field(10, ge=1)
    max_tokens: int = Field(4000, ge=1, description="source tokens per batch, padding included")
    translate_valid: bool = Field(False, description="BLEU on the validation set too (perplexity is always measured)")
    checked_sentences: int = Field(32, ge=0, description="validation sentences translated masked and removed")


class Calibration(Section):
    """The train sentences that score methods see."""

    sentences: int = Field(1000, ge=1)
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
    results: str = Field("results", description="folder of all results")
    methods_directories: list[str] = Field(default_factory=list, description="further folders with method files")
    seeds: list[Whole] = Field(min_length=1)
    budgets: list[Whole] = Field(min_length=1, description="heads kept, K")
    datasets: dict[str, Dataset] = Field(min_length=1)
    models: dict[str, Model] = Field(min_length=1)
    methods: list[Method] = Field(min_length=1)
    treatments: list[Treatment] = Field(default_factory=list)
    ablations: list[Ablation] = Field(default_factory=list)
    batch: Literal["seed", "method"] = Field(
        "seed", description="cells that share a process: all short ones of a seed, or of a seed and method"
    )
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

    def registry(self) -> dict[str, Entry]:
        """The methods of the repository and of `methods_directories`."""
        return load_methods(BUILT_IN, *self.methods_directories)
