"""The base of the sections of datasets, whatever their task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from headprune.data.lengths import Bounds
from headprune.settings.base import Name, Section, Text


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
    """A corpus and how it is prepared. Every task has its own kind, which names its `track`."""

    corpus: Text = Field(description="one that `headprune data` lists, or a folder of one's own, docs/own-corpora.md")

    @property
    def origin(self) -> str:
        return f"corpus {self.corpus}"
