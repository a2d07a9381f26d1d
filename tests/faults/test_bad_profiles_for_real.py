"""Every broken profile through the commands that users type: one error within seconds, and nothing written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from smoke_run import ROOT

from tests.faults.test_kills import pytestmark as asked
from tests.test_bad_profiles import BAD
from tests.test_config import changed

pytestmark = asked
LIMIT = 5.0  # seconds of processor time: that of the clock is the machine's that has nothing else to do

SNAKEMAKE = ["-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--workflow-profile", "none", "--configfile"]
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "headprune plan": lambda profile: ["-m", "headprune", "plan", str(profile)],
    "snakemake -n": lambda profile: [*SNAKEMAKE, str(profile), "-n"],
    "snakemake": lambda profile: [*SNAKEMAKE, str(profile), "--cores", "1"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("path", "value", "expected"), BAD.values(), ids=BAD.keys())
def test_one_error_within_seconds(path: str, value: Any, expected: list[str], command: str, tmp_path: Path) -> None:
    profile, folder = tmp_path / "profile.yaml", tmp_path / "folder"
    folder.mkdir()
    profile.write_text(yaml.safe_dump(changed(path, value)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *COMMANDS[command](profile)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert [part for part in expected if " ".join(part.split()) not in output] == [], output
    assert "Traceback" not in output
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < LIMIT
    written = [path for path in folder.rglob("*") if ".snakemake" not in path.parts]  # its own log lies there
    assert written == []
