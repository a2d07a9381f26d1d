"""Two runs that repeat one another: the published quick run and copies in which one thing is changed."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from headprune.analysis.repeats import Repeat, repeats
from headprune.cli.commands import app
from headprune.naming import cell_folder, cell_id
from headprune.results.outputs import reader

PUBLISHED = Path(__file__).resolve().parents[2] / "results/published/quick"
CELL = ("mt", "lohelp-de-en", "transformer-2x4", "magnitude", "", 12, 1)
NAME = "mt/lohelp-de-en/transformer-2x4/magnitude/k12/s1"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PUBLISHED, tmp_path / "copy"))


def change(path: Path, column: str, value: object, **where: object) -> None:
    """Sets a column in the rows that are meant."""
    table = pd.read_parquet(path)
    meant = pd.Series(True, index=table.index)
    for name, wanted in where.items():
        meant &= table[name].fillna("") == wanted
    assert meant.any() and not (table.loc[meant, column] == value).all()
    table.loc[meant, column] = value
    table.to_parquet(path, index=False)


def test_a_run_repeats_itself() -> None:
    cells = pd.read_parquet(PUBLISHED / "cells.parquet")
    found = repeats(PUBLISHED, PUBLISHED / "cells.parquet")
    number = len(cells[["model", "method", "arm", "budget", "seed"]].drop_duplicates())
    assert found == [Repeat("values", number, []), Repeat("masks", number, []), Repeat("outputs", number, [])]


def test_one_change_is_one_cell_that_differs(copy: Path) -> None:
    _, _, model, method, arm, budget, seed = CELL
    of_cell = {"model": model, "method": method, "budget": budget, "seed": seed}
    change(copy / "cells.parquet", "value", 10.25, **of_cell, metric="bleu")
    change(copy / "cells.parquet", "value", 1e6, **of_cell, metric="prune_seconds")
    change(copy / "masks.parquet", "kept", True, **of_cell)
    name = cell_id(model, method, arm, budget, seed)
    change(copy / f"outputs/{model}.parquet", "text", "x", cell=name, kind="hypotheses", segment=3)
    assert [(one.what, one.other) for one in repeats(PUBLISHED, copy)] == [
        *(("values", [NAME]), ("masks", [NAME]), ("outputs", [NAME]))
    ]
    told = " ".join(CliRunner().invoke(app, ["compare", str(PUBLISHED), str(copy)]).output.split())
    assert f"other masks: 1 cell {NAME}" in told
    assert "values of 51 of 52, masks of 51 of 52, outputs of 51 of 52 cells that both have" in told


def test_times_and_what_one_run_lacks_are_no_difference(copy: Path) -> None:
    change(copy / "cells.parquet", "value", 1.0, metric="train_seconds")
    shutil.rmtree(copy / "outputs")
    (copy / "masks.parquet").unlink()
    assert [(one.cells, one.other) for one in repeats(copy, PUBLISHED)] == [(52, []), (0, []), (0, [])]


def test_outputs_are_the_same_in_files_of_cells_and_in_a_table(copy: Path) -> None:
    name = cell_id(*CELL[2:])
    texts = reader(PUBLISHED, CELL[2]).texts(name, "test")
    shutil.rmtree(copy / "outputs")
    file = cell_folder(copy, name) / "hypotheses.test.txt.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.compress("".join(f"{line}\n" for line in texts).encode()))
    assert repeats(copy, PUBLISHED)[-1] == Repeat("outputs", 1, [])


def test_a_damaged_table_of_masks_is_named(copy: Path) -> None:
    (copy / "masks.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"masks\.parquet cannot be read"):
        repeats(PUBLISHED, copy)
