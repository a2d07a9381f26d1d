"""The sections of a profile about reversing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from headprune.data.lengths import Bounds
from headprune.heads import HeadSpace
from headprune.settings import Material, Optimisation, Shape, Subject, Text, check_heads


class Strings(Material):
    """Random strings, made on the spot."""

    track: Literal["reverse"] = Field(description="reversing")
    corpus: Text = Field("random", description="there is no other")
    strings: int = Field(200, ge=10, le=10_000, description="of the train split; a tenth in the others")
    length: int = Field(5, ge=2, le=100, description="symbols of a string")
    symbols: int = Field(6, ge=2, le=26, description="different ones")

    def prepare(self, folder: Path, bounds: Bounds) -> dict[str, Any]:
        from toy_task.data import prepare

        return prepare(self, folder, bounds)


class Layers(Shape):
    """An encoder and a decoder of as many layers."""

    width: int = Field(16, ge=2, le=512, description="model dimension")
    layers: int = Field(1, ge=1, le=4, description="of encoder and decoder each")
    heads: int = Field(4, ge=1, le=16, description="of every attention module")

    @model_validator(mode="after")
    def _possible(self) -> Layers:
        check_heads(self.width, self.heads, self.n_heads)
        return self

    @property
    def head_space(self) -> HeadSpace:
        modules = [f"{kind}.{layer}" for kind in ("encoder", "cross", "decoder") for layer in range(self.layers)]
        return HeadSpace.from_names(f"{module}.{head}" for module in modules for head in range(self.heads))

    @property
    def n_heads(self) -> int:
        return 3 * self.layers * self.heads


class Reading(Optimisation):
    """The training of a reverser."""

    batch_size: int = Field(20, ge=1, le=10_000, description="strings per batch")


class Reverser(Subject):
    """A model that reverses."""

    track: Literal["reverse"] = Field(description="reversing")
    architecture: Layers = Field(description="its shape")
    training: Reading = Field(description="how it is trained")
