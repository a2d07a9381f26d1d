"""Datasets and models of a profile: what is trained before anything is pruned. Each track has its own kinds.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)

from headprune.data import LanguageModellingRecipe, TranslationRecipe, corpus, text_corpus
from headprune.heads import HeadSpace

TRACKS = ("mt", "lm")


def whole(value: Any) -> Any:
    """A whole number; its digits as text, too, which is what snakemake makes of `--config seeds=[1,2]`."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value.strip()):
        return int(value)
    return value


Whole = Annotated[int, Strict(), BeforeValidator(whole)]


def distinct(values: list[int]) -> list[int]:
    """:raises ValueError: no values, a repeated, a negative or a huge one."""
    if not values or len(set(values)) != len(values) or min(values) < 0:
        raise ValueError(f"{values} must be distinct, not negative, and at least one")
    if max(values) >= 2**31:
        raise ValueError(f"{max(values)} must be less than 2^31")
    return values


class Section(BaseModel):
    """A part of the configuration: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _number_or_not(cls, value: Any, info: ValidationInfo) -> Any:
        """A truth value is no number, though Python counts with it."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true and false are values of other keys")
        return value


def track_of(section: Any) -> str:
    """The track of a section, `mt` where it names none; what tells the kinds of a section apart."""
    found = section.get("track", "mt") if isinstance(section, Mapping) else getattr(section, "track", "mt")
    return str(found)


class Dataset(Section):
    """A parallel corpus and how it is prepared."""

    track: Literal["mt"] = "mt"
    corpus: str = Field(
        description="one that `headprune data` lists, or a folder of {train,valid,test}.tsv[.gz] ending in -xx-yy"
    )
    vocabulary: int = Field(2000, ge=100, description="subword units, source and target joined")
    max_words: int | None = Field(None, ge=1, description="train pairs longer on either side are left out")

    @field_validator("corpus")
    @classmethod
    def _known(cls, value: str) -> str:
        corpus(value)
        return value

    def source(self) -> Any:
        """The corpus itself."""
        return corpus(self.corpus)

    def recipe(self) -> TranslationRecipe:
        return TranslationRecipe(vocabulary=self.vocabulary, max_words=self.max_words)


class TextDataset(Section):
    """A text corpus for language modelling and how it is prepared."""

    track: Literal["lm"]
    corpus: str = Field(description="one that `headprune data` lists, or a folder of {train,valid,test}.txt[.gz]")
    units: Literal["bpe", "words", "characters", "bytes"] = Field("bpe", description="what a token is")
    vocabulary: int | None = Field(
        2000, ge=100, description="bpe: pieces; others: the most frequent units are known, null: all"
    )
    minimum_count: int = Field(1, ge=1, description="units that the train split has less often are unknown")
    split_punctuation: bool = Field(False, description="words: punctuation apart, which raw text needs")

    @field_validator("corpus")
    @classmethod
    def _known(cls, value: str) -> str:
        text_corpus(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> TextDataset:
        self.recipe()
        return self

    def source(self) -> Any:
        """The corpus itself."""
        return text_corpus(self.corpus)

    def recipe(self) -> LanguageModellingRecipe:
        return LanguageModellingRecipe(self.units, self.vocabulary, self.minimum_count, self.split_punctuation)


AnyDataset = Annotated[Annotated[Dataset, Tag("mt")] | Annotated[TextDataset, Tag("lm")], Discriminator(track_of)]


class Architecture(Section):
    """The Transformer; defaults are fairseq's `transformer` except where smaller."""

    width: int = Field(512, ge=1, description="model dimension d")
    feed_forward: int = Field(2048, ge=1, description="inner dimension of the feed-forward sublayers")
    encoder_layers: int = Field(6, ge=1, le=1000)
    decoder_layers: int = Field(6, ge=1, le=1000)
    heads: int = Field(8, ge=1, le=1000, description="heads of every attention module")
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


class LanguageArchitecture(Section):
    """The All-Attention Transformer-XL, or with `feed_forward` instead of persistent vectors the Transformer-XL of as
    many parameters; ALL_ATTENTION.md 2. Dropouts of the paper in brackets."""

    width: int = Field(512, ge=1, description="model dimension d")
    layers: int = Field(16, ge=1, le=1000)
    heads: int = Field(8, ge=1, le=1000, description="heads of every layer")
    persistent: int = Field(2048, ge=0, description="persistent vectors of every head, N; 0: none")
    feed_forward: int = Field(0, ge=0, description="inner dimension of feed-forward sublayers; 0: none")
    segment: int = Field(192, ge=1, description="tokens of a row per update, T")
    memory: int = Field(192, ge=0, description="earlier tokens that every token sees, M")
    dropout: float = Field(0.1, ge=0, lt=1, description="of a layer's output (0.1)")
    attention_dropout: float = Field(0.2, ge=0, lt=1, description="of attention probabilities (0.2)")
    input_dropout: float = Field(0.1, ge=0, lt=1, description="of embeddings and relative positions (0.1)")
    output_dropout: float = Field(0.1, ge=0, lt=1, description="before the softmax (0.1)")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="of whole rows of the embedding (0.1)")
    cutoffs: list[int] = Field(default_factory=list, description="adaptive input and softmax; empty: plain ones")
    factor: int = Field(4, ge=1, description="by which the width shrinks from band to band")
    share_embeddings: bool = Field(True, description="tie input and output embeddings")
    final_norm: bool = Field(False, description="a layer norm after the last layer (paper: none)")
    initialisation: Literal["shim", "sukhbaatar"] = Field(
        "shim", description="of persistent vectors: as small as projections (shim), or of unit variance when scaled"
    )

    @model_validator(mode="after")
    def _possible(self) -> LanguageArchitecture:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.persistent and self.feed_forward:
            raise ValueError(
                f"persistent {self.persistent} and feed_forward {self.feed_forward}: a layer has one or the other"
            )
        if self.cutoffs != sorted(set(self.cutoffs)):
            raise ValueError(f"cutoffs {self.cutoffs} must rise")
        return self

    @property
    def head_space(self) -> HeadSpace:
        """One decoder module per layer."""
        return HeadSpace.from_names(f"decoder.{i}.{h}" for i in range(self.layers) for h in range(self.heads))

    @property
    def n_heads(self) -> int:
        return self.heads * self.layers


class Optimisation(Section):
    """How an unpruned model is trained; joint gate methods train the same way."""

    updates: int = Field(ge=1, description="optimiser updates")
    update_freq: int = Field(1, ge=1, description="batches accumulated per update")
    learning_rate: float = Field(5e-4, gt=0, description="peak")
    warmup: int = Field(4000, ge=0, description="updates of linear warm-up")
    schedule: Literal["inverse_sqrt", "linear", "cosine", "constant"] = Field(
        "inverse_sqrt", description="after the warm-up"
    )
    optimiser: Literal["adam", "lamb"] = "adam"
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(0.0, ge=0, description="0: no clipping")
    beta2: float = Field(0.98, gt=0, lt=1, description="decay of the optimiser's second moment")
    precision: Literal["fp32", "bf16"] = "fp32"
    checkpoint_every: int | None = Field(
        None, ge=1, description="updates between validations, which select the checkpoint; None: every epoch"
    )
    workers: int = Field(1, ge=1, description="processes that share a training, each with a GPU and batches of its own")


class Training(Optimisation):
    """Of translation."""

    max_tokens: int = Field(4096, ge=1, description="target tokens per batch and device, padding included")
    label_smoothing: float = Field(0.1, ge=0, lt=1)


class StreamTraining(Optimisation):
    """Of language models: truncated back-propagation through time over contiguous rows."""

    rows: int = Field(32, ge=1, description="streams side by side per batch and device, B")
    roll: bool = Field(True, description="shift every row by a random offset every epoch")


class Subject(Section):
    """What models of all tracks share: the part of the grid that is theirs."""

    budgets: list[Whole] | None = Field(None, description="heads kept, K, instead of the profile's")
    seeds: list[Whole] | None = Field(None, description="those of the profile's that the model has; None: all")

    @field_validator("seeds", "budgets")
    @classmethod
    def _distinct(cls, values: list[int] | None) -> list[int] | None:
        return values if values is None else distinct(values)


class Model(Subject):
    """A translation model to prune: data, architecture and training."""

    track: Literal["mt"] = "mt"
    dataset: str = Field(description="a key of `datasets`")
    architecture: Architecture
    training: Training


class LanguageModel(Subject):
    """A language model to prune."""

    track: Literal["lm"]
    dataset: str = Field(description="a key of `datasets`")
    architecture: LanguageArchitecture
    training: StreamTraining


AnyModel = Annotated[Annotated[Model, Tag("mt")] | Annotated[LanguageModel, Tag("lm")], Discriminator(track_of)]
_DATASET: TypeAdapter[Dataset | TextDataset] = TypeAdapter(AnyDataset)
_MODEL: TypeAdapter[Model | LanguageModel] = TypeAdapter(AnyModel)


def dataset_from(values: Mapping[str, Any]) -> Dataset | TextDataset:
    """The section of a dataset from plain values."""
    return _DATASET.validate_python(values)


def model_from(values: Mapping[str, Any]) -> Model | LanguageModel:
    """The section of a model from plain values."""
    return _MODEL.validate_python(values)
