"""Identities of models, trainings and cells: all that results depend on. Their digests are the signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from headprune.pipeline.cells import Cell
from headprune.pipeline.context import Arm, ModelContext
from headprune.pipeline.records import Record, load
from headprune.pipeline.specification import GRID
from headprune.pipeline.store import write_json
from headprune.results.provenance import digest, environment
from headprune.tasks import TASKS

TRAINING = (
    *("name", "mode", "updates", "learning_rate", "schedule", "update_freq", "gate_schedule"),
    *("types", "min_per_module"),
)


def dense_identity(context: ModelContext) -> Record:
    """Identity of an unpruned model."""
    statistics = context.corpus.statistics
    return {
        "data": {"sha256": statistics["sha256"]["train+valid"], "recipe": statistics["recipe"]},
        "settings": settings_of(context),
        "seed": context.seed,
        **environment(),
        **TASKS[context.settings.track].provenance,
    }


def settings_of(context: ModelContext) -> Record:
    """The section of a model as results depend on it: a checkpoint counts by its content, wherever it lies."""
    told = context.told["settings"]
    if "content" not in context.told:
        return dict(told)
    checkpoint = {"checkpoint": context.told["content"]}
    return {**told, "start": checkpoint} if context.settings.begins_with is not None else {**told, **checkpoint}


def pretrained_identity(context: ModelContext) -> Record:
    """Identity of the weights that the trainings of a model begin with: how these go on is no part of it."""
    settings = {key: value for key, value in settings_of(context).items() if key != "training"}
    return dense_identity(context) | {"settings": settings}


def cell_identity(context: ModelContext, arm: Arm, cell: Cell) -> Record:
    """Identity of a cell whose mask a method finds."""
    plain = arm.settings.model_dump(exclude_defaults=True, exclude={*GRID, "tuned"})
    return dense_identity(context) | {
        "dataset": context.dataset,
        "model": cell.model,
        "method": {**plain, "file_sha256": arm.entry.sha256},
        "draw": cell.draw,
        "budget": cell.budget,
        "evaluation": context.told["evaluation"],
        "calibration": context.told.get("calibration", {}),
        **_other_text(context),
    }


def _other_text(context: ModelContext) -> Record:
    """The text that a mask was found on, where it is not that of the model."""
    if context.calibrated_on == context.dataset:
        return {}
    statistics = load(context.run.statistics(context.calibrated_on))
    return {"calibration_data": {"sha256": statistics["sha256"]["train+valid"], "recipe": statistics["recipe"]}}


def training_identity(context: ModelContext, arm: Arm, options: Mapping[str, Any]) -> Record:
    """Identity of a training that serves all budgets."""
    chosen = {key: getattr(arm.settings, key) for key in TRAINING}
    training = {**chosen, "options": dict(options), "file_sha256": arm.entry.sha256}
    return dense_identity(context) | {"training": training}


def treated_identity(context: ModelContext, cell: Cell, base: Record) -> Record:
    """Identity of a treated cell: the cell whose mask it takes, and what is done with it."""
    assert context.treatment is not None
    settings = context.treatment.model_dump(exclude_defaults=True, exclude={*GRID, "of"})
    keys = ("dataset", "evaluation", "calibration")
    plain = {key: context.told[key] for key in keys} | {"settings": settings_of(context)}
    plain |= {"seed": cell.seed, "budget": cell.budget, "draw": cell.treatment_draw}
    return {"base": base["signature"], "treatment": settings, **plain, **environment()}


def ablation_identity(context: ModelContext) -> Record:
    """Identity of a study of single heads."""
    return dense_identity(context) | {key: context.told[key] for key in ("ablation", "evaluation")}


def sign(context: ModelContext, cell: Cell, identity: Record) -> str:
    """Writes the identity of a cell beside its results; returns its digest."""
    write_json(context.folder(cell).identity, identity)
    return digest(identity)


def derived_seed(*parts: object) -> int:
    """A seed that differs for every combination of parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1
