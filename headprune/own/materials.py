"""The way from a request to a model with its data, whatever it models."""

from __future__ import annotations

from dataclasses import replace

from headprune.checkpoints import open_model
from headprune.models.devices import device
from headprune.own.request import PruningRequest
from headprune.own.sentence_pairs import SentencePairs
from headprune.own.text_blocks import TextBlocks
from headprune.own.workpiece import Workpiece

TASKS: dict[str, type[SentencePairs] | type[TextBlocks]] = {
    "translation": SentencePairs,
    "language_modeling": TextBlocks,
}


def workpiece(request: PruningRequest) -> Workpiece:
    """Open a model and its data.

    :raises ValueError: a model that cannot be pruned, or of a task whose data are not known; data that are not its
        own, or lack a split.
    """
    opened = open_model(request.checkpoint, request.data)
    task = opened.description.task_name
    if task not in TASKS:
        raise ValueError(
            f"{request.checkpoint} is of task {task!r} and architecture {opened.description.architecture!r}; data are "
            f"read of {' and '.join(map(repr, TASKS))} alone"
        )
    return TASKS[task].of(request, replace(opened, model=opened.model.to(device())))
