"""The base of the datasets that jobs read: folders that a profile's data were prepared in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch


class PreparedCorpus:
    """A dataset as its section prepared it.

    :param folder: the folder given to `prepare`
    :param device: where its batches are
    :param sealed: refuse the test set: what is not to read it has no use for an object that does
    """

    def __init__(self, folder: str | Path, device: torch.device | str = "cpu", sealed: bool = False) -> None:
        self.folder, self.device, self.sealed = Path(folder), device, sealed

    @cached_property
    def statistics(self) -> Mapping[str, Any]:
        """The content of statistics.json."""
        return json.loads((self.folder / "statistics.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    @property
    def binarised(self) -> Path:
        """The folder that fairseq reads."""
        return self.folder / "bin"

    def require_open(self, split: str) -> None:
        """:raises ValueError: the split is sealed."""
        if self.sealed and split == "test":
            raise ValueError(f"{self.folder}: the test set is sealed; only a job of its own reads it")

    def require_whole(self, split: str, found: int, units: str) -> None:
        """:raises ValueError: a split holds another number of pairs, tokens, … than were prepared.

        :param units: what is counted, a key of its statistics
        """
        expected = self.statistics["splits"][split][units]
        if found != expected:
            raise ValueError(f"{self.folder}: split {split} holds {found} {units}, {expected} were prepared")


def require_dictionary(
    own: Any, words: Any, part: str = "model", remedy: str = "the data that the model was trained on"
) -> None:
    """Asks whether a model numbers words as its data do.

    :param own: fairseq's dictionary of the model, or of a part of it
    :param words: that of the data
    :param remedy: what is to be given instead
    :raises ValueError: they differ.
    """
    if own.symbols != words.symbols:
        raise ValueError(
            f"the dictionary of the {part} has {len(own)} symbols, that of the data {len(words)}, or others: give "
            f"{remedy}"
        )
