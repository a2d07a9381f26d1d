"""One made-up run and its page, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import judging
import made_up_run
import pytest

from headprune.report import write


@pytest.fixture(scope="module", autouse=True)
def _a_third_task() -> Iterator[None]:
    with judging.known():
        yield


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder. Tests must leave it as it is."""
    with judging.known():
        return made_up_run.write(tmp_path_factory.mktemp("run") / "unit")


@pytest.fixture(scope="session")
def report(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report, as it lies beside its figures and tables."""
    with judging.known():
        return write(run, run)
