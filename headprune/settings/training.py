"""The base of the sections of models, whatever their task: the training, the shape, the part of the grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from headprune.heads import HeadSpace
from headprune.settings.base import UPDATES, Name, Numbers, Section

if TYPE_CHECKING:
    from headprune.settings.datasets import PreparedData
    from headprune.settings.starts import Start

WIDTH = 2**17  # several times that of the largest Transformers
MOST_HEADS = 100_000  # of a model; every table has a column or a row for each


def check_heads(width: int, heads: int, total: int) -> None:
    """:raises ValueError: heads that do not divide the width, or more than anybody could look at."""
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")
    if total > MOST_HEADS:
        raise ValueError(f"layers and heads {heads}: {total:,} heads in all; at most {MOST_HEADS:,} are supported")


class Shape(Section):
    """The architecture of a model: where its heads are."""

    @property
    def head_space(self) -> HeadSpace:
        """Every head of the model, module by module."""
        raise NotImplementedError

    @property
    def n_heads(self) -> int:
        """The number of heads, counted without making them."""
        raise NotImplementedError


class Optimisation(Section):
    """The training of an unpruned model; joint gate methods train the same way."""

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


class FastOptimisation(Optimisation):
    """A training of a model whose steps have a fast way."""

    steps: Literal["fast", "fairseq"] = Field(
        "fast",
        description="on the CPU: fewer and larger operations, equal but for rounding and the draws of dropout; or "
        "fairseq's, bit for bit",
    )


class ModelKeys(Section):
    """The keys that models have however they came about. Every task has its own kinds, which name its `track`."""

    budgets: Numbers | None = Field(None, description="heads kept, K; null: the profile's")
    seeds: Numbers | None = Field(None, description="those of the profile's that the model has; null: all")
    track: Name = Field(description="the task")
    dataset: Name = Field(description="a key of `datasets`")

    def told(self, seed: int) -> dict[str, Any]:
        """The plain values that a job of a seed is told, from which the section is made again."""
        return self.model_dump(exclude_defaults=True, exclude={"budgets", "seeds"})

    def content(self, seed: int) -> str:
        """The sha256 of the file that the model of a seed is given as, or begins with; empty: there is none."""
        return ""

    @property
    def begins_with(self) -> Start | None:
        """The weights that its trainings begin with; None: random ones, or it is given."""
        return None

    def check(self, dataset: PreparedData) -> None:
        """Asks whether the files that the section names fit it, and these data; nothing is prepared or written.

        :raises ValueError: one does not; names key, value and rule.
        :raises FileNotFoundError: there is no file, or no data.
        """


class Subject(ModelKeys):
    """A model to prune: data, architecture and training."""

    architecture: Shape = Field(description="its shape")
    training: Optimisation = Field(description="how it is trained")

    @property
    def trains(self) -> bool:
        """True if gates, or what is left of the model, can be trained."""
        return True

    @model_validator(mode="before")
    @classmethod
    def _trained_here(cls, values: Any) -> Any:
        for key in ("checkpoint", "checkpoints"):
            if isinstance(values, Mapping) and key in values:
                raise ValueError(
                    f"{key}: a profile trains the models of this track; `headprune prune` opens those of others, "
                    "docs/own-models.md"
                )
        return values
