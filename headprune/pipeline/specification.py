"""The specification of a job: plain data, all that the job depends on beside its inputs.

The plan writes it, Snakemake carries it, the job and its supervisor read it. Keys of sections that say no more than
the defaults are left out, so that a new option with a default changes nothing that exists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headprune.naming import unknown
from headprune.pipeline.cells import Cell, Job
from headprune.results.jobs import JOBS, Told
from headprune.results.tunings import digest_of

if TYPE_CHECKING:  # the supervisor of a job does without the schema
    from headprune.pipeline.plan import Plan

Specification = Mapping[str, Any]

GRID = {"budgets", "seeds", "models", "draws"}  # keys of an entry that say which cells there are
COMMON: dict[str, type] = {"kind": str, "results": str, "job": str, "dataset": str}
# Keys that each part adds, and the types of their values.
KEYS: dict[Told, dict[str, type]] = {
    "recipe": {"recipe": dict},
    "model": {"model": str, "seed": int, "settings": dict},
    "evaluation": {"evaluation": dict},
    "cells": {"cells": list},
    "methods": {"methods": list, "directories": list},
    "calibration": {"calibration": dict},
    "treatment": {"treatment": dict},
    "ablation": {"ablation": dict},
    "speed": {"speed": dict},
    "trial": {"trial": int, "options": dict, "budgets": list},
    "choice": {"model": str, "label": str, "trials": list, "seeds": list, "budgets": list},
    "planned": {},  # what `headprune.pipeline.settled` keeps in the receipt, if it is told
}
NAMES = {str: "a text", int: "a whole number", dict: "an object", list: "an array"}


def specification(plan: Plan, job: Job) -> dict[str, Any]:
    """The specification of a job: nothing that it does not use."""
    dataset = job.dataset or plan.config.models[job.model].dataset
    found: dict[str, Any] = {"kind": job.kind, "results": str(plan.folder), "job": job.name, "dataset": dataset}
    for part in JOBS[job.kind].told:
        if part in PARTS:
            found |= PARTS[part](plan, job)
    return found


def _model(plan: Plan, job: Job) -> dict[str, Any]:
    """The section of a model; of one that is given, where its checkpoint lies, and the sha256 of it."""
    model, seed = plan.config.models[job.model], job.seed or 0
    found = {"model": job.model, "seed": job.seed, "settings": model.told(seed)}
    return found | ({"content": content} if (content := model.content(seed)) else {})


def _methods(plan: Plan, job: Job) -> dict[str, Any]:
    labels = plan.labels_in(job)
    left_out = {*GRID, "tuned"} if JOBS[job.kind].tunes else GRID  # the cells of the job say as much
    methods = [plan.grid.method(label).model_dump(exclude_defaults=True, exclude=left_out) for label in labels]
    return {"methods": methods, "directories": plan.grid.directories_of(labels)}


def _treatment(plan: Plan, job: Job) -> dict[str, Any]:
    treatment = plan.grid.treatment(job.label)
    assert treatment is not None
    return {"treatment": treatment.model_dump(exclude_defaults=True, exclude={"of", *GRID})}


def _ablation(plan: Plan, job: Job) -> dict[str, Any]:
    ablation = next(each for each in plan.config.ablations if each.kind == job.label)
    return {"ablation": ablation.model_dump(exclude_defaults=True, exclude={"seeds"})}


def _trial(plan: Plan, job: Job) -> dict[str, Any]:
    assert plan.config.tuning is not None
    assert job.trial is not None
    options = plan.grid.trials(job.label)[job.trial]
    return {"trial": job.trial, "options": options, "budgets": plan.config.tuning.budgets}


def _choice(plan: Plan, job: Job) -> dict[str, Any]:
    assert plan.config.tuning is not None
    tuning, trials = plan.config.tuning, plan.grid.trials(job.label)
    told: dict[str, Any] = {"trials": trials, "seeds": tuning.seeds, "budgets": tuning.budgets}
    if tuning.chosen_in is not None:
        own = plan.grid.method(job.label).options
        told["elsewhere"] = {"folder": tuning.chosen_in, "options": own, "sha256": digest_of(tuning.chosen_in)}
    return {"model": job.model, "label": job.label, **told}


def _speed(plan: Plan, job: Job) -> dict[str, Any]:
    return {"speed": plan.config.speed.model_dump(exclude_defaults=True, exclude={"seeds", "entries"})}


PARTS: dict[Told, Callable[[Plan, Job], dict[str, Any]]] = {
    "recipe": lambda plan, job: {"recipe": _plain(plan.config.datasets[job.dataset])},
    "model": _model,
    "evaluation": lambda plan, job: {"evaluation": _plain(plan.config.evaluation)},
    "cells": lambda plan, job: {"cells": [vars(cell) for cell in plan.cells_in(job)]},
    "methods": _methods,
    "calibration": lambda plan, job: {"calibration": _plain(plan.config.calibration)},
    "treatment": _treatment,
    "ablation": _ablation,
    "speed": _speed,
    "trial": _trial,
    "choice": _choice,
}


def _plain(section: Any) -> dict[str, Any]:
    return dict(section.model_dump(exclude_defaults=True))


def needed(kind: str) -> dict[str, type]:
    """The keys of a specification of a kind of job, and the types of their values."""
    return COMMON | {key: value for part in JOBS[kind].told for key, value in KEYS[part].items()}


def parsed(text: str, kind: str) -> dict[str, Any]:
    """The specification of a job of this kind.

    :raises ValueError: it is no JSON, of another kind of job, or lacks what a job of this kind needs.
    """
    if kind not in JOBS:
        raise ValueError(unknown("job", kind, JOBS))
    spec = json_object(text, "--spec")
    for key, wanted in needed(kind).items():
        if key not in spec:
            raise ValueError(f"--spec lacks {key!r}; a {kind} job needs {', '.join(needed(kind))}")
        if not isinstance(spec[key], wanted) or isinstance(spec[key], bool):
            raise ValueError(f"--spec: {key} is {_short(spec[key])}; it must be {NAMES[wanted]}")
    if spec["kind"] != kind:
        raise ValueError(f"--spec is of a {spec['kind']!r} job, not of a {kind!r} job")
    for position, cell in enumerate(spec.get("cells", [])):
        try:
            Cell(**cell)
        except TypeError as error:
            raise ValueError(f"--spec: cells[{position}] is {_short(cell)}: {_reason(error)}") from None
    return spec


def require_meaning(spec: Mapping[str, Any]) -> None:
    """Reads every section of a specification as the job will; imports the schema, which a supervisor does without.

    :raises ValueError: a section that breaks a rule; names it.
    """
    from pydantic import ValidationError

    from headprune import config

    sections: dict[str, Any] = {
        "recipe": config.dataset_from,
        "settings": config.model_from,
        "evaluation": config.Evaluation.model_validate,
        "calibration": config.Calibration.model_validate,
        "treatment": config.Treatment.model_validate,
        "ablation": config.Ablation.model_validate,
        "speed": config.Speed.model_validate,
    }
    found = [(key, read, spec[key]) for key, read in sections.items() if key in spec]
    found += [(f"methods.{i}", config.Method.model_validate, value) for i, value in enumerate(spec.get("methods", []))]
    for key, read, value in found:
        try:
            read(value)
        except ValidationError as error:
            item = error.errors()[0]
            where = ".".join(str(part) for part in (key, *item["loc"]))
            raise ValueError(f"--spec: {where}: {_short(item['input'])}: {item['msg']}") from None


def json_object(text: str, what: str) -> dict[str, Any]:
    """:raises ValueError: it is no JSON, or another kind of it than an object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is {_short(text)}, which is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{what} is {_short(found)}; it takes a JSON object, {{…}}")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _reason(error: TypeError) -> str:
    return str(error).removeprefix("Cell.__init__() ").removeprefix(f"{__name__.rpartition('.')[0]}.cells.")
