"""The contract of recipes, which make training data of a corpus: each is for one kind of corpus."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from headprune.data.lengths import Bounds
from headprune.data.splits import SplitFiles

C = TypeVar("C", bound=SplitFiles)


class Recipe(Generic[C]):
    """Base of the recipes, which are frozen dataclasses of plain values."""

    corpora: ClassVar[type[SplitFiles]]  # what it can prepare

    @property
    def told(self) -> dict[str, Any]:
        """The recipe as statistics.json tells it, and results depend on it: files by their content."""
        return asdict(self)  # type: ignore[call-overload]

    @abstractmethod
    def prepare(self, corpus: C, folder: Path | str, bounds: Bounds | None = None) -> dict[str, Any]:
        """Makes training data in a folder, which appears complete or not at all.

        :returns: the content of statistics.json
        """

    @abstractmethod
    def text(self, corpus: C) -> dict[str, str]:
        """The text of every split, by which a corpus is identified."""

    @abstractmethod
    def check(self, corpus: C, statistics: Mapping[str, Any], bounds: Bounds) -> None:
        """:raises ValueError: a split is out of its bounds, by what `prepare` counted."""
