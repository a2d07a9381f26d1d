"""Whether runs that are merged were configured alike, in what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

EVERYWHERE = ("calibration", "evaluation")  # sections that touch every result of a model
FREE = ("budgets", "seeds", "models", "draws")  # keys of a method that say which cells there are, not what they are


def check_configurations(folders: Sequence[Path], manifests: Sequence[Mapping[str, Any]]) -> None:
    """Compares datasets, models, evaluation, calibration and methods that two runs have under one name.

    A key that only one of them has is passed over: newer code has more options, with defaults.

    :param manifests: of the folders; merged ones keep the configurations of their runs
    :raises ValueError: two runs contradict each other; everything that was found.
    """
    known = [
        (folder, run.get("config") or {})
        for folder, manifest in zip(folders, manifests, strict=True)
        for run in manifest.get("runs") or [manifest]
    ]
    problems = [
        f"{one} and {other} have different configurations: {found}"
        for (one, first), (other, second) in combinations(known, 2)
        for found in _contradictions(first, second)
    ]
    if problems:
        raise ValueError("these results cannot be merged:\n  " + "\n  ".join(dict.fromkeys(problems)))


def _contradictions(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    for section in ("datasets", "models"):
        one, other = first.get(section) or {}, second.get(section) or {}
        for name in sorted(set(one) & set(other)):
            if found := difference(one[name], other[name]):
                yield f"{section}: {name}: {found}"
    if not set(first.get("models") or {}) & set(second.get("models") or {}):
        return
    for section in EVERYWHERE:
        if found := difference(first.get(section), second.get(section)):
            yield f"{section}: {found}"
    theirs = {_label(entry): entry for entry in second.get("methods") or []}
    for entry in first.get("methods") or []:
        if found := difference(_identity(entry), _identity(theirs.get(_label(entry), entry))):
            yield f"methods: {_label(entry)}: {found}"


def difference(one: Any, other: Any, place: str = "") -> str:
    """The first place where two values differ, `training.updates: 10 and 20`; empty where they do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = (difference(one[key], other[key], f"{place}.{key}".strip(".")) for key in one if key in other)
        return next((text for text in found if text), "")
    return "" if one == other or None in (one, other) else f"{place}{': ' if place else ''}{one!r} and {other!r}"


def _label(entry: Mapping[str, Any]) -> str:
    return ".".join(part for part in (entry["name"], entry.get("arm")) if part)


def _identity(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in FREE}
