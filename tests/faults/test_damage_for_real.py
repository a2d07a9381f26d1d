"""Every kind of file of a finished run in every way, under Snakemake: the tables of the run that nobody touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from smoke_run import Run
from typer.testing import CliRunner

from headprune.cli.commands import app
from tests.damaging import DAMAGES, HINTS, KINDS, damage
from tests.faults.test_kills import differences
from tests.faults.test_kills import pytestmark as asked

pytestmark = asked


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_a_damaged_run_is_mended(number: int, undisturbed: Run, tmp_path: Path) -> None:
    """All kinds at once, each in another way in every round."""
    shutil.copytree(undisturbed.directory, tmp_path / "run", copy_function=shutil.copy2)
    run, ways = Run(tmp_path / "run"), list(DAMAGES)
    there = [kind for kind in (*KINDS, *HINTS) if any(run.results.glob(kind))]
    for place, kind in enumerate(there):
        damage(run.results, kind, ways[(place + number) % len(ways)], number)
    assert CliRunner().invoke(app, ["retry", str(run.results)]).exit_code == 0
    run.snakemake("tables")
    assert differences(run, undisturbed) == []
    told = CliRunner().invoke(app, ["failures", str(run.results)])
    assert told.output.strip().endswith("nothing failed"), told.output


def test_forceall_mends_models(undisturbed: Run, tmp_path: Path) -> None:
    """Nothing forgotten before: a replaced checkpoint of an unpruned model, a lost one of a cell."""
    shutil.copytree(undisturbed.directory, tmp_path / "run", copy_function=shutil.copy2)
    run = Run(tmp_path / "run")
    damage(run.results, "dense/*/*.pt", "another's")
    lost = damage(run.results, "cells/*/*/*/model.pt", "removed")
    run.snakemake("tables", "--forceall")
    assert differences(run, undisturbed) == []
    assert lost.exists()
