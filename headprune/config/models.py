"""Datasets and models of a profile: what is trained before anything is pruned. Each track has its own kinds.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from headprune.data import LanguageModelingRecipe, TranslationRecipe, corpus, text_corpus
from headprune.heads import HeadSpace

TRACKS = ("mt", "lm")


def whole(value: Any) -> Any:
    """A whole number; its digits as text, too, which is what snakemake makes of `--config seeds=[1,2]`."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value.strip()):
        return int(value)
    return value


def distinct(values: list[int]) -> list[int]:
    """:raises ValueError: no values, a repeated, a negative or a huge one."""
    if not values or len(set(values)) != len(values) or min(values) < 0:
        raise ValueError(f"{reprlib.repr(values)} must be distinct, not negative, and at least one")
    if max(values) >= 2**31:
        raise ValueError(f"{max(values)} must be less than 2^31")
    return values


Whole = Annotated[int, Strict(), BeforeValidator(whole)]
_NUMBER = WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 2**31 - 1})  # as `distinct` has it
Numbers = Annotated[list[Annotated[Whole, _NUMBER]], Field(max_length=1000), AfterValidator(distinct)]

Name = Annotated[str, Field(max_length=100)]  # of what becomes a part of file names
Text = Annotated[str, Field(max_length=1000)]  # a path, or an address

UPDATES = 10**8  # a hundred times the longest trainings of the field
TOKENS = 10**7  # of a batch, or of a text that is read at once
EXAMPLES = 10**9  # more than any corpus has


class Section(BaseModel):
    """A part of the configuration: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _number_or_not(cls, value: Any, info: ValidationInfo) -> Any:
        """A truth value is no number, though Python counts with it; a huge number is told its limit as any other is."""
        if isinstance(value, float) and abs(value) >= 2**53 and value.is_integer():
            return int(value)
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true and false are values of other keys")
        return value


def track_of(section: Any) -> str:
    """The track of a section, `mt` where it names none; what tells the kinds of a section apart."""
    found = section.get("track", "mt") if isinstance(section, Mapping) else getattr(section, "track", "mt")
    return str(found)


class Dataset(Section):
    """A parallel corpus and how it is prepared."""

    track: Literal["mt"] = Field("mt", description="translation")
    corpus: Text = Field(description="one that `headprune data` lists, or a folder of one's own, docs/own-corpora.md")
    vocabulary: int = Field(2000, ge=100, le=10**6, description="subword units, source and target joined")
    max_words: int | None = Field(
        None, ge=1, le=10**6, description="train pairs with more words on either side are left out; null: none"
    )

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
    """A text corpus for language modeling and how it is prepared."""

    track: Literal["lm"] = Field(description="language modeling")
    corpus: Text = Field(description="one that `headprune data` lists, or a folder of one's own, docs/own-corpora.md")
    units: Literal["bpe", "words", "characters", "bytes"] = Field("bpe", description="what a token is")
    vocabulary: int | None = Field(
        2000, ge=100, le=10**7, description="bpe: pieces; others: the most frequent units are known, null: all"
    )
    minimum_count: int = Field(
        1, ge=1, le=EXAMPLES, description="units that the train split has less often are unknown"
    )
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

    def recipe(self) -> LanguageModelingRecipe:
        return LanguageModelingRecipe(self.units, self.vocabulary, self.minimum_count, self.split_punctuation)


AnyDataset = Annotated[Annotated[Dataset, Tag("mt")] | Annotated[TextDataset, Tag("lm")], Discriminator(track_of)]


WIDTH = 2**17  # several times that of the largest Transformers
MOST_HEADS = 100_000  # of a model; every table has a column or a row for each


def check_heads(width: int, heads: int, total: int) -> None:
    """:raises ValueError: heads that do not divide the width, or more than anybody could look at."""
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")
    if total > MOST_HEADS:
        raise ValueError(f"layers and heads {heads}: {total:,} heads in all; at most {MOST_HEADS:,} are supported")


class Architecture(Section):
    """The Transformer; defaults are fairseq's `transformer` except where smaller."""

    width: int = Field(512, ge=1, le=WIDTH, description="model dimension d")
    feed_forward: int = Field(2048, ge=1, le=WIDTH, description="inner dimension of the feed-forward sublayers")
    encoder_layers: int = Field(6, ge=1, le=1000, description="each with a module of self-attention")
    decoder_layers: int = Field(6, ge=1, le=1000, description="each with a module of self- and one of cross-attention")
    heads: int = Field(8, ge=1, le=1000, description="heads of every attention module")
    normalize_before: bool = Field(False, description="pre-norm instead of post-norm")
    share_embeddings: bool = Field(True, description="one embedding for encoder, decoder and output")
    dropout: float = Field(0.1, ge=0, lt=1, description="of embeddings and of what every sublayer adds")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="of attention probabilities")
    activation_dropout: float = Field(0.0, ge=0, lt=1, description="inside the feed-forward sublayers")
    activation: Literal["relu", "gelu"] = Field("relu", description="of the feed-forward sublayers")

    @model_validator(mode="after")
    def _possible(self) -> Architecture:
        check_heads(self.width, self.heads, self.n_heads)
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
    many parameters; docs/theory/all-attention.md. Dropouts of the paper in brackets."""

    width: int = Field(512, ge=1, le=WIDTH, description="model dimension d")
    layers: int = Field(16, ge=1, le=1000, description="each with a module of self-attention")
    heads: int = Field(8, ge=1, le=1000, description="heads of every layer")
    persistent: int = Field(2048, ge=0, le=WIDTH, description="persistent vectors of every head, N; 0: none")
    feed_forward: int = Field(0, ge=0, le=WIDTH, description="inner dimension of feed-forward sublayers; 0: none")
    segment: int = Field(192, ge=1, le=WIDTH, description="tokens of a row per update, T")
    memory: int = Field(192, ge=0, le=WIDTH, description="earlier tokens that every token sees, M")
    dropout: float = Field(0.1, ge=0, lt=1, description="of a layer's output (0.1)")
    attention_dropout: float = Field(0.2, ge=0, lt=1, description="of attention probabilities (0.2)")
    input_dropout: float = Field(0.1, ge=0, lt=1, description="of embeddings and relative positions (0.1)")
    output_dropout: float = Field(0.1, ge=0, lt=1, description="before the softmax (0.1)")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="of whole rows of the embedding (0.1)")
    cutoffs: list[Annotated[int, Field(ge=1, le=10**7)]] = Field(
        default_factory=list, max_length=20, description="adaptive input and softmax; empty: plain ones"
    )
    factor: int = Field(4, ge=1, le=1000, description="by which the width shrinks from band to band")
    share_embeddings: bool = Field(True, description="tie input and output embeddings")
    final_norm: bool = Field(False, description="a layer norm after the last layer (paper: none)")
    initialisation: Literal["shim", "sukhbaatar"] = Field(
        "shim", description="of persistent vectors: as small as projections (shim), or of unit variance when scaled"
    )

    @model_validator(mode="after")
    def _possible(self) -> LanguageArchitecture:
        check_heads(self.width, self.heads, self.n_heads)
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

    updates: int = Field(ge=1, le=UPDATES, description="optimiser updates")
    update_freq: int = Field(1, ge=1, le=100_000, description="batches accumulated per update")
    learning_rate: float = Field(5e-4, gt=0, le=1e30, description="peak")
    warmup: int = Field(4000, ge=0, le=UPDATES, description="updates of linear warm-up")
    schedule: Literal["inverse_sqrt", "linear", "cosine", "constant"] = Field(
        "inverse_sqrt", description="after the warm-up"
    )
    optimiser: Literal["adam", "lamb"] = Field("adam", description="LAMB scales every tensor's step by its norm")
    weight_decay: float = Field(0.0, ge=0, le=1e6, description="of the weights themselves; 0: none")
    clip_norm: float = Field(0.0, ge=0, le=1e6, description="largest norm of a gradient; 0: no clipping")
    beta2: float = Field(0.98, gt=0, lt=1, description="decay of the optimiser's second moment")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of weights and activations in training")
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        le=UPDATES,
        description="updates between validations, which select the checkpoint; null: every epoch",
    )
    workers: int = Field(
        1, ge=1, le=1024, description="processes that share a training, each with a GPU and batches of its own"
    )


class Training(Optimisation):
    """Of translation."""

    max_tokens: int = Field(4096, ge=1, le=TOKENS, description="tokens of the longer side per batch and device")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability spread over the vocabulary")


class StreamTraining(Optimisation):
    """Of language models: truncated back-propagation through time over contiguous rows."""

    rows: int = Field(32, ge=1, le=TOKENS, description="streams side by side per batch and device, B")
    roll: bool = Field(True, description="shift every row by a random offset every epoch")


class Subject(Section):
    """What models of all tracks share: the part of the grid that is theirs."""

    budgets: Numbers | None = Field(None, description="heads kept, K; null: the profile's")
    seeds: Numbers | None = Field(None, description="those of the profile's that the model has; null: all")


class Model(Subject):
    """A translation model to prune: data, architecture and training."""

    track: Literal["mt"] = Field("mt", description="translation")
    dataset: Name = Field(description="a key of `datasets`")
    architecture: Architecture = Field(description="its shape")
    training: Training = Field(description="how it is trained")


class LanguageModel(Subject):
    """A language model to prune."""

    track: Literal["lm"] = Field(description="language modeling")
    dataset: Name = Field(description="a key of `datasets`")
    architecture: LanguageArchitecture = Field(description="its shape")
    training: StreamTraining = Field(description="how it is trained")


AnyModel = Annotated[Annotated[Model, Tag("mt")] | Annotated[LanguageModel, Tag("lm")], Discriminator(track_of)]
_DATASET: TypeAdapter[Dataset | TextDataset] = TypeAdapter(AnyDataset)
_MODEL: TypeAdapter[Model | LanguageModel] = TypeAdapter(AnyModel)


def dataset_from(values: Mapping[str, Any]) -> Dataset | TextDataset:
    """The section of a dataset from plain values."""
    return _DATASET.validate_python(values)


def model_from(values: Mapping[str, Any]) -> Model | LanguageModel:
    """The section of a model from plain values."""
    return _MODEL.validate_python(values)
