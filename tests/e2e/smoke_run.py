"""Runs of the whole DAG on the smoke profile, each in a folder of its own."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from filelock import FileLock
from forked_snakemake import Server

from headprune.data import corpus, read_pairs

ROOT = Path(__file__).resolve().parents[2]
CELLS = "results/smoke/cells.parquet"  # the target of those that look at no table or figure
PAIRS = 60  # to validate, and to test
SNAKEMAKE = Server()
SMOKE = yaml.safe_load((ROOT / "workflows/config/smoke.yaml").read_text())
UNTIMED = {"speed": SMOKE["speed"] | {"entries": []}}  # of runs whose speed no test looks at


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
        call = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(file)]
        call += ["--directory", str(self.directory), "--cores", str(self.cores), *arguments]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = SNAKEMAKE.run(call, ROOT, environment)
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
    call = ["-n", "tables", "--cores", "2", "--snakefile", str(ROOT / "Snakefile")]
    call += ["--directory", str(directory), "--workflow-profile", str(ROOT / "profiles/default")]
    call += ["--configfile", str(profile), *more]
    done = SNAKEMAKE.run(call, Path.cwd(), os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes that test."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def short_corpus(shared: Path) -> None:
    """Gives the smoke profile 60 pairs to validate and as many to test. The train set is the embedded corpus's."""
    own = shared / "short-de-en"
    with FileLock(own.with_suffix(".lock")):
        if not own.exists():
            own.mkdir()
            for split, size in (("train", None), ("valid", PAIRS), ("test", PAIRS)):
                pairs = read_pairs(corpus("lohelp-de-en"), split)[:size]
                (own / f"{split}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    SMOKE["datasets"]["lohelp-de-en"]["corpus"] = str(own)


@pytest.fixture(scope="session")
def smoke(shared: Path, short_corpus: None) -> Run:
    """The smoke profile, run once on two cores for all processes that test. Tests must leave it as it is."""
    run = Run(shared / "smoke")
    with FileLock(run.directory.with_suffix(".lock")):
        output = run.directory / "output.txt"
        if not output.exists():
            run.directory.mkdir()
            output.write_text(run.snakemake())
    return run
