"""Compares two runs of one profile: every value that repeats, every mask, every output.

    python tools/compare_runs.py results/before results/after

Times and signatures may differ; nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from headprune.results.outputs import paths
from headprune.results.schema import CELL_KEY, MEASURED, ROW_KEY, read_cells

FREE = ["signature"]  # columns that tell of the code


def differences(before: Path, after: Path) -> list[str]:
    """Everything that differs, a line each."""
    found = []
    tables = {"cells.parquet": ROW_KEY, "masks.parquet": [*CELL_KEY, "head"]}
    for name, key in tables.items():
        first, second = (_table(folder / name, key) for folder in (before, after))
        if not first.equals(second):
            both = first.index.intersection(second.index)
            changed = (first.loc[both].fillna("–") != second.loc[both].fillna("–")).any(axis=1).sum()
            found.append(f"{name}: {len(first)} and {len(second)} rows, {changed} with another value")
    outputs = [{path.relative_to(folder).as_posix(): path for path in paths(folder)} for folder in (before, after)]
    found += [f"{name}: only in one run" for name in sorted(set(outputs[0]) ^ set(outputs[1]))]
    both_have = sorted(set(outputs[0]) & set(outputs[1]))
    found += [name for name in both_have if outputs[0][name].read_bytes() != outputs[1][name].read_bytes()]
    print(f"{len(both_have)} files of outputs compared")
    return found


def _table(path: Path, key: list[str]) -> pd.DataFrame:
    table = read_cells(path) if path.name.startswith("cells") else pd.read_parquet(path)
    if "metric" in table:
        table = table[~table["metric"].isin(MEASURED)]
    print(f"{path}: {len(table)} rows that repeat")
    return table.drop(columns=[name for name in FREE if name in table]).set_index(key).sort_index()


if __name__ == "__main__":
    told = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(told) or "no difference")
    sys.exit(bool(told))
