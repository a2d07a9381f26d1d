"""Reading a job's specification: the places, settings and cells it names, and the identity of what it computes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headprune.config import Evaluation, Execution, Method, Treatment, model_from
from headprune.data.lengths import Bound
from headprune.data.staging import STATISTICS
from headprune.method import Entry, load_methods
from headprune.method.registry import BUILT_IN
from headprune.models.devices import device
from headprune.pipeline.cells import Cell, bounds_path, execution_path
from headprune.pipeline.records import DamagedError, find, hint, load
from headprune.pipeline.store import Record, UpstreamError, require_ok, require_whole, write_json
from headprune.results.provenance import digest, environment
from headprune.settings import Subject
from headprune.tasks import TASKS
from headprune.tasks.work import Work

Spec = Mapping[str, Any]


def folder_of(spec: Spec) -> Path:
    return Path(spec["results"])


def cell_folder(spec: Spec, cell: Cell) -> Path:
    return folder_of(spec) / "cells" / cell.id


def dense_path(spec: Spec) -> Path:
    return folder_of(spec) / "dense" / spec["model"] / f"s{spec['seed']}.pt"


def cells_of(spec: Spec) -> list[Cell]:
    return [Cell(**cell) for cell in spec["cells"]]


def methods_of(spec: Spec) -> list[Method]:
    return [Method(**method) for method in spec["methods"]]


def entry_of(spec: Spec, method: Method) -> Entry:
    return load_methods(BUILT_IN, *spec["directories"])[method.name]


def evaluation_of(spec: Spec) -> Evaluation:
    return Evaluation(**spec["evaluation"])


def execution_of(spec: Spec) -> Execution:
    """What the configuration said when the run started; no part of the specification, as no result depends on it."""
    try:
        return Execution(**hint(execution_path(folder_of(spec))))
    except ValueError:  # damaged: the next call of Snakemake writes it anew
        return Execution()


def bounds_of(spec: Spec) -> dict[str, Bound]:
    """What will be asked of the splits of a dataset; likewise no part of the specification."""
    asked = hint(bounds_path(folder_of(spec))).get(spec["dataset"], {})
    return {split: Bound(**values) for split, values in asked.items()}


def model_of(spec: Spec) -> Subject:
    return model_from(spec["settings"])


def track_of(spec: Spec) -> Work:
    return TASKS[model_of(spec).track].work


def corpus_of(spec: Spec) -> Any:
    """The prepared dataset, as its track reads it; its test set is sealed but in jobs that test.

    :raises UpstreamError: it is not there, or damaged.
    """
    folder, sealed = folder_of(spec) / "data" / spec["dataset"], spec["kind"] != "test"
    try:
        if not isinstance(load(folder / STATISTICS), dict):
            raise DamagedError(f"{folder / STATISTICS} holds no JSON object")
    except DamagedError as error:
        raise UpstreamError(f"{error}; `headprune retry` has it made again") from None
    return track_of(spec).corpus(folder, device(), sealed)


def trained_record(spec: Spec) -> Record:
    """What is known of the unpruned model that a job starts from.

    :raises UpstreamError: its training failed, or its checkpoint is lost or another one than was trained.
    """
    path = dense_path(spec).with_suffix(".json")
    record = find(path, "dense")
    require_ok(record, "training of the unpruned model")
    require_whole(path, record)
    return record


def dense_identity(spec: Spec) -> Record:
    """What the unpruned model depends on."""
    corpus = corpus_of(spec)
    return {
        "data": {"sha256": corpus.statistics["sha256"]["train+valid"], "recipe": corpus.statistics["recipe"]},
        "settings": spec["settings"],
        "seed": spec["seed"],
        **environment(),
        **TASKS[model_of(spec).track].provenance,
    }


def identity(spec: Spec, entry: Entry, method: Method, cell: Cell) -> Record:
    """What the results of a cell depend on; its digest is the signature in the tables."""
    plain = method.model_dump(exclude_defaults=True, exclude={"budgets", "seeds", "models", "draws"})
    return dense_identity(spec) | {
        "dataset": spec["dataset"],
        "model": cell.model,
        "method": {**plain, "file_sha256": entry.sha256},
        "draw": cell.draw,
        "budget": cell.budget,
        "evaluation": spec["evaluation"],
        "calibration": spec.get("calibration", {}),
    }


def training_identity(spec: Spec, entry: Entry, method: Method, options: Mapping[str, Any]) -> Record:
    """What a training that serves all budgets depends on."""
    keys = ("name", "mode", "updates", "learning_rate", "schedule", "update_freq", "types", "min_per_module")
    chosen = {key: getattr(method, key) for key in keys}
    return dense_identity(spec) | {"training": {**chosen, "options": dict(options), "file_sha256": entry.sha256}}


def treated_identity(spec: Spec, treatment: Treatment, cell: Cell, base: Record) -> Record:
    """What the results of a treated cell depend on: the cell whose mask it takes, and what is done with it."""
    settings = treatment.model_dump(exclude_defaults=True, exclude={"budgets", "seeds", "models", "draws", "of"})
    keys = ("settings", "dataset", "evaluation", "calibration")
    plain = {key: spec[key] for key in keys} | {"seed": cell.seed, "budget": cell.budget, "draw": cell.treatment_draw}
    return {"base": base["signature"], "treatment": settings, **plain, **environment()}


def signature_of(spec: Spec, entry: Entry, method: Method, cell: Cell) -> str:
    """Writes the identity of the cell beside its results; returns its digest."""
    full = identity(spec, entry, method, cell)
    write_json(cell_folder(spec, cell) / "identity.json", full)
    return digest(full)


def derived_seed(*parts: object) -> int:
    """A seed that differs for every combination of parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1
