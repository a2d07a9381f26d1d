"""The base of the sections of datasets, whatever their task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from headprune.data.kinds import CorpusKind
from headprune.data.lengths import Bounds
from headprune.data.splits import unknown_dataset
from headprune.settings.base import Name, Section, Text
from headprune.settings.paths import beside_the_profile


class PreparedData(Section):
    """Data that models read, and how they are prepared."""

    track: Name = Field(description="the task")

    @property
    def origin(self) -> str:
        """The place that the data are from, for the eye."""
        raise NotImplementedError

    def prepare(self, folder: Path, bounds: Bounds) -> dict[str, Any]:
        """Fetches the corpus where that is needed, and prepares it; `folder` appears complete or not at all.

        :param bounds: what will be asked of the splits
        :returns: the content of statistics.json, which lies in `folder`: `corpus`; `sha256` of `test` and of
            `train+valid`; `recipe`, how it was prepared; `splits`
        :raises ValueError: the corpus is damaged, or a split is out of its bounds.
        """
        raise NotImplementedError

    def check_prepared(self, folder: Path, bounds: Bounds) -> None:
        """Asks of what lies in `folder` what `prepare` would, without doing its work again.

        Says nothing where nothing lies there, or where it was made of another corpus or in another way.

        :raises ValueError: a split is out of its bounds.
        """


class Material(PreparedData):
    """A corpus and how it is prepared. Every task has its own kind, which names its `track`.

    :cvar corpora: the kind of its corpora; None: what `corpus` says is left to the task
    """

    corpora: ClassVar[CorpusKind | None] = None

    corpus: Text = Field(
        description="one that `headprune data` lists, or a folder of one's own, docs/own-corpora.md; a relative path "
        "begins at the folder of the profile's file"
    )

    @field_validator("corpus")
    @classmethod
    def _there(cls, value: str, info: ValidationInfo) -> str:
        """The name of a known corpus as it is, anything else as the absolute path of a folder."""
        if cls.corpora is None:
            return value
        place = value if value in cls.corpora.names else beside_the_profile(value, info)
        if place != value and not Path(place).is_dir():
            raise ValueError(unknown_dataset(value, cls.corpora.names, place))
        cls.corpora.find(place)
        return place

    @property
    def origin(self) -> str:
        return f"corpus {self.corpus}"
