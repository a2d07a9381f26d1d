"""The sections of a profile about trainings of models that judge: of labels, and of words before that."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field, model_validator

from headprune.results.provenance import file_sha256
from headprune.settings import FastOptimisation, Start


class ExampleTraining(FastOptimisation):
    """The training of models that judge."""

    batch_size: int = Field(32, ge=1, le=100_000, description="pairs per batch and device")


class Pretraining(ExampleTraining):
    """A training of masked words on the pairs of the train split, without their labels; fairseq's `masked_lm`."""

    mask: float = Field(0.15, gt=0, lt=1, description="share of subwords that are to be found again")
    random: float = Field(0.1, ge=0, le=1, description="share of these that have another subword in their place")
    unchanged: float = Field(0.1, ge=0, le=1, description="share of these that stay as they are; the rest is masked")

    @model_validator(mode="after")
    def _shares(self) -> Pretraining:
        if self.random + self.unchanged > 1:
            raise ValueError(f"random {self.random} and unchanged {self.unchanged} are more than 1 together")
        return self


class JudgingStart(Start):
    """Weights that all trainings of a model begin with; the classification head is new."""

    pretraining: Pretraining | None = Field(None, description="how masked words are trained on first")

    @property
    def content(self) -> str:
        """The sha256 of the checkpoint; empty: there is none."""
        return _sha256(Path(self.checkpoint)) if self.checkpoint is not None else ""


def _sha256(path: Path) -> str:
    state = path.stat()
    return _of_state(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _of_state(path: Path, size: int, changed: int) -> str:
    """A file that has not changed is read once in a process."""
    return file_sha256(path)
