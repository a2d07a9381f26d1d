"""Result tables that lie there already, committed or merged: where they are, and what they are about."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

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


def topics(folder: Path) -> dict[str, bool]:
    """Whether the results have what a figure or table of a special topic is about, by its name."""
    cells = pd.read_parquet(folder / "cells.parquet", columns=["method", "arm"]).drop_duplicates()
    arms = cells["arm"].fillna("")
    treated = arms.str.contains("+", regex=False)
    pruning = set(cells["method"]) - {"unpruned"}
    return {
        "treatments": bool(treated.any()),
        "penalty_frontier": _has_rows(folder / "trials.csv"),
        "estimators": int((~treated & (cells["method"] == "gradient_importance")).sum()) > 1,
        "training_curves": _has_rows(folder / "curves.csv"),
        "normalised_quality": "random" in pruning and len(pruning) > 1,
        "critical_difference": len(pruning) > 2,
        "stabilisers": int((~treated & (cells["method"] == "layerwise_l0")).sum()) > 1,
        "ablations": _has_rows(folder / "ablations.csv"),
    }


def _has_rows(path: Path) -> bool:
    return path.is_file() and not pd.read_csv(path, nrows=1).empty
