"""The outputs of models, which paired tests, reports and verification read: where they lie, how they are packed.

Jobs write files of every cell, segments/<cell>/hypotheses.test.txt.gz; merged and published results hold one table per
model, outputs/<model>.parquet, with a row per cell, kind, split and segment. Both are read by the same functions.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headprune.naming import OF_CELLS as OF_CELLS
from headprune.naming import cell_folder as cell_folder
from headprune.results.vocabulary import KINDS

OF_MODELS = "outputs"  # a folder within one of results
KEY = ("cell", "kind", "split")
ORDER = ("kind", "split", "segment", "cell")
TEXT = pa.large_string()  # more than 2 GiB of one model
LEVEL = 9  # of zstd: within a tenth of the smallest, in a second
DAMAGED = (OSError, EOFError, zlib.error, LookupError, TypeError, ValueError, NotImplementedError)

Table = Any  # pyarrow.Table, which comes without types


def file_name(kind: str, split: str) -> str:
    """Name of the file that a job writes of a cell."""
    return KINDS[kind].pattern.format(split)


def raw_text(results: Path, dataset: str, split: str, side: str) -> Path:
    """Text that outputs are made from or compared with, which all cells of a dataset share.

    :param side: src or tgt
    """
    return results / "data" / dataset / "raw" / f"{split}.{side}"


def raw_texts(results: Path, split: str) -> list[Path]:
    """The texts of a split that a results folder has of all its datasets, in the order of their names."""
    return sorted((results / "data").glob(f"*/raw/{split}.*"))


def lines(content: bytes) -> list[str]:
    """Lines end with \\n and nothing else: some texts hold signs that `splitlines` takes for ends."""
    return content.decode("utf-8").removesuffix("\n").split("\n")


def exist(results: Path) -> bool:
    """True if a results folder has outputs of any model; published tables may come without."""
    return any((results / name).is_dir() for name in (OF_CELLS, OF_MODELS))


def paths(results: Path) -> list[Path]:
    """All files with outputs in a results folder."""
    return [*sorted(results.glob(f"{OF_CELLS}/*/*/*/*")), *sorted(results.glob(f"{OF_MODELS}/*.parquet"))]


class Reader(ABC):
    """The outputs of one model in a results folder."""

    def __init__(self, results: Path, model: str) -> None:
        self.results, self.model = results, model

    @property
    @abstractmethod
    def exist(self) -> bool:
        """True if there are outputs of the model."""

    @abstractmethod
    def kinds(self, cell: str) -> list[tuple[str, str]]:
        """Kinds and splits of the outputs of a cell.

        :raises ValueError: the outputs of the model are damaged, or hold something of an unknown kind.
        """

    @abstractmethod
    def has(self, cell: str, kind: str, split: str) -> bool:
        """True if a cell has an output of a kind on a split. Raises ValueError where `kinds` does."""

    @abstractmethod
    def where(self, cell: str, kind: str, split: str) -> str:
        """The place of an output within the results folder, for messages; it need not be there."""

    @abstractmethod
    def rows(self, cell: str, kind: str, split: str) -> Table:
        """Columns `segment` and those of the kind, by segment; of texts about the whole one row without a segment.

        :raises FileNotFoundError: there is no such output.
        :raises ValueError: it is damaged.
        """

    def texts(self, cell: str, split: str, kind: str = "hypotheses") -> list[str]:
        """Lines of text in the order of the corpus. Raises as `rows`."""
        found: list[str] = self.rows(cell, kind, split)[KINDS[kind].columns[0]].to_pylist()
        return found

    def values(self, cell: str, kind: str, split: str) -> pd.DataFrame:
        """Columns `segment` and those of the kind, by segment. Raises as `rows`."""
        return self.rows(cell, kind, split).to_pandas()

    def sample(self, cell: str, split: str, kind: str = "sample") -> dict[str, str]:
        """`prompt`, and `continuation` by the model. Raises as `rows`."""
        (row,) = self.rows(cell, kind, split).select(KINDS[kind].columns).to_pylist()
        return dict(row)


class FilesOfCells(Reader):
    """Read from files of every cell, as jobs leave them."""

    @property
    def exist(self) -> bool:
        return cell_folder(self.results, self.model).is_dir()

    def kinds(self, cell: str) -> list[tuple[str, str]]:
        files = sorted(cell_folder(self.results, cell).glob("[!.]*"))
        return [self._kind(path) for path in files]

    def has(self, cell: str, kind: str, split: str) -> bool:
        return self._path(cell, kind, split).is_file()

    def where(self, cell: str, kind: str, split: str) -> str:
        return self._path(cell, kind, split).relative_to(self.results).as_posix()

    def rows(self, cell: str, kind: str, split: str) -> Table:
        if not self.has(cell, kind, split):
            raise FileNotFoundError(f"{self.where(cell, kind, split)} is not there")
        try:
            return _decoded(kind, self._path(cell, kind, split).read_bytes())
        except DAMAGED as error:
            raise ValueError(str(error) or type(error).__name__) from error

    def _path(self, cell: str, kind: str, split: str) -> Path:
        return cell_folder(self.results, cell) / file_name(kind, split)

    def _kind(self, path: Path) -> tuple[str, str]:
        for kind, known in KINDS.items():
            start, end = known.pattern.split("{}")
            split = path.name.removeprefix(start).removesuffix(end)
            if file_name(kind, split) == path.name:
                return kind, split
        names = ", ".join(file_name(kind, "SPLIT") for kind in KINDS)
        raise ValueError(f"{path.relative_to(self.results).as_posix()} is no output of a cell; known: {names}")


class TableOfModel(Reader):
    """Read from the one table of a model, which is loaded when it is first needed and kept."""

    @property
    def path(self) -> Path:
        return self.results / OF_MODELS / f"{self.model}.parquet"

    @property
    def exist(self) -> bool:
        return self.path.is_file()

    def kinds(self, cell: str) -> list[tuple[str, str]]:
        return sorted((kind, split) for own, kind, split in self._places if own == cell)

    def has(self, cell: str, kind: str, split: str) -> bool:
        return (cell, kind, split) in self._places

    def where(self, cell: str, kind: str, split: str) -> str:
        return f"{self.path.relative_to(self.results).as_posix()} ({kind} of {cell} on {split})"

    def rows(self, cell: str, kind: str, split: str) -> Table:
        if not self.has(cell, kind, split):
            raise FileNotFoundError(f"{self.where(cell, kind, split)} is not there")
        try:
            found = self._table.select(["segment", *KINDS[kind].columns]).take(self._places[cell, kind, split])
        except DAMAGED as error:
            raise ValueError(str(error)) from error
        return found.sort_by("segment")

    @cached_property
    def _table(self) -> Table:
        try:
            return pq.read_table(self.path, read_dictionary=list(KEY)).combine_chunks()  # of which rows are taken fast
        except DAMAGED as error:
            raise ValueError(f"{self.path.relative_to(self.results)} cannot be read: {error}") from error

    @cached_property
    def _places(self) -> dict[tuple[str, str, str], NDArray[np.int64]]:
        """The rows of every output."""
        try:
            key = self._table.select(KEY).to_pandas()
        except DAMAGED as error:
            raise ValueError(f"{self.path.relative_to(self.results)} cannot be read: {error}") from error
        return dict(key.groupby(list(KEY), observed=True, sort=False).indices)


def reader(results: Path, model: str) -> Reader:
    """Reads the outputs of a model, whichever form they have; where both are there, the files of cells."""
    table, files = TableOfModel(results, model), FilesOfCells(results, model)
    return table if table.exist and not files.exist else files


def pack(results: Path, model: str, sources: Iterable[tuple[Reader, str]]) -> None:
    """Writes all outputs of cells of one model as one table; no table where they have none.

    What models that differ by a few heads say of one segment is much alike: side by side it takes half the room.

    :param sources: cells by id, each with what to read it from
    :raises ValueError: an output is damaged, of an unknown kind, or of another type than that of other cells.
    """
    tables = [table for source, cell in sources for table in _labelled(source, cell)]
    if not tables:
        return
    try:
        whole = pa.concat_tables(tables, promote_options="default").sort_by([(name, "ascending") for name in ORDER])
    except DAMAGED as error:
        raise ValueError(f"outputs of {model} are of several types: {error}") from error
    known = dict.fromkeys(name for kind in KINDS.values() for name in kind.columns)
    columns = [name for name in known if name in whole.column_names]
    whole = whole.select([*KEY, "segment", *columns])
    reals = [field.name for field in whole.schema if pa.types.is_floating(field.type)]
    repeated = [name for name in whole.column_names if name not in (*reals, "segment", "text")]
    path = TableOfModel(results, model).path
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        whole, path, compression="zstd", compression_level=LEVEL, use_dictionary=repeated, use_byte_stream_split=reals
    )


def _labelled(source: Reader, cell: str) -> Iterator[Table]:
    """The outputs of a cell, with the columns that say whose they are."""
    for kind, split in source.kinds(cell):
        try:
            rows = source.rows(cell, kind, split)
        except ValueError as error:
            raise ValueError(f"{source.where(cell, kind, split)} cannot be read: {error}") from error
        for name, value in zip(KEY, (cell, kind, split), strict=True):
            rows = rows.append_column(name, pa.repeat(value, len(rows)))
        yield rows


def _decoded(kind: str, content: bytes) -> Table:
    """The content of a file of a cell as `Reader.rows`."""
    if not content:
        raise EOFError("the file is empty")
    pattern, names = KINDS[kind].pattern, KINDS[kind].columns
    if pattern.endswith(".txt.gz"):
        text = lines(gzip.decompress(content))
        return pa.table({"segment": np.arange(len(text)), names[0]: pa.array(text, TEXT)})
    if pattern.endswith(".json"):
        texts = json.loads(content)
        columns = {name: pa.array([texts[name]], TEXT) for name in names}
        return pa.table({"segment": pa.nulls(1, pa.int64()), **columns})
    table = pq.read_table(io.BytesIO(content)).select(["segment", *names])
    return table.replace_schema_metadata(None).sort_by("segment")
