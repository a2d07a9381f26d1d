"""The smoke profile through a real Slurm: the same tables as on the machine itself, byte for byte."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from smoke_run import ROOT, Run

from headprune.results.schema import reproducible, to_csv

pytestmark = pytest.mark.usefixtures("slurm")

# The profile as it is, but for the patience that a machine with nobody else on it does not need.
SLURM = ("--workflow-profile", str(ROOT / "profiles/slurm"), "--slurm-init-seconds-before-status-checks", "5")
SLURM += ("--latency-wait", "5")
ONE_SEED = {"seeds": [1]}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Both seeds, without Slurm."""
    run = Run(tmp_path_factory.mktemp("local"))
    run.snakemake("tables")
    return run


def assert_same_tables(run: Run, expected: Run, seeds: list[int]) -> None:
    cells = reproducible(expected.cells())
    assert to_csv(reproducible(run.cells())) == to_csv(cells[cells["seed"].isin(seeds)])
    masks = pd.read_parquet(expected.results / "masks.parquet")
    masks = masks[masks["seed"].isin(seeds)].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(run.results / "masks.parquet"), masks)


def jobs(*columns: str) -> list[list[str]]:
    """The records that accounting keeps of the jobs that were submitted."""
    command = ["sacct", "-X", "-n", "-P", "-S", "now-1days", "-o", ",".join(columns)]
    return [line.split("|") for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()]


def test_the_whole_profile_gives_the_tables_of_a_local_run(local: Run, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.snakemake(*SLURM)
    assert_same_tables(run, local, [1, 2])
    assert (run.results / "figures/quality_vs_heads.png").exists()
    submitted = jobs("State", "Timelimit", "Comment")
    assert {state for state, *_ in submitted} == {"COMPLETED"}
    assert not {limit for _, limit, _ in submitted if limit.startswith(("2-", "4-"))}  # none longer than the partition
    comments = " ".join(comment for *_, comment in submitted)
    assert all(f"rule_{rule}" in comments for rule in ("data", "dense", "gates", "test", "speed"))
    assert "Nothing to be done" in run.snakemake(*SLURM)


def test_a_cancelled_training_is_submitted_again_and_resumes(local: Run, tmp_path: Path) -> None:
    """scancel while it runs: its process is asked to stop, the attempt fails, the next one goes on."""
    run, cancelled = Run(tmp_path), list[str]()

    def cancel() -> None:
        while not cancelled:
            queue = ["squeue", "-h", "-t", "R", "-o", "%i %k"]
            for line in subprocess.run(queue, capture_output=True, text=True, check=False).stdout.splitlines():
                number, comment = line.split(maxsplit=1)
                started = (run.results / "attempts/dense-tiny-s1/attempt.json").exists()
                if "rule_dense" in comment and started and not cancelled:
                    cancelled.append(number)
                    subprocess.run(["scancel", number], check=True)
            time.sleep(0.2)

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    run.snakemake("tables", *SLURM, config=ONE_SEED)
    assert cancelled
    assert "CANCELLED" in dict(jobs("JobID", "State"))[cancelled[0]]
    assert_same_tables(run, local, [1])
