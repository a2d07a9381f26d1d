"""Limits that a Snakemake profile sets hold whatever else the command line configures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROFILE = """
default-resources:
  mem_mb: 1000
  max_minutes: 7
  max_memory_mb: 900
"""


@pytest.mark.parametrize(
    ("more", "minutes"),
    [(["seeds=[1]"], 7), (["seeds=[1]", "execution={'max_minutes': 5}"], 5)],
    ids=["others'", "the configuration's own, which are stricter"],
)
def test_no_job_asks_for_more(tmp_path: Path, more: list[str], minutes: int) -> None:
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(PROFILE, encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "2", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(tmp_path), "--workflow-profile", str(tmp_path / "profile"), "tables"]
    command += ["--configfile", str(ROOT / "workflows/config/smoke.yaml"), "--config", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = [dict(re.findall(r"(\w+)=(\d+)", line)) for line in re.findall(r"resources: (.*attempt=1.*)", done.stdout)]
    assert asked and {int(each["runtime"]) for each in asked} == {minutes}
    assert {int(each["mem_mb"]) for each in asked} == {900}
