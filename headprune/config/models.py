"""Datasets and models of a profile: what is trained before anything is pruned. Every task has its own kinds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Discriminator, Tag, TypeAdapter

from headprune.settings import Material, Subject
from headprune.tasks import TASKS, track_of


def _one_of(kinds: Mapping[str, Any]) -> Any:
    """A section of one of these kinds, by the task that it names."""
    tagged = (Annotated[kind, Tag(track)] for track, kind in kinds.items())
    return Annotated[reduce(or_, tagged), Discriminator(track_of)]


if TYPE_CHECKING:
    AnyDataset: TypeAlias = Material
    AnyModel: TypeAlias = Subject
else:
    AnyDataset = _one_of({task.name: task.dataset for task in TASKS.values()})
    AnyModel = _one_of({task.name: task.model for task in TASKS.values()})

_DATASET: TypeAdapter[Material] = TypeAdapter(AnyDataset)
_MODEL: TypeAdapter[Subject] = TypeAdapter(AnyModel)


def dataset_from(values: Mapping[str, Any]) -> Material:
    """The section of a dataset from plain values."""
    return _DATASET.validate_python(values)


def model_from(values: Mapping[str, Any]) -> Subject:
    """The section of a model from plain values."""
    return _MODEL.validate_python(values)
