"""The result tables against the records they were made of, and against each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.config import load
from headprune.pipeline import collect, tunings
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import MISSING
from headprune.results import schema
from headprune.results.layout import MANIFEST
from headprune.verification.base import Report
from headprune.verification.scores import check_published_scores

MASK_KEY = [*schema.CELL_KEY, "head"]


def check_tables(report: Report) -> None:
    """Every table that is there."""
    cells = _read(report, "cells.parquet", schema.read_cells)
    csv = _read(report, "cells.csv", schema.read_cells)
    masks = _read(report, "masks.parquet", pd.read_parquet)
    if cells is None:
        return report.missing("tables", report.folder / "cells.parquet")
    if csv is not None:
        compare_rows(report, "cells.csv", csv, cells, schema.ROW_KEY)
    if masks is not None:
        check_counts(report, cells, masks)
    known = set(report.read(report.folder / MANIFEST).get("signatures", {}))
    for signature in sorted(set(cells["signature"].dropna()) - known - {""}):
        report.compare("tables", MANIFEST, "signatures", "without one of the table", signature)
    if (report.folder / "cells").is_dir():
        check_against_records(report, cells, masks)
    else:
        check_published_scores(report, cells)
    return None


def check_counts(report: Report, cells: pd.DataFrame, masks: pd.DataFrame) -> None:
    """`heads_kept` and `n_heads` of every cell are the counts of its mask."""
    groups = masks.groupby(schema.CELL_KEY)["kept"]
    counts: dict[str, Any] = {"heads_kept": groups.sum().to_dict(), "n_heads": groups.count().to_dict()}
    done = cells[cells["heads_kept"].notna()].drop_duplicates(schema.CELL_KEY).set_index(schema.CELL_KEY)
    for cell, row in done.to_dict("index").items():
        if cell not in counts["heads_kept"]:
            report.compare("masks", "masks.parquet", f"mask of {_cell(cell)}", "missing", "expected")
            continue
        for column, by_cell in counts.items():
            what = f"{column} of {_cell(cell)}"
            report.compare("masks", "cells.parquet", what, int(row[column]), int(by_cell[cell]))


def check_against_records(report: Report, cells: pd.DataFrame, masks: pd.DataFrame | None) -> None:
    """All tables are collected again and compared row by row."""
    plan = plan_of(report)
    if plan is None:
        return
    rows, heads = [], []
    for cell in plan.cells:
        folder = plan.run.cell(cell.id)
        pruned, test, speed = (report.read(folder.record(step)) or MISSING for step in ("pruned", "test", "speed"))
        try:
            rows += list(collect.cell_rows(plan, cell, pruned, test, speed))
            heads += list(collect.mask_rows(plan, cell, pruned))
        except (KeyError, TypeError, ValueError) as error:
            report.compare("tables", folder.pruned, "the record", "damaged", f"{type(error).__name__}: {error}")
    compare_rows(report, "cells.parquet", cells, schema.cells_table(rows), schema.ROW_KEY)
    if masks is not None:
        compare_rows(report, "masks.parquet", masks, schema.masks_table(heads), MASK_KEY)
    others: dict[str, Callable[[], pd.DataFrame]] = {
        "trials.csv": lambda: schema.trials_table(collect.trial_rows(plan, list(collect.trials_of(plan)))),
        "ablations.csv": lambda: schema.ablations_table(collect.ablation_rows(plan)),
        "tuning.csv": lambda: schema.tuning_table(tunings.tuning_rows(plan)),
    }
    for name, made in others.items():
        path = report.folder / name
        try:
            content = schema.to_csv(made())
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            report.compare(
                "tables", path, "the table", "recorded", f"not recomputable: {type(error).__name__}: {error}"
            )
            continue
        found = path.read_bytes() if path.is_file() else b""
        if not report.compare("tables", path, "content", _lines(found), _lines(content)):
            continue
        report.compare("tables", path, "content", found == content, True)


def plan_of(report: Report) -> Plan | None:
    """The plan of the run, from the configuration in its manifest; the folder may have been moved since."""
    config = report.read(report.folder / MANIFEST).get("given")
    if config is None:
        report.missing("tables", report.folder / MANIFEST, "the configuration as it was given")
        return None
    try:
        return Plan(load(config), report.folder)
    except ValueError as error:
        report.notes.append(
            f"tables were not compared with the records, the configuration cannot be used here: {error}"
        )
        return None


def compare_rows(report: Report, name: str, found: pd.DataFrame, expected: pd.DataFrame, key: list[str]) -> None:
    """Differences between two tables with one key, row by row and column by column."""
    found, expected = (_indexed(table, key) for table in (found, expected))
    for row in found.index.difference(expected.index):
        report.compare("tables", name, f"row {_cell(row)}", "there", "not in the records")
    for row in expected.index.difference(found.index):
        report.compare("tables", name, f"row {_cell(row)}", "missing", "in the records")
    both = found.index.intersection(expected.index)
    left, right = found.loc[both], expected.loc[both]
    report.checked["tables"] += len(both)
    for column in (column for column in left.columns if column in right.columns):
        a, b = (table[column].astype(object).where(table[column].notna(), None) for table in (left, right))
        for row in both[(a != b) & ~(a.isna() & b.isna())]:
            report.compare("tables", name, f"{column} of {_cell(row)}", a[row], b[row])


def _indexed(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    table = table.copy()
    table[key] = table[key].astype(object).where(table[key].notna(), "").astype(str)
    return table.drop_duplicates(key).set_index(key).sort_index()


def _read(report: Report, name: str, reader: Callable[[Path], pd.DataFrame]) -> pd.DataFrame | None:
    path = report.folder / name
    if not path.is_file():
        return None
    try:
        return reader(path)
    except (OSError, ValueError, KeyError) as error:
        report.compare("tables", path, "the table", "damaged", str(error))
        return None


def _cell(key: Any) -> str:
    return "/".join(str(part) for part in key if str(part) not in ("", "<NA>"))


def _lines(content: bytes) -> str:
    """The size of a file in a difference of two: its number of lines."""
    return f"{len(content.splitlines())} lines"
