"""The sections of a profile about language modeling: its corpora, architecture and training.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from headprune.data import LanguageModelingRecipe, check_prepared, ensure, prepare, text_corpus
from headprune.data.kinds import TEXT
from headprune.data.lengths import Bounds
from headprune.heads import HeadSpace
from headprune.settings import EXAMPLES, TOKENS, WIDTH, FastOptimisation, Material, Shape, Subject, check_heads


class TextDataset(Material):
    """A text corpus for language modeling and how it is prepared."""

    corpora = TEXT

    track: Literal["lm"] = Field(description="language modeling")
    units: Literal["bpe", "words", "characters", "bytes"] = Field("bpe", description="what a token is")
    vocabulary: int | None = Field(
        2000, ge=100, le=10**7, description="bpe: pieces; others: the most frequent units are known, null: all"
    )
    minimum_count: int = Field(
        1, ge=1, le=EXAMPLES, description="units that the train split has less often are unknown"
    )
    split_punctuation: bool = Field(False, description="words: punctuation apart, which raw text needs")

    @model_validator(mode="after")
    def _consistent(self) -> TextDataset:
        self.recipe()
        return self

    def source(self) -> Any:
        """The corpus itself."""
        return text_corpus(self.corpus)

    def recipe(self) -> LanguageModelingRecipe:
        return LanguageModelingRecipe(self.units, self.vocabulary, self.minimum_count, self.split_punctuation)

    def prepare(self, folder: Path, bounds: Bounds) -> dict[str, Any]:
        ensure(self.corpus)
        return prepare(self.source(), self.recipe(), folder, bounds)

    def check_prepared(self, folder: Path, bounds: Bounds) -> None:
        check_prepared(self.source(), self.recipe(), folder, bounds)


class LanguageArchitecture(Shape):
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


class StreamTraining(FastOptimisation):
    """The training of language models: truncated back-propagation through time over contiguous rows."""

    rows: int = Field(32, ge=1, le=TOKENS, description="streams side by side per batch and device, B")
    roll: bool = Field(True, description="shift every row by a random offset every epoch")


class LanguageModel(Subject):
    """A language model to prune."""

    track: Literal["lm"] = Field(description="language modeling")
    architecture: LanguageArchitecture = Field(description="its shape")
    training: StreamTraining = Field(description="how it is trained")
