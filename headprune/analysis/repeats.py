"""Values, masks and outputs that two runs of the same cells repeat of one another to the last bit."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.naming import cell_id, cell_name
from headprune.results.outputs import reader
from headprune.results.schema import CELL_KEY, DAMAGED, read_cells, reproducible

CELL = CELL_KEY[1:]  # the same cell may stand in two profiles
Cell = tuple[Any, ...]
Parts = dict[Cell, dict[Hashable, Hashable]]


@dataclass(frozen=True)
class Repeat:
    """One kind of result, in the cells that both runs have it of.

    :param what: values, masks or outputs
    :param cells: number of these cells
    :param other: names of those in which it differs, be it by one bit
    """

    what: str
    cells: int
    other: list[str]


def repeats(first: Path, second: Path) -> list[Repeat]:
    """Compares what both runs have, without what every run measures anew; what only one has is left out.

    :param first: a results folder, or cells.parquet, beside which masks and outputs are looked for; likewise the second
    :raises ValueError: a table or an output cannot be read.
    """
    values = [_values(path) for path in (first, second)]
    shared = values[0].keys() & values[1].keys()
    folders = [path if path.is_dir() else path.parent for path in (first, second)]
    kinds = {
        "values": values,
        "masks": [_masks(folder) for folder in folders],
        "outputs": [_outputs(folder, shared) for folder in folders],
    }
    return [_repeat(what, *parts) for what, parts in kinds.items()]


def _repeat(what: str, first: Parts, second: Parts) -> Repeat:
    both = {cell: first[cell].keys() & second[cell].keys() for cell in first.keys() & second.keys()}
    both = {cell: parts for cell, parts in both.items() if parts}
    other = [cell for cell, parts in both.items() if any(first[cell][part] != second[cell][part] for part in parts)]
    return Repeat(what, len(both), sorted(map(cell_name, other)))


def _values(path: Path) -> Parts:
    rows = reproducible(read_cells(path)).dropna(subset=["value"])
    return _parts(rows, rows["split"].fillna("") + " " + rows["metric"], rows["value"])


def _masks(folder: Path) -> Parts:
    path = folder / "masks.parquet"
    if not path.is_file():
        return {}
    try:
        rows = pd.read_parquet(path)
        return _parts(rows, rows["head"], rows["kept"])
    except (OSError, *DAMAGED) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _parts(rows: pd.DataFrame, names: Iterable[Hashable], found: Iterable[Hashable]) -> Parts:
    parts: Parts = {}
    for cell, name, value in zip(_cells(rows), names, found, strict=True):
        parts.setdefault(cell, {})[name] = value
    return parts


def _cells(rows: pd.DataFrame) -> Iterator[Cell]:
    """Track, dataset, model, method, arm, budget and seed of every row."""
    texts = rows[CELL[:-2]].astype(object).where(rows[CELL[:-2]].notna(), "")
    return texts.join(rows[CELL[-2:]].astype(int)).itertuples(index=False, name=None)


def _outputs(folder: Path, cells: Iterable[Cell]) -> Parts:
    """A hash of every segment of each output."""
    parts: Parts = {}
    readers = {model: reader(folder, model) for model in {cell[2] for cell in cells}}
    for cell in cells:
        source, own = readers[cell[2]], cell_id(*cell[2:])
        for place in source.kinds(own):
            rows = source.rows(own, *place).to_pandas()
            parts.setdefault(cell, {})[place] = pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes()
    return parts
