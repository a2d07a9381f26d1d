"""The configuration of a profile: one schema, checked before anything runs.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)

from headprune.data import CORPORA, TranslationRecipe, corpus
from headprune.method import Entry, load_methods, unknown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class ConfigError(ValueError):
    """A configuration that breaks a rule; the message names key, value, rule and the nearest valid name."""


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
    def n_heads(self) -> int:
        """N: one encoder module per encoder layer, a cross and a decoder module per decoder layer."""
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
    checkpoint_every: int | None = Field(None, ge=1, description="updates; None: at the end of every epoch")


class Model(Section):
    """A model to prune: task, data, architecture and training."""

    track: Literal["mt"] = "mt"
    dataset: str = Field(description="a key of `datasets`")
    architecture: Architecture
    training: Training


class Method(Section):
    """One method, or one arm of it, with the grid it runs on."""

    name: str
    arm: str = Field("", description="tells variants of one method apart")
    options: dict[str, Any] = Field(default_factory=dict, description="hyper-parameters of the method")
    draws: int = Field(1, ge=1, description="independent repetitions, each an arm of its own (`draw1`, …)")
    mode: Literal["joint", "pipelined"] = Field("pipelined", description="gate methods: train the model along, or not")
    updates: int | None = Field(None, ge=1, description="pipelined gate methods: updates of the gates; None: as joint")
    budgets: list[Whole] | None = Field(None, description="instead of the profile's")
    seeds: list[Whole] | None = Field(None, description="instead of the profile's")

    @field_validator("arm")
    @classmethod
    def _plain_arm(cls, value: str) -> str:
        if value and not NAME.fullmatch(value):
            raise ValueError(f"arm {value!r} may hold letters, digits, `_` and `-` only")
        return value

    @field_validator("seeds", "budgets")
    @classmethod
    def _distinct(cls, values: list[int] | None) -> list[int] | None:
        return values if values is None else distinct(values)

    @property
    def label(self) -> str:
        """`dsp.joint`, or `magnitude` without an arm."""
        return f"{self.name}.{self.arm}" if self.arm else self.name


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
    batch: Literal["seed", "method"] = Field(
        "seed", description="cells that share a process: all short ones of a seed, or of a seed and method"
    )
    evaluation: Evaluation = Evaluation()
    calibration: Calibration = Calibration()
    speed: Speed = Speed()

    @field_validator("seeds", "budgets")
    @classmethod
    def _distinct(cls, values: list[int]) -> list[int]:
        return distinct(values)

    @property
    def folder(self) -> Path:
        return Path(self.results) / self.profile

    def registry(self) -> dict[str, Entry]:
        """The methods of the repository and of `methods_directories`."""
        return _registry(tuple(self.methods_directories))


def _registry(directories: tuple[str, ...]) -> dict[str, Entry]:
    from headprune.method.registry import BUILT_IN

    return load_methods(BUILT_IN, *directories)


def load(source: Mapping[str, Any] | str | Path) -> Config:
    """Reads and checks a configuration: a mapping, or the path of a YAML file.

    :raises ConfigError: whatever is wrong with it; nothing has been written then.
    """
    if not isinstance(source, Mapping):
        path = Path(source)
        if not path.is_file():
            names = [p.stem for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
            raise ConfigError(f"profile {str(source)!r} does not exist; " + unknown("profile", path.stem, names))
        try:
            source = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not YAML: {error}") from error
    try:
        config = Config.model_validate(source)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None
    try:
        _check_names(config)
    except (ValueError, FileNotFoundError, ImportError) as error:
        raise ConfigError(str(error)) from error
    return config


def _check_names(config: Config) -> None:
    """What no single field can tell: names that refer to each other, and budgets against the models."""
    for kind, names in (("profile", [config.profile]), ("dataset", config.datasets), ("model", config.models)):
        for name in names:
            if not NAME.fullmatch(name):
                raise ValueError(f"{kind} name {name!r} may hold letters, digits, `_` and `-` only")
    for name, model in config.models.items():
        if model.dataset not in config.datasets:
            raise ValueError(f"models.{name}.dataset: " + unknown("dataset", model.dataset, config.datasets))
    registry = config.registry()
    labels = [method.label for method in config.methods]
    for position, method in enumerate(config.methods):
        where = f"methods[{position}]"
        if method.name not in registry:
            raise ValueError(f"{where}.name: " + unknown("method", method.name, registry))
        if labels.index(method.label) != position:
            raise ValueError(f"{where}: {method.label!r} is listed twice; give one of them another `arm`")
        entry = registry[method.name]
        entry.options(method.options)
        if entry.kind == "gate" and method.draws > 1:
            raise ValueError(f"{where}.draws is {method.draws}; only score methods are drawn repeatedly")
        for key in ("updates", "mode"):
            if entry.kind == "score" and key in method.model_fields_set:
                raise ValueError(f"{where}.{key}: {method.name!r} is a score method and trains nothing")
    _check_budgets(config)


def _check_budgets(config: Config) -> None:
    lists = {"budgets": config.budgets} | {
        f"methods[{i}].budgets": method.budgets for i, method in enumerate(config.methods) if method.budgets
    }
    for name, model in config.models.items():
        total = model.architecture.n_heads
        for key, budgets in lists.items():
            for budget in budgets:
                if not 0 <= budget <= total:
                    raise ValueError(f"{key}: budget {budget} is outside 0…{total}, the heads of model {name!r}")


def _explain(error: ValidationError) -> str:
    """pydantic's findings, one a line: key, value, rule, nearest name."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"{key}: " + unknown("key", str(item["loc"][-1]), _known_keys(item["loc"][:-1])))
        elif item["type"] == "missing":
            lines.append(f"{key}: this key is required")
        else:
            lines.append(f"{key}: {item['input']!r}: {item['msg'].removeprefix('Value error, ')}")
    return "the configuration is not valid:\n  " + "\n  ".join(lines)


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    kind: Any = Config
    for part in location:  # a field of a section, a key of a dict, or a position in a list
        is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
        kind = kind.model_fields[str(part)].annotation if is_section else get_args(kind)[-1]
    return list(kind.model_fields)


__all__ = ["CORPORA", "Config", "ConfigError", "load"]
