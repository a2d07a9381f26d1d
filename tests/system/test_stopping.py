"""A process that is to end with its parent, also where the parent has ended first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from headprune.system import stopping

CHILD = f"""
import os
from headprune.system import stopping
stopping.die_with_parent(int(os.environ["{stopping.PARENT}"]))
print("lives")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("alive", [True, False])
def test_a_child_ends_whose_parent_died_before_it_looked(alive: bool) -> None:
    """It began while its parent lived; another process has adopted it since."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    parent = os.getpid() if alive else gone.pid
    environment = os.environ | {stopping.PARENT: str(parent)}
    found = subprocess.run([sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == ((0, "lives\n") if alive else (-signal.SIGKILL, ""))
