"""Runs of the whole DAG on the smoke profile, each in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
CELLS = "results/smoke/cells.parquet"  # the target of those that look at no table or figure
SMOKE = yaml.safe_load((ROOT / "workflows/config/smoke.yaml").read_text())


@dataclass(frozen=True)
class Run:
    """A working directory in which snakemake has run, or will."""

    directory: Path
    cores: int = 2

    @property
    def results(self) -> Path:
        return self.directory / "results" / "smoke"

    def snakemake(self, *arguments: str, config: dict | None = None, check: bool = True) -> str:
        """Runs snakemake on the smoke profile with `config` on top; returns everything it printed."""
        file = self.directory / "config.yaml"
        file.write_text(yaml.safe_dump(SMOKE | (config or {})))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(file)]
        command += ["--directory", str(self.directory), "--cores", str(self.cores), *arguments]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
        if check and done.returncode:
            logs = "\n".join(path.read_text()[-2000:] for path in self.results.glob("logs/**/*.log"))
            raise AssertionError(f"snakemake failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}\n{logs[-6000:]}")
        return done.stdout + done.stderr

    def cells(self) -> pd.DataFrame:
        return pd.read_parquet(self.results / "cells.parquet")

    def receipts(self) -> dict[str, float]:
        """The time at which every job wrote its receipt."""
        folder = self.results / "jobs"
        return {str(path.relative_to(folder)): path.stat().st_mtime for path in sorted(folder.glob("**/*.json"))}

    def masks(self) -> dict[str, list[str]]:
        folder = self.results / "cells"
        paths = sorted(folder.glob("**/pruned.json"))
        return {str(path.parent.relative_to(folder)): json.loads(path.read_text())["mask"] for path in paths}


def dry_run(directory: Path, profile: Path, *more: str) -> str:
    """The jobs that snakemake would run for the tables of a profile, as it prints them."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-n",
        "tables",
        "--cores",
        "2",
        "--snakefile",
        str(ROOT / "Snakefile"),
    ]
    command += ["--directory", str(directory), "--workflow-profile", str(ROOT / "profiles/default")]
    command += ["--configfile", str(profile), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The smoke profile, run once on two cores for all processes that test. Tests must leave it as it is."""
    base = tmp_path_factory.getbasetemp()
    run = Run((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smoke")
    with FileLock(run.directory.with_suffix(".lock")):
        output = run.directory / "output.txt"
        if not output.exists():
            run.directory.mkdir()
            output.write_text(run.snakemake())
    return run
