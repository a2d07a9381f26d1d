"""The common ground of runs that are killed: an undisturbed one, and Slurm where it was asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.slurm.conftest import slurm

sys.path.append(str(Path(__file__).parents[1] / "e2e"))  # killing, smoke_run
__all__ = ["slurm", "undisturbed"]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    """The smoke profile's tables, nothing killed; HEADPRUNE_FAULTS_UNDISTURBED names a folder that has them."""
    from smoke_run import Run

    if folder := os.environ.get("HEADPRUNE_FAULTS_UNDISTURBED"):
        return Run(Path(folder))
    run = Run(tmp_path_factory.mktemp("undisturbed"))
    run.snakemake("tables")
    return run
