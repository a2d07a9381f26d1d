"""Result tables that lie there already, committed or merged: where they are, and what they are about."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from headprune.analysis.tables import UNPRUNED, pooled_arm
from headprune.analysis.topics import Contents
from headprune.naming import unknown
from headprune.results.schema import TABLES

NEEDED = ("cells.parquet", "masks.parquet")


def find(names: str | Iterable[str], root: Path) -> dict[str, Path]:
    """The folders of published results by name; a name with a slash is the path of a folder.

    :param root: folder of the repository, with results/published
    :raises ValueError: no name, no such results, a table that every figure reads is absent, or two of one name.
    """
    home, found = root / "results" / "published", {}
    for given in [names] if isinstance(names, str) else list(names or []):
        folder = Path(os.path.expanduser(given)) if "/" in str(given) else home / str(given)
        if not folder.is_dir():
            known = [path.parent.name for path in home.glob("*/cells.parquet")]
            raise ValueError(f"published: {unknown('results', str(given), known)}; or a folder: ./{given}")
        if absent := [name for name in NEEDED if not (folder / name).is_file()]:
            raise ValueError(f"published: {folder} is no results folder: {', '.join(absent)} not found")
        if folder.name in found:
            raise ValueError(f"published: {given!r} is the second of the name {folder.name!r}; rename one of them")
        found[folder.name] = folder
    if not found:
        raise ValueError("published: no results are named; give one, as in --config published=quick")
    return found


def tables(folder: Path) -> list[Path]:
    """The result tables that a folder has."""
    return [folder / name for name in TABLES if (folder / name).is_file()]


def contents(folder: Path) -> Contents:
    """The contents of a results folder, which say what figures and tables can be drawn of it.

    :param folder: with cells.parquet
    """
    cells = pd.read_parquet(folder / "cells.parquet", columns=["method", "arm"]).drop_duplicates()
    cells["arm"] = cells["arm"].fillna("")
    treated = cells["arm"].str.contains("+", regex=False)
    pruning = cells[~treated & (cells["method"] != UNPRUNED)]
    return Contents(
        lines=frozenset((method, pooled_arm(arm)) for method, arm in pruning.to_numpy()),
        treatments=bool(treated.any()),
        trials=_has_rows(folder / "trials.csv"),
        curves=_has_rows(folder / "curves.csv"),
        ablations=_has_rows(folder / "ablations.csv"),
        tuning=_has_rows(folder / "tuning.csv"),
    )


def _has_rows(path: Path) -> bool:
    return path.is_file() and not pd.read_csv(path, nrows=1).empty
