"""The sections of a profile about natural language inference: its corpora, architecture and training.

Every field carries its help text; the YAML files under `workflows/config/` comment why a value was chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from headprune.data import check_prepared, prepare
from headprune.data.lengths import Bounds
from headprune.data.standard import obtain
from headprune.heads import HeadSpace
from headprune.settings import (
    WIDTH,
    Material,
    Place,
    PreparedData,
    Shape,
    Subject,
    check_heads,
)
from headprune.tasks.nli.corpora import JUDGED, judged_corpus
from headprune.tasks.nli.recipe import JudgedRecipe
from headprune.tasks.nli.standard import STANDARD_JUDGED
from headprune.tasks.nli.subwords import Released
from headprune.tasks.nli.trainings import ExampleTraining, JudgingStart


class JudgedDataset(Material):
    """A corpus of judged sentence pairs and how it is prepared."""

    corpora = JUDGED

    track: Literal["nli"] = Field(description="natural language inference")
    vocabulary: int = Field(2000, ge=100, le=10**6, description="subword units, of premises and hypotheses together")
    gpt2: Place | None = Field(
        None,
        description="folder with GPT-2's `encoder.json`, `vocab.bpe` and the `dict.txt` of a released RoBERTa; their "
        "subwords are used instead; a relative path begins at the folder of the profile's file",
    )

    @field_validator("gpt2")
    @classmethod
    def _whole(cls, value: str | None) -> str | None:
        if value is not None:
            Released(Path(value))
        return value

    @model_validator(mode="after")
    def _one_kind_of_subwords(self) -> JudgedDataset:
        if self.gpt2 is not None and "vocabulary" in self.model_fields_set:
            raise ValueError(f"vocabulary is {self.vocabulary}, beside `gpt2`: its dictionary tells how many there are")
        return self

    def source(self) -> Any:
        """The corpus itself."""
        return judged_corpus(self.corpus)

    def recipe(self) -> JudgedRecipe:
        return JudgedRecipe(self.vocabulary, None if self.gpt2 is None else Path(self.gpt2))

    def prepare(self, folder: Path, bounds: Bounds) -> dict[str, Any]:
        if self.corpus in STANDARD_JUDGED:
            obtain(STANDARD_JUDGED[self.corpus])
        return prepare(self.source(), self.recipe(), folder, bounds)

    def check_prepared(self, folder: Path, bounds: Bounds) -> None:
        check_prepared(self.source(), self.recipe(), folder, bounds)


class RobertaArchitecture(Shape):
    """fairseq's RoBERTa under its classification head; defaults are those of `roberta`, which are BERT-base's."""

    width: int = Field(768, ge=1, le=WIDTH, description="model dimension d")
    feed_forward: int = Field(3072, ge=1, le=WIDTH, description="inner dimension of the feed-forward sublayers")
    layers: int = Field(12, ge=1, le=1000, description="each with a module of self-attention")
    heads: int = Field(12, ge=1, le=1000, description="heads of every attention module")
    positions: int = Field(
        512, ge=8, le=WIDTH, description="subwords of a pair with the marks around them; longer pairs lose their end"
    )
    normalize_before: bool = Field(False, description="pre-norm instead of post-norm")
    dropout: float = Field(0.1, ge=0, lt=1, description="of embeddings and of what every sublayer adds")
    attention_dropout: float = Field(0.1, ge=0, lt=1, description="of attention probabilities")
    activation_dropout: float = Field(0.0, ge=0, lt=1, description="inside the feed-forward sublayers")
    pooler_dropout: float = Field(0.0, ge=0, lt=1, description="in the classification head")
    activation: Literal["relu", "gelu"] = Field("gelu", description="of the feed-forward sublayers")

    @model_validator(mode="after")
    def _possible(self) -> RobertaArchitecture:
        check_heads(self.width, self.heads, self.n_heads)
        return self

    @property
    def head_space(self) -> HeadSpace:
        """One encoder module per layer."""
        return HeadSpace.from_names(f"encoder.{i}.{h}" for i in range(self.layers) for h in range(self.heads))

    @property
    def n_heads(self) -> int:
        return self.heads * self.layers


class JudgingModel(Subject):
    """A model that judges pairs of sentences, to prune."""

    track: Literal["nli"] = Field(description="natural language inference")
    architecture: RobertaArchitecture = Field(description="its shape")
    start: JudgingStart | None = Field(None, description="weights that its trainings begin with; null: random ones")
    training: ExampleTraining = Field(description="how it is trained")

    @property
    def begins_with(self) -> JudgingStart | None:
        return self.start

    def content(self, seed: int) -> str:
        return self.start.content if self.start is not None else ""

    def check(self, dataset: PreparedData) -> None:
        if self.start is None or self.start.checkpoint is None:
            return
        if not isinstance(dataset, JudgedDataset) or dataset.gpt2 is None:
            raise ValueError(
                f"start.checkpoint: dataset {self.dataset!r} has subwords and a dictionary of its own; give it `gpt2`, "
                "the folder with those that the checkpoint was trained with"
            )
        from headprune.tasks.nli.released import require_fit  # imports torch

        try:
            require_fit(Path(self.start.checkpoint), self.architecture, Path(dataset.gpt2))
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"start.checkpoint: {error}") from None
