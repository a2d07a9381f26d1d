"""The sections of a profile about translation: its corpora, architecture and training.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from headprune.data import TranslationRecipe, check_prepared, corpus, ensure, prepare
from headprune.data.kinds import PAIRS
from headprune.data.lengths import Bound, Bounds
from headprune.heads import HeadSpace
from headprune.settings import TOKENS, WIDTH, FastOptimisation, Material, Shape, Subject, check_heads

POSITIONS = 1024  # fairseq leaves longer sentences out of training, and stops at them in validation


class Dataset(Material):
    """A parallel corpus and how it is prepared."""

    corpora = PAIRS

    track: Literal["mt"] = Field("mt", description="translation")
    vocabulary: int = Field(2000, ge=100, le=10**6, description="subword units, source and target joined")
    max_words: int | None = Field(
        None, ge=1, le=10**6, description="train pairs with more words on either side are left out; null: none"
    )

    def source(self) -> Any:
        """The corpus itself."""
        return corpus(self.corpus)

    def recipe(self) -> TranslationRecipe:
        return TranslationRecipe(vocabulary=self.vocabulary, max_words=self.max_words)

    def prepare(self, folder: Path, bounds: Bounds) -> dict[str, Any]:
        ensure(self.corpus)
        return prepare(self.source(), self.recipe(), folder, bounds)

    def check_prepared(self, folder: Path, bounds: Bounds) -> None:
        check_prepared(self.source(), self.recipe(), folder, bounds)


class Architecture(Shape):
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


class Training(FastOptimisation):
    """The training of translation models."""

    max_tokens: int = Field(4096, ge=1, le=TOKENS, description="tokens of the longer side per batch and device")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability spread over the vocabulary")


class Model(Subject):
    """A translation model to prune: data, architecture and training."""

    track: Literal["mt"] = Field("mt", description="translation")
    architecture: Architecture = Field(description="its shape")
    training: Training = Field(description="how it is trained")

    @property
    def limits(self) -> dict[str, list[Bound]]:
        """The bounds that it sets sentences, by split; `{}` in a reason stands for its name."""
        fairseq = Bound(POSITIONS, "fairseq trains on no longer ones")
        own = [fairseq, Bound(self.training.max_tokens, "models.{}.training.max_tokens")]
        return {"train": own, "valid": own}

    def update(self, dataset: Dataset) -> tuple[int, int]:
        """Tokens of a batch, and parameters that every token goes through, attention and output layer included."""
        a = self.architecture
        layer = 4 * a.width**2 + 2 * a.width * a.feed_forward
        output = dataset.vocabulary * a.width
        parameters = a.encoder_layers * layer + a.decoder_layers * (layer + 4 * a.width**2) + output
        return self.training.max_tokens, parameters
