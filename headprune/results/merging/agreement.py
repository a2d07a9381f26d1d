"""The agreement of parts: made of the same data, by the same configuration, and none twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from headprune.naming import cell_name
from headprune.results.merging.parts import CELL, MergeError, ResultsFolder

EVERYWHERE = ("calibration", "evaluation", "tuning")  # sections that touch every result of a model
MOST_LISTED = 8


def check(parts: Sequence[ResultsFolder], shared: bool = False) -> list[str]:
    """Refuse parts that exclude each other.

    :param shared: parts may have the same cells
    :returns: what is not forbidden but should be known: other code, libraries or hardware, tables that are absent
    :raises MergeError: data, configurations or cells that exclude each other; all that was found.
    """
    problems = [text for one, other in combinations(parts, 2) for text in _contradictions(one, other)]
    problems += _duplicates(parts, shared)
    if problems:
        raise MergeError("these results cannot be merged:\n  " + "\n  ".join(problems))
    return list(_notes(parts))


def _contradictions(one: ResultsFolder, other: ResultsFolder) -> Iterator[str]:
    """Sections of two manifests that name the same thing and say different things about it."""
    names = f"{one.folder} and {other.folder}"
    for name in sorted(set(_section(one, "data")) & set(_section(other, "data"))):
        if found := _difference(_section(one, "data")[name], _section(other, "data")[name]):
            yield f"{names} have different data: {name}: {found}"
    first, second = _section(one, "config"), _section(other, "config")
    shared = set(first.get("models", {})) & set(second.get("models", {}))
    for section in ("datasets", "models"):
        for name in sorted(set(first.get(section, {})) & set(second.get(section, {}))):
            both = [each[section][name] for each in (first, second)]
            if section == "datasets":  # whose content is compared above
                both = [_anywhere(each) for each in both]
            if found := _difference(*both):
                yield f"{names} have different configurations: {section}: {name}: {found}"
    if not shared:
        return
    for section in EVERYWHERE:
        if found := _difference(first.get(section), second.get(section)):
            yield f"{names} have different configurations: {section}: {found}"
    theirs = {_label(entry): entry for entry in second.get("methods", [])}
    for entry in first.get("methods", []):
        mine, yours = (_identity(x) for x in (entry, theirs.get(_label(entry), entry)))
        if found := _difference(mine, yours):
            yield f"{names} have different configurations: methods: {_label(entry)}: {found}"


def _duplicates(parts: Sequence[ResultsFolder], shared: bool) -> Iterator[str]:
    """Cells with a result in two parts; if they may share cells, those that are not the same."""
    ok = [part.status[part.status == "ok"].index for part in parts]
    for (one, mine), (other, yours) in combinations(zip(parts, ok, strict=True), 2):
        both = mine.intersection(yours)
        if shared:
            both = both[[not _same(one, other, cell) for cell in both]]
        if len(both):
            names = ", ".join(cell_name(cell) for cell in both[:MOST_LISTED])
            more = f" and {len(both) - MOST_LISTED} more" if len(both) > MOST_LISTED else ""
            same = int((one.signatures[both] == other.signatures[both]).sum())
            under = f"{same} of them under one signature" if same else "under different signatures"
            hint = "" if shared or same < len(both) else " (--shared takes each once)"
            yield f"{one.folder} and {other.folder} both have {len(both)} cells, {under}: {names}{more}{hint}"


def _same(one: ResultsFolder, other: ResultsFolder, cell: tuple[Any, ...]) -> bool:
    """Return whether a cell has one signature and the same values, but for those that are measured anew every time."""
    return one.signatures[cell] == other.signatures[cell] and one.values(cell) == other.values(cell)


def _notes(parts: Sequence[ResultsFolder]) -> Iterator[str]:
    for part in parts:
        if not part.manifest:
            yield f"{part.folder} has no manifest.json: its data and configuration could not be compared"
    known = [part for part in parts if part.manifest]
    for part in known[1:]:
        for key in ("code", "libraries", "hardware"):
            one, other = (_section(p, "environment").get(key) for p in (known[0], part))
            if found := _difference(one, other):
                yield f"{known[0].folder} and {part.folder} have different {key}: {found}"
    for name in sorted({name for part in parts for name in part.tables}):
        for part in parts:
            if name not in part.tables:
                yield f"{part.folder} has no {name}"


def owners(parts: Sequence[ResultsFolder]) -> pd.Series:
    """The number of the part whose rows count of each cell: the one with a result, else the first that has run it."""
    tables = [part.status.rename("status").reset_index().assign(part=i) for i, part in enumerate(parts)]
    every = pd.concat(tables, ignore_index=True)
    every["rank"] = every["status"].map({"ok": 0, "missing": 2}).fillna(1)
    return every.sort_values(["rank", "part"], kind="stable").drop_duplicates(CELL).set_index(CELL)["part"]


def _section(part: ResultsFolder, name: str) -> dict[str, Any]:
    return part.manifest.get(name) or {}


def _label(entry: dict[str, Any]) -> str:
    return f"{entry['name']}{'.' if entry.get('arm') else ''}{entry.get('arm', '')}"


def _identity(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry without what says where it runs."""
    return {key: value for key, value in entry.items() if key not in ("budgets", "seeds", "models", "draws")}


def _anywhere(section: Any) -> Any:
    """A section with nothing in the place of absolute paths: the same data lie elsewhere on another machine."""
    if isinstance(section, dict):
        return {key: _anywhere(value) for key, value in section.items()}
    return None if isinstance(section, str) and os.path.isabs(section) else section


def _difference(one: Any, other: Any, place: str = "") -> str:
    """The first place where two values differ, `training.updates: 10 and 20`; empty where they do not.

    A key that one of them lacks is passed over: options are added with a default.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        found = (_difference(one[k], other[k], f"{place}.{k}".strip(".")) for k in one if k in other)
        return next((text for text in found if text), "")
    return "" if one == other or None in (one, other) else f"{place}{': ' if place else ''}{one!r} and {other!r}"
