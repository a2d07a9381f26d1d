"""The section of a profile about an All-Attention language model that somebody has."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from headprune.settings import GivenSubject, PreparedData
from headprune.tasks.language_modeling.sections import LanguageArchitecture, StreamTraining

# Keys of an architecture that fairseq's arguments have under another name.
NAMES = {"feed_forward": "ffn_dim", "memory": "memory_length", "factor": "adaptive_factor"}
OF_THE_PROFILE = {"cutoffs", "segment"}


class GivenStreamModel(GivenSubject):
    """An All-Attention language model, or a Transformer-XL, in a checkpoint of this suite's. docs/own-models.md"""

    track: Literal["lm"] = Field(description="language modeling; unless given, that of the dataset")
    segment: int | None = Field(
        None, ge=1, le=10**6, description="tokens of a row per update, T; null: as many as the memory holds"
    )
    further_training: StreamTraining | None = Field(
        None, description="how gates, and what is left of the model, are trained; null: nothing is"
    )

    @property
    def architecture(self) -> LanguageArchitecture:
        """The shape that the checkpoint tells, that of all seeds."""
        told = self.shape.outline.arguments
        keys = set(LanguageArchitecture.model_fields) - OF_THE_PROFILE
        known = {key: told[name] for key in keys if told.get(name := NAMES.get(key, key)) is not None}
        cutoffs = [int(part) for part in str(told.get("adaptive_cutoff") or "").split(",") if part]
        segment = self.segment or known["memory"] or LanguageArchitecture.model_fields["segment"].default
        return LanguageArchitecture(**known | {"cutoffs": cutoffs, "segment": segment})

    def check(self, dataset: PreparedData) -> None:
        from headprune.checkpoints import outline_of
        from headprune.removal import LANGUAGE_MODEL

        for seed, place in self.places:
            key = "checkpoint" if seed is None else f"checkpoints.{seed}"
            try:
                found = outline_of(Path(place))
            except (ValueError, FileNotFoundError) as error:
                raise ValueError(f"{key}: {error}") from None
            if found.kind != LANGUAGE_MODEL.architecture:
                told = found.description.architecture
                raise ValueError(f"{key}: {place} is of architecture {told!r}; `track: lm_blocks` reads text in blocks")
