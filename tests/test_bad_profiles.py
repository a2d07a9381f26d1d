"""Profiles that cannot run: one clear error each before anything is written, from the command line as users call it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headprune.analysis import tables
from headprune.cli.commands import main
from headprune.config import ConfigError, load
from headprune.pipeline.plan import Plan
from headprune.results import schema
from tests.analysis.made_up_cells import rows_of
from tests.test_config import VALID, changed

# What is wrong, the key, its value, and what the error must say.
BAD: dict[str, tuple[str, Any, list[str]]] = {
    "text for a number": ("models/tiny/training/updates", "many", ["models.tiny.training.updates", "'many'"]),
    "a list for a number": ("models/tiny/training/updates", [3], ["models.tiny.training.updates", "[3]"]),
    "a fraction of an update": ("models/tiny/training/updates", 1.5, ["models.tiny.training.updates", "1.5"]),
    "a truth value for a number": ("evaluation/beam", True, ["evaluation.beam", "True", "true and false"]),
    "a number for a truth value": (
        "models/tiny/architecture/normalize_before",
        7,
        ["models.tiny.architecture.normalize_before", "7"],
    ),
    "a number for a name": ("profile", 7, ["profile", "7"]),
    "a section that is a list": ("models/tiny/architecture", [], ["models.tiny.architecture"]),
    "a section that is nothing": ("models/tiny/training", None, ["models.tiny.training"]),
    "methods that are a mapping": ("methods", {"name": "dsp"}, ["methods"]),
    "a method that is a name only": ("methods/0", "magnitude", ["methods[0]"]),
    "not a number": ("models/tiny/training/learning_rate", float("nan"), ["learning_rate", "nan"]),
    "infinite": ("models/tiny/training/learning_rate", float("inf"), ["learning_rate", "inf"]),
    "a negative rate": ("models/tiny/training/learning_rate", -0.1, ["learning_rate", "-0.1", "greater than 0"]),
    "a dropout of one": ("models/tiny/architecture/dropout", 1.0, ["dropout", "1.0", "less than 1"]),
    "heads that do not divide the width": ("models/tiny/architecture/heads", 5, ["32", "5", "multiple"]),
    "more layers than memory": ("models/tiny/architecture/encoder_layers", 10**9, ["encoder_layers", "1000"]),
    "a billion draws": ("methods/1/draws", 10**9, ["methods[1].draws", "10000"]),
    "a budget below zero": ("budgets", [-1], ["budgets", "-1", "must not be negative"]),
    "a budget above N": ("budgets", [17], ["budget 17", "0…16", "'tiny'"]),
    "a budget that is a fraction": ("budgets", [0.5], ["budgets", "0.5"]),
    "a budget twice": ("budgets", [4, 4], ["budgets", "distinct"]),
    "no budget": ("budgets", [], ["budgets"]),
    "no seed": ("seeds", [], ["seeds"]),
    "a seed twice": ("seeds", [1, 1], ["seeds", "distinct"]),
    "a negative seed": ("seeds", [-1], ["seeds", "must not be negative"]),
    "a huge seed": ("seeds", [2**40], ["seeds", "2^31"]),
    "a method twice": ("methods/1", {"name": "magnitude"}, ["methods[1]", "'magnitude'", "listed twice"]),
    "an unknown method": ("methods/0/name", "magnitud", ["methods[0].name", "did you mean 'magnitude'"]),
    "an unknown key": ("models/tiny/architecture/widht", 3, ["widht", "did you mean 'width'"]),
    "an unknown option": ("methods/2/options", {"iterativ": True}, ["iterativ", "did you mean 'iterative'"]),
    "an option of a wrong type": ("methods/2/options", {"iterative": "yes"}, ["iterative", "'yes'"]),
    "an unknown schedule": ("models/tiny/training/schedule", "linaer", ["schedule", "did you mean 'linear'"]),
    "an unknown mode": ("methods/3/mode", "jiont", ["methods[3].mode", "did you mean 'joint'"]),
    "an unknown dataset": ("models/tiny/dataset", "hlep", ["models.tiny.dataset", "did you mean 'help'"]),
    "an unknown corpus": ("datasets/help/corpus", "multi3k", ["datasets.help.corpus", "did you mean 'multi30k'"]),
    "a folder that is no corpus": ("datasets/help/corpus", "/", ["datasets.help.corpus", "language pair"]),
    "a methods folder that is not there": ("methods_directories", ["/no/such"], ["/no/such", "does not exist"]),
    "a methods folder with braces": ("methods_directories", ["{seed}"], ["methods_directories", "braces"]),
    "a name that leads elsewhere": ("profile", "../../etc", ["profile name", "'../../etc'"]),
    "a name with a line break": ("profile", "a\nb", ["profile name"]),
    "an empty name": ("profile", "", ["profile name"]),
    "a results folder with braces": ("results", "out/{seed}", ["results", "braces"]),
    "a results folder with HTML": ("results", "<b>out</b>", ["results", "angle brackets"]),
    "a results folder with a line break": ("results", "out\nrm -rf", ["results", "control characters"]),
    "a results folder that is a file": ("results", "/etc/hostname", ["results", "cannot be written"]),
    "a results folder in a device": ("results", "/dev/null/out", ["results", "cannot be written"]),
    "no methods": ("methods", [], ["methods"]),
    "no models": ("models", {}, ["models"]),
}

Plan_ = Callable[[Any], str]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Plan_]:
    """`plan(values)`: the one error of `headprune plan` on a file with these values; text is written as it is.

    Afterwards there is nothing but the file.
    """
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    profile = tmp_path / "profile.yaml"

    def plan(values: Any) -> str:
        profile.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        monkeypatch.setattr("sys.argv", ["headprune", "plan", str(profile)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("error: ")
        assert "Traceback" not in output.err
        return output.err

    yield plan
    assert list(folder.iterdir()) == []


def test_there_are_forty() -> None:
    assert len(BAD) >= 40


@pytest.mark.parametrize(("path", "value", "expected"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_named(path: str, value: Any, expected: list[str], plan: Plan_) -> None:
    message = plan(changed(path, value))
    assert [part for part in expected if part not in message] == [], message


def test_a_key_twice(plan: Plan_) -> None:
    assert "key 'seeds' stands twice" in plan(yaml.safe_dump(VALID) + "seeds: [3]\n")


def test_a_model_twice(plan: Plan_) -> None:
    text = "models:\n  tiny: {track: mt}\n  tiny: {track: mt}\n"
    assert "key 'tiny' stands twice" in plan(text)


@pytest.mark.parametrize("text", ["budgets: &again [*again]", "models: &m {tiny: *m}", "&all {datasets: *all}"])
def test_an_alias_that_leads_back_to_itself(text: str, plan: Plan_) -> None:
    base = {key: value for key, value in VALID.items() if key not in ("budgets", "models")}
    assert "error" in plan(text if text.startswith("&") else yaml.safe_dump(base) + text)


def test_aliases_that_multiply(plan: Plan_) -> None:
    """Nine levels of nine: 387 million entries, were they written out."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert len(plan("\n".join([*levels, "budgets: *a8"]))) < 20_000


def test_folders_that_lead_back_to_themselves(plan: Plan_, tmp_path: Path) -> None:
    loop = tmp_path / "loop-de-en"
    loop.symlink_to(loop)
    assert "cannot be written" in plan(VALID | {"results": str(loop / "x")})
    assert "unknown dataset" in plan(changed("datasets/help/corpus", str(loop)))
    assert "does not exist" in plan(VALID | {"methods_directories": [str(loop)]})


def test_a_profile_that_is_a_folder_or_leads_back_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for path in (tmp_path, tmp_path / "loop.yaml", Path("/dev/null/x.yaml"), Path("a\0b")):
        with pytest.raises(ConfigError):
            load(path)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system in memory; the test is skipped where it cannot be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; see the file system that is read-only")
def test_a_folder_that_must_not_be_written(plan: Plan_, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "cannot be written" in plan(VALID | {"results": str(locked)})


def test_a_read_only_file_system(plan: Plan_, tmp_path: Path) -> None:
    with mounted(tmp_path / "locked", "ro,size=64k") as locked:
        assert "Read-only file system" in plan(VALID | {"results": str(locked / "deeper")})
        assert list(locked.iterdir()) == []


def test_a_full_disk(plan: Plan_, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=64k") as small:
        assert "cannot be written" in plan(VALID | {"results": str(small)})
        assert list(small.iterdir()) == []
        (small / "full").write_bytes(bytes(64 * 1024))
        assert "cannot be written" in plan(VALID | {"results": str(small / "deeper")})
        assert [path.name for path in small.iterdir()] == ["full"]


Usage = namedtuple("Usage", "total used free")


def test_a_nearly_full_disk_says_how_much_is_free(plan: Plan_, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**30, 2**30 - 2**21, 2**21))
    assert "only 2.0 MiB are free" in plan(VALID)


# Fuzzing: whatever a profile holds, it is a configuration or a ConfigError.
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["mt", "lm"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: str = "") -> Iterator[str]:
    """Every key of a configuration."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield f"{path}{key}"
        if isinstance(inner, dict | list):
            yield from places(inner, f"{path}{key}/")


@given(st.lists(st.tuples(st.sampled_from(sorted(places(VALID))), VALUES), min_size=1, max_size=3))
def test_any_value_anywhere(changes: list[tuple[str, Any]]) -> None:
    config = VALID
    for path, value in changes:
        try:
            config = changed(path, value, config)
        except (KeyError, IndexError, TypeError, ValueError):  # an earlier change took the place away
            continue
    with suppress(ConfigError):
        plan = Plan(load(config))
        assert len({cell.id for cell in plan.cells}) == len(plan.cells)


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(sorted(VALID)), VALUES, max_size=6))
def test_any_mapping(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        load(values)


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load(path)


ROWS = rows_of({("unpruned", "", 12, 1): 20.0, ("magnitude", "", 4, 1): 9.0, ("dsp", "joint", 4, 1): None})
TABLE = schema.cells_table(ROWS).astype(object)
JUNK = [None, "x", "", "\0", b"b", 2**70, 3.7, float("inf"), float("nan"), True, [1], {"a": 1}, np.datetime64("now")]


@given(
    changes=st.lists(st.tuples(st.sampled_from(sorted(TABLE)), st.sampled_from(JUNK), st.booleans()), max_size=3),
    dropped=st.none() | st.sampled_from(sorted(TABLE)),
)
def test_any_change_of_a_table(changes: list[Any], dropped: str | None, tmp_path_factory: Any) -> None:
    """Both readers, that of the results and that of the figures, take a changed table or say what is wrong with it."""
    folder, table = tmp_path_factory.getbasetemp(), TABLE.copy()
    for column, value, everywhere in changes:
        old = table[column].tolist()
        table[column] = pd.Series([value] * len(old) if everywhere else [old[0], value, *old[2:]], dtype=object)
    table = table.drop(columns=[dropped] if dropped else [])
    table.to_csv(folder / "cells.csv", index=False)
    with suppress(ValueError):
        schema.read_cells(folder / "cells.csv")
    try:
        table.to_parquet(folder / "cells.parquet")
    except (ValueError, TypeError, OverflowError):
        return
    with suppress(ValueError):
        schema.read_cells(folder)
    with suppress(tables.ResultsError):
        tables.read(folder)


HEADER = ",".join(schema.CELL_COLUMNS)


@given(
    name=st.sampled_from(["cells.csv", "cells.parquet"]),
    content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"{HEADER}\n{text}".encode()),
)
def test_any_table(name: str, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The reader gives a table of the schema or says that it is none."""
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    with suppress(ValueError):
        assert list(schema.read_cells(path).columns) == list(schema.CELL_COLUMNS)
