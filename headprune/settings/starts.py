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
    pretraining: Optimisation | None = Field(None, description="how the model is pre-trained, a training per seed")

    @model_validator(mode="after")
    def _one_of_two(self) -> Start:
        if (self.checkpoint is None) == (self.pretraining is None):
            raise ValueError("one of `checkpoint`, weights of others, and `pretraining`, weights made here, is needed")
        return self

    @property
    def updates(self) -> int:
        """Updates that the weights take here; none of a checkpoint."""
        return self.pretraining.updates if self.pretraining is not None else 0
