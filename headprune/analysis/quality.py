"""The metric that stands for quality, by the task of a table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headprune.naming import unknown
from headprune.statistics.quality import Quality as Quality
from headprune.tasks import DEFAULT, TASKS


def of_track(track: str) -> Quality:
    """The quality of a task; of one that nobody knows that of the default."""
    return TASKS.get(track, DEFAULT).outputs.qualities[0]


def on_data(quality: Quality, track: str, splits: Mapping[str, Any]) -> Quality:
    """A quality of a task with the floor that a dataset gives it, in place of none.

    :param splits: of the dataset as counted, by name; may be empty
    """
    floor = TASKS.get(track, DEFAULT).outputs.guessed(splits)
    return quality if floor is None else replace(quality, floor=floor)


def of_metric(metric: str) -> Quality:
    """The quality that a metric stands for.

    :raises ValueError: it stands for none.
    """
    known = {quality.metric: quality for task in TASKS.values() for quality in task.outputs.qualities}
    if metric not in known:
        raise ValueError(unknown("metric", metric, known))
    return known[metric]


def named(track: str, metric: str | None) -> Quality:
    """The quality of a task by its metric; None: the one that stands for it.

    :raises ValueError: the task has no such metric whose outputs can be tested in pairs.
    """
    known = {quality.metric: quality for quality in TASKS.get(track, DEFAULT).outputs.qualities}
    if metric is not None and metric not in known:
        raise ValueError(unknown(f"metric of track {track}", metric, known))
    return known[metric] if metric else of_track(track)
