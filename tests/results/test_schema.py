"""The result tables: a strict schema, files that read back as they were written, and merging."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from found import Found, rows
from hypothesis import given, settings
from hypothesis import strategies as st

import headprune.tasks  # noqa: F401, whose metrics are in the tables
from headprune.results import schema
from headprune.results.schema import CELL_COLUMNS, MASK_COLUMNS, MEASURED, UNITS, cells_table, masks_table

Row = dict[str, Any]


def row(**changes: Any) -> Row:
    """One row of a cell, complete."""
    whole: Row = {
        "profile": "unit",
        "track": "mt",
        "dataset": "help",
        "model": "tiny",
        "method": "dsp",
        "arm": "joint",
        "budget": 4,
        "heads_kept": 4,
        "n_heads": 16,
        "seed": 1,
        "split": "test",
        "metric": "bleu",
        "value": 12.5,
        "unit": "BLEU",
        "status": "ok",
        "signature": "0123456789ab",
    }
    return whole | changes


def head(**changes: Any) -> Row:
    keys = ("profile", "track", "dataset", "model", "method", "arm", "budget", "seed", "signature")
    place = {"head": "cross.0.1", "type": "cross", "layer": 0, "index": 1, "kept": True}
    return {key: row()[key] for key in keys} | place | changes


def from_csv(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    (folder / "cells.csv").write_bytes(schema.to_csv(table))
    return schema.read_cells(folder / "cells.csv")


def from_parquet(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    (folder / "cells.parquet").write_bytes(schema.to_parquet(table))
    return schema.read_cells(folder / "cells.parquet")


FORMATS = pytest.mark.parametrize("through", [from_csv, from_parquet])
Through = Callable[[pd.DataFrame, Path], pd.DataFrame]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


def test_tables_have_the_columns_and_types_of_the_schema() -> None:
    for table, columns in (
        (cells_table([row()]), CELL_COLUMNS),
        (cells_table([]), CELL_COLUMNS),
        (masks_table([head()]), MASK_COLUMNS),
        (masks_table([]), MASK_COLUMNS),
    ):
        assert {column: str(kind) for column, kind in table.dtypes.items()} == columns
        assert list(table.columns) == list(columns)


def test_what_a_row_lacks_is_empty_text_or_a_missing_number() -> None:
    table = cells_table([row()])
    assert table["reason"].tolist() == table["metric_signature"].tolist() == [""]
    assert table["q25"].isna().all()
    assert table["batch_size"].isna().all()
    failed = cells_table([row(value=None, heads_kept=None, status="failed", reason="out of memory")])
    assert failed["value"].isna().all()
    assert failed["heads_kept"].isna().all()


def test_schema_is_the_documented_one() -> None:
    """docs/results.md: the columns and metrics that readers rely on."""
    documented = "profile track dataset model method arm budget heads_kept n_heads seed split metric value unit status "
    documented += "reason signature"
    assert [column for column in CELL_COLUMNS if column in documented.split()] == documented.split()
    metrics = "bleu bleu_tokenized_lower chrf perplexity parameters parameters_non_embedding macs_per_token latency_ms "
    metrics += "throughput masked_vs_removed_max_abs train_seconds prune_seconds peak_memory_mib"
    assert set(metrics.split()) <= set(UNITS)


def test_rows_are_sorted_whatever_their_order() -> None:
    rows = [
        row(method=method, budget=budget, metric=metric)
        for method in ("random", "dsp")
        for budget in (12, 4)
        for metric in ("chrf", "bleu")
    ]
    table = cells_table(rows)
    assert table.equals(cells_table(reversed(rows)))
    assert table[["method", "budget", "metric"]].values.tolist() == sorted(
        [r["method"], r["budget"], r["metric"]] for r in rows
    )


BAD = {
    "unknown column": ({"vlaue": 1.0}, "unknown columns ['vlaue']"),
    "unknown status": ({"status": "okay"}, "column 'status' holds ['okay']; known: ok, failed"),
    "unknown metric": ({"metric": "blue"}, "column 'metric' holds ['blue']; known: bleu"),
    "word for a number": ({"value": "high"}, "high"),
    "fraction of a head": ({"budget": 2.5}, ""),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_rows_outside_the_schema_are_refused(change: Row, message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        cells_table([row(), row(seed=2, **change)])
    assert message in str(error.value)


def test_two_rows_for_one_value_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two rows for one .*'metric'\).*'dsp', 'joint'"):
        cells_table([row(), row(value=13.0)])
    with pytest.raises(ValueError, match=r"two rows for one .*'head'\).*'cross\.0\.1'"):
        masks_table([head(), head(kept=False)])


FLOATS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([5e-324, -5e-324, 2.2e-308, 1e-300, 0.1 + 0.2, 1 / 3, 1e22, 1e23, -0.0, 1.7976931348623157e308]),
)


@FORMATS
@settings(max_examples=20)
@given(values=st.lists(FLOATS, min_size=10, max_size=50))
def test_every_number_reads_back_as_itself(folder: Path, through: Through, values: list[float]) -> None:
    """Bit for bit; not a number reads back as missing."""
    table = cells_table([row(seed=seed, value=value, q25=value) for seed, value in enumerate(values)])
    again = through(table, folder)
    for column in ("value", "q25"):
        for found, value in zip(again[column], values, strict=True):
            assert pd.isna(found) if math.isnan(value) else float(found).hex() == value.hex()


NAMES = ["007", "1e5", "inf", "nan", "NA", "null", "None", "True", "-1", "0x1", "1_000", "2026-11-22", ""]


@FORMATS
@pytest.mark.parametrize("name", NAMES)
def test_names_that_look_like_something_else(folder: Path, through: Through, name: str) -> None:
    table = cells_table([row(arm=name, method=name, reason=name)])
    pd.testing.assert_frame_equal(through(table, folder), table)


@FORMATS
@pytest.mark.parametrize("signature", ["012345678901", "12345e678901", "000000000000"])
def test_signatures_that_look_like_numbers(folder: Path, through: Through, signature: str) -> None:
    table = cells_table([row(signature=signature)])
    pd.testing.assert_frame_equal(through(table, folder), table)


@FORMATS
@pytest.mark.parametrize("reason", ['a,"b"', "two\nlines", "a\rb", "a\r\nb", " padded ", "naïve …", "'", "\\", "\t"])
def test_reasons_are_any_text(folder: Path, through: Through, reason: str) -> None:
    table = cells_table([row(reason=reason), row(seed=2)])
    pd.testing.assert_frame_equal(through(table, folder), table)


@FORMATS
def test_whole_tables_read_back(folder: Path, through: Through) -> None:
    rows = [row(metric=metric, unit=unit, value=0.1 * i) for i, (metric, unit) in enumerate(UNITS.items())]
    rows += [row(seed=2, status="failed", value=None, heads_kept=None, reason="out of memory, twice")]
    rows += [row(seed=3, q25=1.25, q75=2.5, batch_size=64)]
    table = cells_table(rows)
    pd.testing.assert_frame_equal(through(table, folder), table)
    empty = cells_table([])
    pd.testing.assert_frame_equal(through(empty, folder), empty)


def test_files_of_one_table_are_the_same_bytes() -> None:
    table = cells_table([row(), row(seed=2)])
    assert schema.to_csv(table) == schema.to_csv(table.copy())
    assert schema.to_parquet(table) == schema.to_parquet(table.copy())
    assert schema.to_csv(table).count(b"\n") == 3
    assert b"\r" not in schema.to_csv(table)


def test_other_readers_see_plain_columns() -> None:
    """A notebook that knows nothing of the schema."""
    table = cells_table([row()])
    csv, parquet = schema.to_csv(table), schema.to_parquet(table)
    for plain in (pd.read_csv(io.BytesIO(csv)), pd.read_parquet(io.BytesIO(parquet))):
        assert plain.loc[0, "value"] == 12.5
        assert plain.loc[0, "method"] == "dsp"


def test_a_folder_stands_for_its_parquet_file(tmp_path: Path) -> None:
    table = cells_table([row()])
    (tmp_path / "cells.parquet").write_bytes(schema.to_parquet(table))
    pd.testing.assert_frame_equal(schema.read_cells(tmp_path), table)
    pd.testing.assert_frame_equal(schema.read_cells(str(tmp_path)), table)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    table = cells_table([row()]).rename(columns={"value": "score"})
    (tmp_path / "cells.csv").write_bytes(schema.to_csv(table))
    with pytest.raises(ValueError, match=r"cells\.csv has another schema: missing \['value'\], unknown \['score'\]"):
        schema.read_cells(tmp_path / "cells.csv")


def test_reproducible_rows_leave_out_what_is_measured() -> None:
    table = cells_table(row(metric=metric, unit=unit) for metric, unit in UNITS.items())
    kept = schema.reproducible(table)
    measured = {"latency_ms", "throughput", "train_seconds", "prune_seconds", "peak_memory_mib"}
    assert set(MEASURED) == measured
    assert set(kept["metric"]) == set(UNITS) - measured
    assert list(kept.index) == list(range(len(kept)))


@rows(
    Found(
        "a second run, with other times", "another hash", True, "equal values", {"metric": "latency_ms", "value": 9.0}
    ),
    Found("another code version", "another hash", True, "equal values", {"signature": "fedcba987654"}),
    Found("another value", "another hash", False, "0.1 BLEU more", {"value": 12.6}),
)
def test_the_name_of_what_repeats(found: Found, tmp_path: Path) -> None:
    """The digest is that of the values: times and signatures are left out, in whatever order and type they come."""
    speed = row(metric="latency_ms", split="", value=8.0, unit="ms", batch_size=1)
    other = row(seed=2, value=11.25)
    change = dict(found.case)
    is_speed = change.get("metric") == "latency_ms"
    changed = [row(**({} if is_speed else change)), speed | (change if is_speed else {}), other]
    first, second = cells_table([row(), speed, other]), cells_table(changed)
    assert (schema.digest(first) == schema.digest(second)) == found.right
    shuffled = from_csv(second.sample(frac=1, random_state=1), tmp_path)
    assert schema.digest(shuffled) == schema.digest(second)
    assert schema.digest(shuffled.astype({"heads_kept": float})) == schema.digest(second)
    assert (schema.digest_of_measured(first) == schema.digest_of_measured(second)) != is_speed
    assert schema.digest_of_measured(cells_table([row()])) == ""


def test_tables_without_a_later_column_are_read(tmp_path: Path) -> None:
    table = schema.ablations_table([{"model": "m", "kind": "drop_one", "seed": 1, "head": "encoder.0.0"}])
    (tmp_path / "ablations.csv").write_bytes(schema.to_csv(table.drop(columns="segments_differing")))
    found = schema.read_table(tmp_path / "ablations.csv", schema.ABLATION_COLUMNS)
    assert list(found.columns) == list(schema.ABLATION_COLUMNS)
    assert found["segments_differing"].isna().all()
