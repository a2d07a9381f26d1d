"""The outline of a checkpoint's model: all that a plan must know of it, for a fraction of the time of opening it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from headprune.checkpoints.building import arguments_of, build, family
from headprune.checkpoints.description import Description, describe
from headprune.checkpoints.dictionaries import stand_in
from headprune.heads import HeadSpace
from headprune.results.provenance import file_sha256


@dataclass(frozen=True)
class Outline:
    """A model in a checkpoint, without its numbers.

    :param sha256: of the file
    :param kind: the architecture of our own that it is opened as
    :param arguments: of the model, flat, those that the file leaves out as its architecture sets them
    :param heads: names of its heads, in the order of the head space
    :param parameters: numbers in the file, embeddings among them
    """

    description: Description
    sha256: str
    kind: str
    arguments: Mapping[str, Any]
    heads: tuple[str, ...]
    parameters: int

    @property
    def positions(self) -> tuple[int, int]:
        """The most tokens of a source and of a target that the model takes; of a language model's text the latter."""
        told = {**self.description.task, **self.arguments}
        target = self.arguments.get("max_target_positions") or told.get("tokens_per_sample")
        return int(self.arguments.get("max_source_positions") or 1024), int(target or 1024)  # as fairseq has them

    @property
    def provenance(self) -> dict[str, Any]:
        """The part of a record that says where a model is from, as plain data."""
        found = self.description
        return {
            "sha256": self.sha256,
            "architecture": found.architecture,
            "form": found.form,
            "languages": list(found.pair),
            "updates": found.updates,
            "parameters": self.parameters,
        }


def outline_of(path: Path) -> Outline:
    """The outline of the model in a checkpoint; a file that has not changed is read once in a process.

    :raises FileNotFoundError: there is none.
    :raises ValueError: no model whose heads can be removed; see `describe` and `build`; or some were removed before.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    state = path.stat()
    return _outline(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _outline(path: Path, size: int, changed: int) -> Outline:
    found = describe(path)
    kind = family(found)
    dictionaries = [stand_in(found.words.get(part, 0)) for part in kind.parts]
    arguments = arguments_of(found)
    with warnings.catch_warnings(), torch.device("meta"):  # shapes without numbers
        warnings.simplefilter("ignore")  # says of every tensor that it has none
        space = HeadSpace.prunable(build(found, dictionaries))
        whole = HeadSpace.of(kind.build(arguments | {"keep_heads": None}, dictionaries))
    if space != whole:
        raise ValueError(
            f"{path} has {len(space)} of {len(whole)} heads: it was pruned before; `headprune prune` prunes it "
            "further, a profile starts from whole models"
        )
    total = sum(tensor.numel() for tensor in found.weights.values())
    return Outline(found, file_sha256(path), kind.architecture, arguments, space.names, total)
