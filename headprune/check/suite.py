"""The contract suite: all checks, on all methods that a file registers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headprune.check import conduct, declared, gates, masks, training
from headprune.check.base import Check, Report, judge
from headprune.check.observing import alone, watching
from headprune.check.subject import Subject
from headprune.check.variants import varied
from headprune.method import Entry, load_files
from headprune.method.registry import BUILT_IN

FACTOR = 200.0  # on ten heads a ranking by gradients takes 1 pass over the batches, evolutionary search about 50
DECLARED: tuple[Check, ...] = (
    declared.imports,
    declared.options,
    declared.description,
    declared.training_attributes,
)
BEHAVIOUR: tuple[Check, ...] = (
    masks.scores,
    masks.families,
    masks.budgets,
    masks.ties,
    masks.scopes,
    masks.weight_updates,
    conduct.determinism,
    conduct.unchanged,
    conduct.cost,
    gates.samples,
    gates.reproducible,
    gates.hard_masks,
    gates.settling,
    gates.precision,
    training.trains,
    training.resumes,
    training.frozen_model,
)
CHECKS = (*DECLARED, *BEHAVIOUR, varied(BEHAVIOUR), conduct.files)  # the last: of everything before


class LoadError(ValueError):
    """A file that cannot be checked: it does not import, or registers no method."""


def check_file(file: str | Path, factor: float = FACTOR, options: Mapping[str, Any] | None = None) -> list[Report]:
    """Checks every method that `file` registers; one report for each.

    :param factor: forward and backward passes over the batches that scoring may cost
    :param options: values of hyper-parameters, instead of the defaults
    :raises LoadError: the file is not there, cannot be imported, or registers nothing.
    :raises ValueError: an option that a method does not have, or a value it refuses.
    :raises DuplicateError: it registers the name of a method of this repository.
    """
    file = Path(file).resolve()
    with watching() as opened, alone():
        entries = load(file)
        at_import = list(opened)
        reports = []
        for entry in entries:
            opened[:] = at_import
            reports.append(check_method(entry, factor, opened, options))
    return reports


def load(file: Path) -> list[Entry]:
    """The methods that a file registers, beside those of this repository."""
    if not file.is_file():
        raise LoadError(f"{file} is not a file; `headprune check` takes the file of a method")
    others = [other for other in sorted(BUILT_IN.glob("*.py")) if other != file and not other.name.startswith("_")]
    try:
        load_files(*others)
    except ImportError:  # what is wrong with one is its own check's to say
        for other in others:
            with suppress(ImportError):
                load_files(other)
    try:
        entries = list(load_files(file).values())
    except ImportError as error:
        raise LoadError(str(error)) from error
    if not entries:
        raise LoadError(f"{file} registers no method; decorate a class with `@register(NAME)`")
    return entries


def check_method(entry: Entry, factor: float, opened: list[str], options: Mapping[str, Any] | None = None) -> Report:
    """:param opened: what `watching` collects"""
    subject = Subject(entry, factor, opened, options)
    return Report(entry, tuple(judge(check, subject) for check in CHECKS if entry.kind in check.kinds))
