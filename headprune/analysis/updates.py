"""Updates that a cell took in all: of the model that its method starts from, of finding its mask, and of all trials of
the tuning that chose its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from headprune.analysis.manifests import told
from headprune.analysis.tables import CELL, measured

TOTAL = "total_updates"


def trained_updates(folder: Path) -> dict[str, int]:
    """Updates of the training of an unpruned model, by model, of those that were; empty where no manifest tells.

    :param folder: of results
    """
    return _updates(folder, "training")


def pretrained_updates(folder: Path) -> dict[str, int]:
    """Updates of the pre-training that all trainings of a model begin with, by model, of those that have one.

    :param folder: of results
    """
    return _updates(folder, "start", "pretraining")


def _updates(folder: Path, *keys: str) -> dict[str, int]:
    """Updates of the training in a place of the section of a model, by model, of those that have it."""
    models = told(folder, "config", "models")
    found = {model: told(folder, "config", "models", model, *keys).get("updates") for model in models}
    return {model: updates for model, updates in found.items() if isinstance(updates, int)}


def total_updates(
    cells: pd.DataFrame, trained: Mapping[str, int], pretrained: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """The updates in all of every cell that tells enough: start + `prune_updates` + `tuning_updates`.

    The start is the training of the unpruned model, with the pre-training that it began with, and the latter alone for
    a joint training, which begins as that did. The table tells that by its times: the updates of a joint training took
    none to find the mask, but all to train. Trainings that failed are not among the updates, as nothing is known of
    them.

    :param cells: rows of a table of cells
    :param trained: updates of the training of an unpruned model, by model
    :param pretrained: updates of the pre-training, by model; None: there was none
    :returns: a row per cell as of `measured`; none for cells of other models, or without updates or seconds of pruning
    """
    rows = measured(cells, "prune_updates")
    seconds, tuning = (
        rows.join(measured(cells, metric).set_index(CELL)["value"].rename(metric), on=CELL)[metric]
        for metric in ("prune_seconds", "tuning_updates")
    )
    joint = (rows["value"] > 0) & (seconds == 0)
    start = rows["model"].map(dict(trained)).astype(float).mask(joint & rows["model"].isin(list(trained)), 0.0)
    before = rows["model"].map(dict(pretrained or {})).astype(float).fillna(0.0)
    total = rows["value"] + before + start + tuning.fillna(0.0)
    return rows.assign(metric=TOTAL, value=total.where(seconds.notna())).dropna(subset=["value"])
