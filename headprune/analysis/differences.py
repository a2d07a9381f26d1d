"""Two result tables against each other, cell by cell: what both have, where they differ, what only one has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headprune.analysis.manifests import told
from headprune.naming import cell_name
from headprune.results.schema import CELL_KEY, MEASURED, ROW_KEY

CELL = CELL_KEY[1:]  # the same cell may stand in two profiles
ROW = ROW_KEY[1:]
PLACE = ["track", "split", "metric"]


@dataclass(frozen=True)
class Differences:
    """The differences of a second table from a first.

    :param both: number of cells that both have
    :param only: cells of the first alone and of the second alone, as names
    :param statuses: cells that ended differently: name, and status in the first and the second
    :param signatures: number of cells in both that stand for different configuration, data, code or hardware
    :param metrics: a row per track, split and metric: rows, equal, difference (mean of second − first), largest (with
        its sign), where (the cell with the largest), measured (differs from run to run by nature)
    """

    both: int
    only: tuple[list[str], list[str]]
    statuses: list[tuple[str, str, str]]
    signatures: int
    metrics: pd.DataFrame


def differences(first: pd.DataFrame, second: pd.DataFrame) -> Differences:
    """Compares two tables of cells.

    :returns: cells, statuses, signatures and values in which the second differs
    :raises ValueError: a table has a value twice, so that it is not clear which of them is meant.
    """
    tables = [_unique(table, what) for table, what in ((first, "first"), (second, "second"))]
    cells = [_cells(table) for table in tables]
    both = cells[0].index.intersection(cells[1].index)
    one, two = (table.loc[both] for table in cells)
    changed = both[(one["status"] != two["status"]).to_numpy()]
    return Differences(
        both=len(both),
        only=(_names(cells[0].index.difference(both)), _names(cells[1].index.difference(both))),
        statuses=[(cell_name(cell), str(one.at[cell, "status"]), str(two.at[cell, "status"])) for cell in changed],
        signatures=int((one["signature"] != two["signature"]).sum()),
        metrics=_metrics(*tables),
    )


def machines(first: Path, second: Path) -> str:
    """A caution about differences between two runs that were not made on one kind of processor; empty otherwise.

    :param first: a results folder, or cells.parquet in it; likewise the second
    """
    one, other = (_hardware(path if path.is_dir() else path.parent) for path in (first, second))
    if not one or not other or one == other:
        return ""
    return (
        f"A was computed on {one}, B on {other}: on another processor trainings round differently and go other ways, "
        "so that their models differ, pruned ones sometimes by much"
    )


def _hardware(folder: Path) -> str:
    return str(told(folder, "environment").get("hardware", ""))


def _names(cells: pd.Index) -> list[str]:
    return [cell_name(cell) for cell in cells]


def _unique(table: pd.DataFrame, what: str) -> pd.DataFrame:
    repeated = table[table.duplicated(ROW)]
    if len(repeated):
        row = repeated.iloc[0]
        cell = cell_name(tuple(row[CELL]))
        raise ValueError(f"the {what} table gives {row['split']} {row['metric']} twice for the cell {cell}")
    return table


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Status and signature of every cell; one that lacks a metric is not ok."""
    order = table.assign(bad=table["status"] != "ok").sort_values("bad", ascending=False, kind="stable")
    return order.drop_duplicates(CELL).set_index(CELL)[["status", "signature"]].sort_index()


def _metrics(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    values = [table.dropna(subset=["value"]).set_index(ROW)["value"].astype(float) for table in (first, second)]
    found = pd.concat(values, axis=1, keys=["first", "second"], join="inner").reset_index()
    found["change"] = found["second"] - found["first"]
    rows = []
    for (track, split, metric), own in found.groupby(PLACE, sort=True):
        largest = own.iloc[int(own["change"].abs().argmax())]
        equal = own["first"] == own["second"]
        rows.append(
            {
                **dict(zip(PLACE, (track, split, metric), strict=True)),
                "rows": len(own),
                "equal": int(equal.sum()),
                "difference": float(own["change"].mean()),
                "largest": float(largest["change"]),
                "where": "" if equal.all() else cell_name(tuple(largest[CELL])),
                "measured": metric in MEASURED,
            }
        )
    columns = [*PLACE, "rows", "equal", "difference", "largest", "where", "measured"]
    return pd.DataFrame(rows, columns=columns)
