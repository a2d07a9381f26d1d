"""One of the folders that are merged: its tables, checked against the schema, and its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.results import schema

CELL = schema.CELL_KEY[1:]  # a cell of another profile is the same cell


class MergeError(ValueError):
    """Folders that do not belong together; the message says which, and why."""


@dataclass(frozen=True)
class ResultsFolder:
    """A results folder as read.

    :param tables: by file name, those beside the cells that it has
    """

    folder: Path
    cells: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    manifest: Mapping[str, Any]

    @cached_property
    def status(self) -> pd.Series:
        """The status of every cell: ok, or why not; index CELL."""
        order = self.cells.assign(bad=self.cells["status"] != "ok").sort_values("bad", ascending=False, kind="stable")
        return order.drop_duplicates(CELL).set_index(CELL)["status"]

    def values(self, cell: tuple[Any, ...]) -> dict[tuple[str, str], float]:
        """The measurements of a cell that repeat, by split and metric."""
        rows = self._reproducible.loc[[cell]]
        return {(split, metric): value for split, metric, value in rows.itertuples(index=False, name=None)}

    @cached_property
    def _reproducible(self) -> pd.DataFrame:
        return schema.reproducible(self.cells).set_index(CELL)[["split", "metric", "value"]].sort_index()

    @cached_property
    def signatures(self) -> pd.Series:
        """The signature of every cell, index CELL."""
        return self.cells.drop_duplicates(CELL).set_index(CELL)["signature"]


def read(folder: Path) -> ResultsFolder:
    """Reads a results folder.

    :returns: the tables and the manifest as they are
    :raises MergeError: it has no cells, an unreadable file, or a table of another schema.
    """
    if not folder.is_dir():
        raise MergeError(f"{folder} is not a folder")
    if not any((folder / name).is_file() for name in ("cells.parquet", "cells.csv")):
        raise MergeError(f"{folder} is no results folder: neither cells.parquet nor cells.csv in it")
    try:
        cells = schema.read_cells(folder / ("cells.parquet" if (folder / "cells.parquet").is_file() else "cells.csv"))
        tables = {
            name: schema.read_table(folder / name, columns)
            for name, (columns, _) in schema.OTHERS.items()
            if (folder / name).is_file()
        }
        manifest = _manifest(folder / "manifest.json")
    except (OSError, ValueError) as error:
        raise MergeError(f"{folder} cannot be merged: {error}") from error
    return ResultsFolder(folder, cells, tables, manifest)


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run; empty where it has none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds a JSON {type(found).__name__}, no manifest")
    return found
