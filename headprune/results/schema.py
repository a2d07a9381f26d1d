"""The result tables: their schema, writing them reproducibly, reading and merging them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.naming import STATUSES
from headprune.results.columns import ABLATION_COLUMNS as ABLATION_COLUMNS
from headprune.results.columns import CELL_COLUMNS as CELL_COLUMNS
from headprune.results.columns import CURVE_COLUMNS, TRIAL_MASK_COLUMNS
from headprune.results.columns import MASK_COLUMNS as MASK_COLUMNS
from headprune.results.columns import TRIAL_COLUMNS as TRIAL_COLUMNS
from headprune.results.columns import TUNING_COLUMNS as TUNING_COLUMNS
from headprune.results.vocabulary import COMMON, UNITS
from headprune.results.vocabulary import LOGARITHMIC as LOGARITHMIC

LATER = ("segments_differing",)  # columns that tables may lack, as those of older results do: missing everywhere
# The files of a results folder that `collect` writes, beside manifest.json.
TABLES = (
    "cells.parquet",
    "cells.csv",
    "masks.parquet",
    "trials.csv",
    "trial_masks.csv",
    "curves.csv",
    "ablations.csv",
    "tuning.csv",
)
# Measured anew by every run, and different every time; all other rows repeat byte for byte.
SPEEDS = ("latency_ms", "throughput")  # of the models of a seed in turn, in one round
MEASURED = (*SPEEDS, "train_seconds", "prune_seconds", "peak_memory_mib")
DAMAGED = (ValueError, TypeError, ArithmeticError, LookupError, NotImplementedError)  # pandas' and pyarrow's, of tables
CELL_KEY = ["profile", "track", "dataset", "model", "method", "arm", "budget", "seed"]
ROW_KEY = [*CELL_KEY, "split", "metric"]
# Of every table but that of the cells: its columns, and those that tell its rows apart.
OTHERS: dict[str, tuple[dict[str, str], list[str]]] = {
    "masks.parquet": (MASK_COLUMNS, [*CELL_KEY, "head"]),
    "trials.csv": (TRIAL_COLUMNS, ["model", "method", "seed", "signature"]),
    "trial_masks.csv": (TRIAL_MASK_COLUMNS, ["model", "method", "seed", "signature", "head"]),
    "curves.csv": (
        CURVE_COLUMNS,
        ["model", "method", "arm", "label", "budget", "coefficient", "seed", "signature", "split", "update"],
    ),
    "ablations.csv": (ABLATION_COLUMNS, ["model", "kind", "seed", "head"]),
    "tuning.csv": (TUNING_COLUMNS, ["model", "entry", "trial", "seed", "budget"]),
}


def cells_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table with the columns and types of the schema, sorted.

    :raises ValueError: an unknown column, status or metric, or two rows for one (cell, split, metric).
    """
    table = _table(rows, CELL_COLUMNS, ROW_KEY)
    for column, known in (("status", STATUSES), ("metric", sorted(UNITS, key=COMMON.__contains__))):
        strange = set(table[column].dropna()) - set(known)
        if strange:
            raise ValueError(f"column {column!r} holds {sorted(strange)}; known: {', '.join(known)}")
    return table


def masks_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per cell and head."""
    return _table(rows, *OTHERS["masks.parquet"])


def trials_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per training of a gate method that serves several budgets."""
    return _table(rows, *OTHERS["trials.csv"])


def trial_masks_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per head and training of a gate method that serves several budgets."""
    return _table(rows, *OTHERS["trial_masks.csv"])


def curves_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per training and update at which fairseq logged its losses."""
    return _table(rows, *OTHERS["curves.csv"])


def ablations_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per head and kind of ablation."""
    return _table(rows, *OTHERS["ablations.csv"])


def tuning_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per trial of a tuning, seed and budget."""
    return _table(rows, *OTHERS["tuning.csv"])


def reproducible(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows that the same configuration gives again byte for byte: all but times, speed and memory."""
    return cells[~cells["metric"].isin(MEASURED)].reset_index(drop=True)


def digest(cells: pd.DataFrame) -> str:
    """First 12 hex digits of the sha256 of what repeats: names, values and reasons of the rows of `reproducible`.

    Equal values have equal digests: times are left out, and signatures, which stand for how the values came about.
    """
    return _digest(reproducible(cells))


def digest_of_measured(cells: pd.DataFrame) -> str:
    """The same of times, speed and memory with their quartiles; empty where there are none."""
    rows = cells[cells["metric"].isin(MEASURED)]
    return _digest(rows) if len(rows) else ""


def _digest(rows: pd.DataFrame) -> str:
    """The digest of a table with some or all columns of the schema, whatever their types and the order of the rows."""
    columns = [column for column in CELL_COLUMNS if column in rows and column != "signature"]
    kinds = {column: str if CELL_COLUMNS[column] == "string" else float for column in columns}
    plain = {column: rows[column].astype(object).where(rows[column].notna(), None) for column in columns}
    table = pd.DataFrame({c: plain[c].fillna("") if kinds[c] is str else plain[c].astype(float) for c in columns})
    keys = [key for key in [*ROW_KEY, "batch_size"] if key in table]
    return hashlib.sha256(to_csv(table.sort_values(keys, kind="stable"))).hexdigest()[:12]


def read_cells(path: str | Path) -> pd.DataFrame:
    """Reads `cells.parquet` or `cells.csv`, or the one in a folder.

    :raises ValueError: it is no table, or its columns are not those of the schema.
    :raises OSError: it cannot be read.
    """
    path = Path(path)
    path = path / "cells.parquet" if path.is_dir() else path
    return read_table(path, CELL_COLUMNS)


def read_table(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Reads a parquet or CSV file with these columns and types.

    :raises ValueError: it is damaged, or its columns or their types are others.
    """
    try:
        table = _read_csv(path, columns) if path.suffix == ".csv" else pd.read_parquet(path)
    except DAMAGED as error:
        raise ValueError(f"{path} is not a readable table: {error}") from error
    table = table.reindex(columns=[*table.columns, *(c for c in LATER if c in columns and c not in table.columns)])
    missing, strange = set(columns) - set(table.columns), set(map(str, table.columns)) - set(columns)
    if missing or strange:
        raise ValueError(f"{path} has another schema: missing {sorted(missing)}, unknown {sorted(strange)}")
    try:
        return table.astype(dict(columns))[list(columns)]
    except DAMAGED as error:
        raise ValueError(f"{path} holds values of other types than the schema's: {error}") from error


def to_csv(table: pd.DataFrame) -> bytes:
    """CSV with full precision: every number is the shortest text that reads back as itself."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def to_parquet(table: pd.DataFrame) -> bytes:
    """Parquet with the types of the columns, compressed by zstd."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def _read_csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    texts = [column for column, kind in columns.items() if kind == "string"]
    numbers = {column: [""] for column in columns if column not in texts}
    return pd.read_csv(
        path, float_precision="round_trip", dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=numbers
    )


def _table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], key: list[str]) -> pd.DataFrame:
    rows = list(rows)
    strange = {column for row in rows for column in row} - set(columns)
    if strange:
        raise ValueError(f"unknown columns {sorted(strange)}; known: {', '.join(columns)}")
    table = pd.DataFrame(rows, columns=list(columns)).astype(dict(columns))
    for column, kind in columns.items():
        if kind == "string":
            table[column] = table[column].fillna("").str.replace(r"[\r\n]+", " ", regex=True)  # one row, one line
    repeated = table[table.duplicated(key)]
    if len(repeated):
        raise ValueError(f"two rows for one {tuple(key)}: {tuple(repeated.iloc[0][key])}")
    return table.sort_values(key, kind="stable", ignore_index=True)
