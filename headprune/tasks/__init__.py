"""Tasks, by the name that the key `track` of a profile and the column `track` of tables give them.

A task is a folder. Those of the library are registered below; a package that is installed beside it brings its own by
an entry point of the group `headprune.tasks`, docs/adding-a-task.md. Importing this package imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from headprune.naming import unknown
from headprune.results import vocabulary
from headprune.tasks.base import Task
from headprune.tasks.language_blocks import LANGUAGE_BLOCKS
from headprune.tasks.language_modeling import LANGUAGE_MODELING
from headprune.tasks.nli import LANGUAGE_INFERENCE
from headprune.tasks.translation import TOKEN_TRANSLATION, TRANSLATION

GROUP = "headprune.tasks"  # of entry points
DEFAULT = TRANSLATION  # of a section or a table that names no task, or one that nobody knows
TASKS: dict[str, Task] = {}


def register(task: Task) -> None:
    """Makes a task known, with its metrics and kinds of outputs.

    :raises ValueError: its name, or one of a metric or a kind of outputs, stands for something else already; or the
        metric that stands for quality has no unit.
    """
    if task.name in TASKS:
        raise ValueError(f"there is a task {task.name!r} already")
    if task.metric not in {**vocabulary.COMMON, **task.metrics}:
        raise ValueError(f"the metric of task {task.name!r}: " + unknown("metric", task.metric, task.metrics))
    vocabulary.extend(task.metrics, task.kinds, task.checkpoints)
    TASKS[task.name] = task


def track_of(section: Any) -> str:
    """The task that a section of a profile names, or that takes it where it names none."""
    if isinstance(section, Mapping):
        taking = (task.name for task in TASKS.values() if task.takes(section))
        return str(section.get("track", next(taking, DEFAULT.name)))
    return str(getattr(section, "track", DEFAULT.name))


def units_of(track: str) -> dict[str, str]:
    """Units that depend on the task, by metric; none of a task that nobody knows."""
    return TASKS[track].units if track in TASKS else {}


def latency_of(track: str) -> str:
    """The thing that a latency is the time of, for the eye: a sentence, a token."""
    return TASKS[track].latency if track in TASKS else "example"


def examples_of(track: str) -> str:
    """The name of the examples that methods see, in the plural."""
    return TASKS[track].examples if track in TASKS else "examples"


def _register_installed() -> None:
    """:raises ImportError: an entry point leads to nothing that can be registered; the message names it."""
    for point in entry_points(group=GROUP):
        try:
            register(point.load())
        except Exception as error:
            raise ImportError(f"the task {point.name!r} of {point.value} cannot be used: {error}") from error


for each in (TRANSLATION, TOKEN_TRANSLATION, LANGUAGE_MODELING, LANGUAGE_BLOCKS, LANGUAGE_INFERENCE):
    register(each)
_register_installed()
