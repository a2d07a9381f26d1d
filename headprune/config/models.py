"""Datasets and models of a profile: what is trained or given before anything is pruned. Tasks have their own kinds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Discriminator, Tag, TypeAdapter

from headprune.settings import AnySubject, PreparedData
from headprune.tasks import TASKS, track_of

GIVEN = " given"  # after the name of a task: its kind of what somebody has
MARKS = ("data_bin", "checkpoint", "checkpoints")  # keys of such sections


def _one_of(kinds: Mapping[str, Any]) -> Any:
    """A section of one of these kinds, by the task that it names and by whether it is of what somebody has."""

    def tag(section: Any) -> str:
        track = track_of(section)
        return f"{track}{GIVEN}" if is_given(section) and kinds.get(f"{track}{GIVEN}") else track

    tagged = (Annotated[kind, Tag(name)] for name, kind in kinds.items() if kind is not None)
    return Annotated[reduce(or_, tagged), Discriminator(tag)]


def is_given(section: Any) -> bool:
    """Return whether a section, plain or checked, is of data or a model that somebody has."""
    return any(mark in section if isinstance(section, Mapping) else hasattr(section, mark) for mark in MARKS)


def with_tracks(values: Any) -> Any:
    """A profile whose models from checkpoints are of the track of their dataset, unless they name another."""
    if not isinstance(values, Mapping) or not isinstance(values.get("models"), Mapping):
        return values
    datasets = values.get("datasets")
    known = datasets if isinstance(datasets, Mapping) else {}

    def completed(model: Any) -> Any:
        if not isinstance(model, Mapping) or "track" in model or not is_given(model):
            return model
        dataset = known.get(model["dataset"]) if isinstance(model.get("dataset"), str) else None
        return model if dataset is None else {**model, "track": track_of(dataset)}

    return {**values, "models": {name: completed(model) for name, model in values["models"].items()}}


if TYPE_CHECKING:
    AnyDataset: TypeAlias = PreparedData
    AnyModel: TypeAlias = AnySubject
else:
    AnyDataset = _one_of(
        {task.name: task.dataset for task in TASKS.values()}
        | {f"{task.name}{GIVEN}": task.given_dataset for task in TASKS.values()}
    )
    AnyModel = _one_of(
        {task.name: task.model for task in TASKS.values()}
        | {f"{task.name}{GIVEN}": task.given_model for task in TASKS.values()}
    )

_DATASET: TypeAdapter[PreparedData] = TypeAdapter(AnyDataset)
_MODEL: TypeAdapter[AnySubject] = TypeAdapter(AnyModel)


def dataset_from(values: Mapping[str, Any]) -> PreparedData:
    """The section of a dataset from plain values."""
    return _DATASET.validate_python(values)


def model_from(values: Mapping[str, Any]) -> AnySubject:
    """The section of a model from plain values."""
    return _MODEL.validate_python(values)
