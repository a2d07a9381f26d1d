"""Specifications of jobs as they arrive: text that `Plan.specification` made, or a hand that imitates it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headprune.naming import unknown
from headprune.pipeline.cells import KINDS, PRUNING, Cell

COMMON: dict[str, type] = {"kind": str, "results": str, "job": str, "dataset": str}
OF_MODELS: dict[str, type] = {"model": str, "seed": int, "settings": dict}
OF_PRUNING: dict[str, type] = {"methods": list, "directories": list, "calibration": dict}
NAMES = {str: "a text", int: "a whole number", dict: "an object", list: "an array"}


def parsed(text: str, kind: str) -> dict[str, Any]:
    """The specification of a job of this kind.

    :raises ValueError: it is no JSON, of another kind of job, or lacks what a job of this kind needs.
    """
    if kind not in KINDS:
        raise ValueError(unknown("job", kind, KINDS))
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


def needed(kind: str) -> dict[str, type]:
    """The keys of a specification and the types of their values."""
    if kind == "data":
        return {**COMMON, "recipe": dict}
    keys = {**COMMON, **OF_MODELS}
    if kind == "dense":
        return keys
    keys |= {"evaluation": dict}
    if kind == "ablate":
        return keys | {"ablation": dict}
    keys |= {"cells": list}
    if kind in PRUNING:
        keys |= OF_PRUNING
    if kind in ("treat", "retrain"):
        keys |= {"treatment": dict}
    return keys | ({"speed": dict} if kind == "speed" else {})


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
