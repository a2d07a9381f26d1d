"""Damaged results folders under Snakemake itself; what is damaged how, and told by whom, is in tests/pipeline."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from smoke_run import Run
from typer.testing import CliRunner

from headprune.cli.commands import app
from tests.damaging import DAMAGES, DRAWN, HINTS, KINDS, damage
from tests.faults.test_kills import differences

pytestmark = pytest.mark.slow

# A collection that dies before it has written anything.
DYING = """
import os, sys
if "collect" in sys.orig_argv and any(word.endswith("/headprune") for word in sys.orig_argv):
    os._exit(3)
"""


@pytest.fixture
def run(smoke: Run, tmp_path: Path) -> Run:
    """A copy of a finished run, times of files included."""
    shutil.copytree(smoke.directory, tmp_path / "run", copy_function=shutil.copy2)
    return Run(tmp_path / "run")


def test_retry_and_snakemake_mend_every_kind_of_file(smoke: Run, run: Run) -> None:
    """All kinds at once, each in another way; `tests/faults` does every kind in every way."""
    ways, there = list(DAMAGES), [kind for kind in (*KINDS, *HINTS, *DRAWN) if any(run.results.glob(kind))]
    damaged = [damage(run.results, kind, ways[place % len(ways)], 1) for place, kind in enumerate(there)]
    drawn = {path: path.read_bytes() if path.exists() else b"" for path in damaged[-len(DRAWN) :]}
    told = CliRunner().invoke(app, ["failures", str(run.results), "--lines", "0"])
    assert told.exit_code == 0
    assert told.output.count(": damaged: ") > len(there) / 2  # what a damaged receipt vouched for has no witness left
    assert CliRunner().invoke(app, ["retry", str(run.results)]).exit_code == 0
    targets = ["tables", *(str(path.relative_to(run.directory)) for path in drawn)]
    targets.append("results/smoke/tables/estimators.md")  # the others are not drawn anew, for the sake of time
    run.snakemake(*targets)
    timed = ("tables/claims.", "tables/frontiers.")  # each has something about latencies
    assert [name for name in differences(run, smoke) if not name.startswith(timed)] == []
    assert all(path.read_bytes() not in (content, b"") for path, content in drawn.items())
    told = CliRunner().invoke(app, ["failures", str(run.results)])
    assert told.output.strip().endswith("nothing failed")
    assert "Nothing to be done" in run.snakemake(*targets)


def test_a_failed_collection_leaves_the_tables(
    smoke: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    output = run.snakemake("tables", "--forcerun", "collect", check=False)
    assert "Error in rule collect" in output
    for name in ("cells.csv", "cells.parquet", "masks.parquet", "manifest.json", "tables/results.md"):
        assert (run.results / name).read_bytes() == (smoke.results / name).read_bytes()
