"""The way from a request to a model with its data, whatever it models."""

from __future__ import annotations

from dataclasses import replace

from headprune.checkpoints import open_model
from headprune.heads import HeadSpace
from headprune.models.devices import device
from headprune.own.request import PruningRequest, budget_of
from headprune.own.sentence_pairs import SentencePairs
from headprune.own.text_blocks import TextBlocks
from headprune.own.text_data import numbered
from headprune.own.text_files import dictionaries_of, text_splits
from headprune.own.workpiece import Workpiece
from headprune.system.files import discard

TASKS: dict[str, type[SentencePairs] | type[TextBlocks]] = {
    "translation": SentencePairs,
    "language_modeling": TextBlocks,
}


def workpiece(request: PruningRequest) -> Workpiece:
    """Open a model and its data; of text its binarised form is written into the folder of the results.

    :raises ValueError: a model that cannot be pruned, or of a task whose data are not known; data that are not its
        own, or lack a split; more heads to keep than there are.
    """
    text = bool(text_splits(request.data))
    given = (request.data, request.checkpoint, request.dictionaries)
    dictionaries = dictionaries_of(*given) if text else request.data
    opened = open_model(request.checkpoint, dictionaries)
    task = opened.description.task_name
    if task not in TASKS:
        raise ValueError(
            f"{request.checkpoint} is of task {task!r} and architecture {opened.description.architecture!r}; data are "
            f"read of {' and '.join(map(repr, TASKS))} alone"
        )
    for keep in request.keep:
        budget_of(keep, len(HeadSpace.prunable(opened.model)))
    opened = replace(opened, model=opened.model.to(device()))
    if not text:
        return TASKS[task].of(request, opened)
    new = not request.out.exists()
    try:
        return TASKS[task].of(numbered(request, opened, dictionaries), opened)
    except (ValueError, OSError):
        if new:
            discard(request.out)
        raise
