"""One made-up run and its page, for the whole session."""

from __future__ import annotations

from pathlib import Path

import made_up_run
import pytest

from headprune.report import write


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder. Tests must leave it as it is."""
    return made_up_run.write(tmp_path_factory.mktemp("run") / "unit")


@pytest.fixture(scope="session")
def report(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report, as it lies beside its figures and tables."""
    return write(run, run)
