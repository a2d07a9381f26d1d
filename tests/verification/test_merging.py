"""Tables of the parts of a run are, joined, those of the whole; what does not belong together is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from headprune import results
from headprune.cli import app
from headprune.config import load
from headprune.pipeline.agreement import check_configurations
from headprune.pipeline.collect import TABLES, collect
from headprune.pipeline.merging import merge
from headprune.pipeline.plan import Plan
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
        plan = Plan(load(given | {"parts": PARTS, "part": part}))
        plan.folder = folder
        collect(plan)
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def whole(finished: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all") / "whole"
    shutil.copytree(finished.folder, folder)
    given = finished.config.model_dump(exclude_defaults=True)
    given["methods"] = [{"name": "unpruned"}, *given["methods"]]
    plan = Plan(load(given))
    plan.folder = folder
    collect(plan)
    return folder


def test_parts_joined_are_the_whole_byte_for_byte(parts: list[Path], whole: Path, tmp_path: Path) -> None:
    """Cells that several parts have, here those of the references, stand in it once."""
    done = CliRunner().invoke(app, ["merge", *map(str, parts), "--into", str(tmp_path / "joined"), "--segments"])
    assert done.exit_code == 0, done.output
    tables = [name for name in TABLES if name != "manifest.json"]
    assert len(tables) == 7
    for name in tables:
        assert (tmp_path / "joined" / name).read_bytes() == (whole / name).read_bytes(), name
    sizes = [len(results.read_cells(folder)) for folder in (*parts, whole)]
    assert max(sizes[:3]) < sizes[3] < sum(sizes[:3])
    assert {p.relative_to(tmp_path / "joined") for p in (tmp_path / "joined/segments").rglob("*")} == {
        p.relative_to(whole) for p in (whole / "segments").rglob("*")
    }


def test_the_manifest_explains_every_signature_and_keeps_the_runs(parts: list[Path], tmp_path: Path) -> None:
    merge(parts[:2], tmp_path / "two")
    merge([tmp_path / "two", parts[2]], tmp_path / "three")
    manifest = json.loads((tmp_path / "three/manifest.json").read_text())
    assert set(results.read_cells(tmp_path / "three")["signature"]) <= set(manifest["signatures"]) | {""}
    assert [run["config"]["part"] for run in manifest["runs"]] == [part["name"] for part in PARTS]
    assert verify(tmp_path / "three").differences == []


def test_one_run_is_copied(parts: list[Path], tmp_path: Path) -> None:
    """Without what takes room: as results are published."""
    merge(parts[:1], tmp_path / "one")
    assert {path.name for path in (tmp_path / "one").iterdir()} == {*TABLES, "manifest.json"}
    assert (tmp_path / "one/cells.csv").read_bytes() == (parts[0] / "cells.csv").read_bytes()


def rewrite(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    if name == "manifest.json":
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    else:
        table = results.read_table(path, results.OTHERS[name][0] if name in results.OTHERS else results.CELL_COLUMNS)
        path.write_bytes(results.to_parquet(table.assign(**changes)))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("manifest.json", {"profile": "other"}, "is of profile 'other'"),
        ("manifest.json", {"data": {"help": {"sha256": {}}}}, "dataset 'help' is another"),
        ("cells.parquet", {"signature": "0123456789ab"}, "occurs under 2 signatures"),
        ("masks.parquet", {"signature": "0123456789ab"}, "masks.parquet"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    parts: list[Path], tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    other = Path(shutil.copytree(parts[0], tmp_path / "other", ignore=shutil.ignore_patterns("cells", "segments")))
    rewrite(other, name, **changes)
    with pytest.raises(ValueError, match=message):
        merge([parts[0], other], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("models", {"training": {"updates": 7}}, "training.updates: "),
        ("datasets", {"vocabulary": 7}, "vocabulary: "),
        ("evaluation", 7, "evaluation: beam: "),
    ],
)
def test_configurations_that_contradict_each_other_are_named(
    parts: list[Path], tmp_path: Path, section: str, change: Any, message: str
) -> None:
    other = Path(shutil.copytree(parts[0], tmp_path / "other", ignore=shutil.ignore_patterns("cells", "segments")))
    config = json.loads((other / "manifest.json").read_text())["config"]
    if section == "evaluation":
        config[section]["beam"] = change
    else:
        (name, *_), (key, value) = config[section], next(iter(change.items()))
        config[section][name][key] = config[section][name][key] | value if isinstance(value, dict) else value
    rewrite(other, "manifest.json", config=config)
    with pytest.raises(ValueError, match=message) as error:
        merge([parts[0], other], tmp_path / "joined")
    assert f"{parts[0]} and {other} have different configurations: {section}: " in str(error.value)
    assert not (tmp_path / "joined").exists()


def test_options_that_contradict_each_other() -> None:
    """Seeds and budgets may differ, and a key that only one has is a new option."""
    models = {"models": {"m": {}}}
    one = models | {"methods": [{"name": "l0", "arm": "joint", "options": {"x": 1}, "seeds": [1]}]}
    two = models | {"methods": [{"name": "l0", "arm": "joint", "options": {"x": 1, "y": 2}, "seeds": [2]}]}
    check_configurations([Path("a"), Path("b")], [{"config": one}, {"config": two}])
    two["methods"][0]["options"]["x"] = 3
    with pytest.raises(
        ValueError, match="a and b have different configurations: methods: l0.joint: options.x: 1 and 3"
    ):
        check_configurations([Path("a"), Path("b")], [{"config": one}, {"runs": [{"config": two}]}])


def test_results_are_never_overwritten(parts: list[Path]) -> None:
    with pytest.raises(FileExistsError, match="holds results"):
        merge(parts[:1], parts[1])
    with pytest.raises(FileNotFoundError, match=r"no manifest\.json"):
        merge([parts[0].parent], parts[0].parent / "joined")


def test_an_ablation_that_failed_in_one_run_counts_where_it_did_not() -> None:
    failed = {"profile": "p", "model": "m", "kind": "drop_one", "seed": 1, "status": "failed", "reason": "killed"}
    good = failed | {"status": "ok", "reason": "", "value": 1.0, "signature": "a"}
    tables = [
        results.ablations_table([failed, failed | {"seed": 2}]),
        results.ablations_table([good | {"head": "cross.0.0"}, good | {"head": "cross.0.1"}]),
    ]
    merged = results.merge_others("ablations.csv", tables)
    assert merged["status"].tolist() == ["ok", "ok", "failed"]
    pd.testing.assert_frame_equal(merged, results.merge_others("ablations.csv", [*tables, *tables]))
