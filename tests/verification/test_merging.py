"""Tables of the parts of a run are, joined, those of the whole; what does not belong together is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headprune.cli.commands import app
from headprune.config import load
from headprune.pipeline.collect import TABLES, collect
from headprune.pipeline.plan import Plan
from headprune.results import schema
from headprune.results.merging import merge
from headprune.results.merging.parts import MergeError
from headprune.results.outputs import reader
from headprune.verification import verify

PARTS = [
    {"name": "trained", "entries": ["dsp.*"]},
    {"name": "ablations", "entries": ["ablation.*"]},
    {"name": "frozen", "entries": ["*"]},
]


@pytest.fixture(scope="module")
def parts(finished: Plan, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder for each part, as if it had been run there."""
    given = finished.config.model_dump(exclude_defaults=True)
    given["methods"] = [{"name": "unpruned"}, *given["methods"]]
    folders = []
    for part in (part["name"] for part in PARTS):
        folder = tmp_path_factory.mktemp(part) / "whole"
        shutil.copytree(finished.folder, folder)
        collect(Plan(load(given | {"parts": PARTS, "part": part}), folder))
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def whole(finished: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all") / "whole"
    shutil.copytree(finished.folder, folder)
    given = finished.config.model_dump(exclude_defaults=True)
    given["methods"] = [{"name": "unpruned"}, *given["methods"]]
    collect(Plan(load(given), folder))
    return folder


def test_parts_joined_are_the_whole_byte_for_byte(parts: list[Path], whole: Path, tmp_path: Path) -> None:
    """Cells that several parts have, here those of the references, stand in it once."""
    done = CliRunner().invoke(app, ["merge", str(tmp_path / "joined"), *map(str, parts), "--shared"])
    assert done.exit_code == 0, done.output
    tables = [name for name in TABLES if name != "cells.csv"]  # which says the same as cells.parquet
    assert len(tables) == 7
    for name in tables:
        assert (tmp_path / "joined" / name).read_bytes() == (whole / name).read_bytes(), name
    sizes = [len(schema.read_cells(folder)) for folder in (*parts, whole)]
    assert max(sizes[:3]) < sizes[3] < sum(sizes[:3])
    read = 0
    for folder in sorted((whole / "segments").glob("*/*/*")):
        cell = folder.relative_to(whole / "segments").as_posix()
        before, after = (reader(results, cell.split("/")[0]) for results in (whole, tmp_path / "joined"))
        assert after.kinds(cell) == before.kinds(cell)
        for kind, split in before.kinds(cell):
            assert after.rows(cell, kind, split).equals(before.rows(cell, kind, split))
            read += 1
    assert read == len([path for path in (whole / "segments").rglob("*") if path.is_file()]) > 5


def test_the_manifest_explains_every_signature_and_keeps_the_runs(parts: list[Path], tmp_path: Path) -> None:
    merge(tmp_path / "two", parts[:2], shared=True)
    merge(tmp_path / "three", [tmp_path / "two", parts[2]], shared=True)
    manifest = json.loads((tmp_path / "three/manifest.json").read_text())
    assert set(schema.read_cells(tmp_path / "three")["signature"]) <= set(manifest["signatures"]) | {""}
    assert [run["config"]["part"] for run in manifest["merged"]] == [part["name"] for part in PARTS]
    assert verify(tmp_path / "three").differences == []


def test_one_run_is_copied(parts: list[Path], tmp_path: Path) -> None:
    """Without what takes room: as results are published."""
    merge(tmp_path / "one", parts[:1], outputs=False)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {*TABLES, "manifest.json"} - {"cells.csv"}
    assert (tmp_path / "one/cells.parquet").read_bytes() == (parts[0] / "cells.parquet").read_bytes()


def test_shared_cells_must_be_the_same(parts: list[Path], tmp_path: Path) -> None:
    """They must have one signature and the same values; seconds may differ."""
    other = Path(shutil.copytree(parts[0], tmp_path / "other", ignore=shutil.ignore_patterns("cells", "segments")))
    cells = schema.read_cells(other)
    timed = cells["metric"].isin(schema.MEASURED)
    (other / "cells.parquet").write_bytes(schema.to_parquet(cells.assign(value=cells["value"].where(~timed, 1e9))))
    assert merge(tmp_path / "seconds", [parts[0], other], shared=True).cells
    with pytest.raises(MergeError, match="under one signature.*--shared takes each once"):
        merge(tmp_path / "refused", [parts[0], other])
    for changed, message in (
        (cells.assign(value=cells["value"] + 1), "under one signature"),
        (cells.assign(signature="0123456789ab"), "under different signatures"),
    ):
        (other / "cells.parquet").write_bytes(schema.to_parquet(changed))
        with pytest.raises(MergeError, match=message):
            merge(tmp_path / "refused", [parts[0], other], shared=True)
    assert not (tmp_path / "refused").exists()
