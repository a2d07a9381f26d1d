"""A real Slurm of one node for the tests of this folder, which `make test-slurm` runs and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "e2e"))  # smoke_run
ASKED = "HEADPRUNE_TEST_SLURM"


def as_root(script: str) -> subprocess.CompletedProcess[str]:
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n", "-E"]
    return subprocess.run([*prefix, str(HERE / script)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """Slurm, from the system's packages; two CPUs that may be more than there are."""
    if ASKED not in os.environ:
        pytest.skip(f"starts daemons as root: run `make test-slurm`, or set {ASKED}=1")
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="pip install -c constraints.txt -e '.[slurm]'")
    if os.geteuid() and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("Slurm cannot be started: neither root nor sudo without a password")
    os.environ.setdefault("SLURM_CPUS", "2")
    try:
        started = as_root("slurm-up.sh")
        if started.returncode:
            pytest.skip(f"Slurm cannot be installed or started here: {started.stderr.strip()[-1500:]}")
        yield
    finally:
        as_root("slurm-down.sh")
