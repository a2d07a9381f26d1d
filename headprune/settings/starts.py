"""The base of the sections that say what weights the trainings of a model begin with, where they are no random ones."""

from __future__ import annotations

from pydantic import Field, model_validator

from headprune.settings.base import Section
from headprune.settings.paths import Place
from headprune.settings.training import Optimisation


class Start(Section):
    """Weights that are there before a model is trained: of a checkpoint, or of a pre-training on the same text."""

    checkpoint: Place | None = Field(
        None, description="of fairseq, for every seed; a relative path begins at the folder of the profile's file"
    )
    pretraining: Optimisation | None = Field(None, description="how the model is pre-trained")
    seed: int | None = Field(
        None, ge=1, le=2**31 - 1, description="of the one pre-training that all seeds share; null: each has its own"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Start:
        if (self.checkpoint is None) == (self.pretraining is None):
            raise ValueError("one of `checkpoint`, weights of others, and `pretraining`, weights made here, is needed")
        if self.checkpoint is not None and self.seed is not None:
            raise ValueError(
                f"seed is {self.seed}; a `checkpoint` is what it is, only a `pretraining` is drawn by a seed"
            )
        return self

    def seed_for(self, seed: int) -> int:
        """The seed whose weights the trainings of a seed begin with."""
        return seed if self.seed is None else self.seed

    @property
    def updates(self) -> int:
        """Updates that the weights take here; none of a checkpoint."""
        return self.pretraining.updates if self.pretraining is not None else 0
