"""Twenty kills at random moments during the smoke profile: the tables of an undisturbed run, and nothing done twice.

`make test-faults` runs them; nothing else does, as they take a quarter of an hour. The kills with Slurm need what
`make test-slurm` needs. HEADPRUNE_FAULTS_SEED chooses other moments, HEADPRUNE_FAULTS_LOG a file for what happened.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from killing import (
    Blow,
    Disturbed,
    Report,
    disturb,
    kill_everything,
    kill_job,
    kill_parent,
    kill_snakemake,
    kill_training,
)
from smoke_run import ROOT, Run

from headprune.results import read_cells, reproducible, to_csv

ASKED = "HEADPRUNE_TEST_FAULTS"
SEED = int(os.environ.get("HEADPRUNE_FAULTS_SEED", "1"))
SLURM = ("--workflow-profile", str(ROOT / "profiles/slurm"), "--slurm-init-seconds-before-status-checks", "5")
SLURM += ("--latency-wait", "5")

pytestmark = pytest.mark.skipif(ASKED not in os.environ, reason=f"takes long: run `make test-faults`, or set {ASKED}=1")


def cancel(disturbed: Disturbed, rng: random.Random) -> str:
    """scancel of a running job."""
    jobs = queue("R")
    if not jobs:
        return ""
    disturbed.note()
    number, comment = rng.choice(jobs).split(maxsplit=1)
    subprocess.run(["scancel", number], check=True)
    return f"job {number}, {comment}"


def restart_controller(disturbed: Disturbed, rng: random.Random) -> str:
    """SIGKILL of slurmctld, which comes back after a while."""
    if not (jobs := queue("R,PD")):
        return ""
    disturbed.note()
    folder = Path(os.environ.get("SLURM_DIR", "/tmp/headprune-slurm"))
    pid, away = int((folder / "run/slurmctld.pid").read_text()), rng.uniform(2, 25)
    subprocess.run(["kill", "-KILL", str(pid)], check=True)
    time.sleep(away)
    subprocess.run([str(ROOT / "tests/slurm/slurm-up.sh")], check=True, capture_output=True)
    return f"process {pid}, away for {away:.0f} s, {len(jobs)} jobs in the queue"


def drain(disturbed: Disturbed, rng: random.Random) -> str:
    """The node is drained and resumed after a while."""
    if not (jobs := queue("R,PD")):
        return ""
    disturbed.note()
    node, away = os.uname().nodename.split(".")[0], rng.uniform(5, 30)
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=drain", "reason=test"], check=True)
    time.sleep(away)
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=True)
    return f"for {away:.0f} s, {len(jobs)} jobs in the queue"


def queue(states: str) -> list[str]:
    """Number and comment of the jobs in these states."""
    command = ["squeue", "--noheader", "--states", states, "--format", "%A %k"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line for line in found if len(line.split()) > 1]


LOCAL: list[tuple[str, Blow]] = [
    *[("SIGKILL of a training", kill_training)] * 4,
    ("SIGKILL of a job", kill_job),
    ("SIGKILL of a job's parent", kill_parent),
    *[("SIGKILL of Snakemake", kill_snakemake)] * 3,
    ("SIGKILL of everything", kill_everything),
]
THROUGH_SLURM: list[tuple[str, Blow]] = [
    *[("scancel of a job", cancel)] * 3,
    *[("slurmctld killed and restarted", restart_controller)] * 2,
    *[("node drained and resumed", drain)] * 2,
    ("SIGKILL of a training under Slurm", kill_training),
    *[("SIGKILL of Snakemake under Slurm", kill_snakemake)] * 2,
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return Report(Path(os.environ.get("HEADPRUNE_FAULTS_LOG") or tmp_path_factory.mktemp("report") / "kills.jsonl"))


def test_there_are_twenty() -> None:
    assert len(LOCAL) + len(THROUGH_SLURM) >= 20


def test_kills_on_one_machine(undisturbed: Run, tmp_path: Path, report: Report) -> None:
    strike(LOCAL, (), 2.0, undisturbed, tmp_path, report)


@pytest.mark.usefixtures("slurm")
def test_kills_through_slurm(undisturbed: Run, tmp_path: Path, report: Report) -> None:
    strike(THROUGH_SLURM, SLURM, 4.0, undisturbed, tmp_path, report)


def strike(
    blows: list[tuple[str, Blow]],
    options: tuple[str, ...],
    stretch: float,
    undisturbed: Run,
    folder: Path,
    report: Report,
) -> None:
    """Lets blows fall on as many runs as it takes, and compares every one of these with the undisturbed run.

    :param stretch: the longest time between two blows, where 1 would spread them evenly over the undisturbed run
    """
    times = undisturbed.receipts().values()
    span = stretch * (max(times) - min(times)) / len(blows)
    rng = random.Random(SEED)
    left = rng.sample(blows, len(blows))
    while left:
        disturbed = Disturbed(Run(folder / str(len(left))), options)
        disturbed.run.directory.mkdir()
        waiting = disturb(disturbed, left, rng, span, report)
        fallen, left = len(left) - len(waiting), waiting
        different = differences(disturbed.run, undisturbed)
        again = disturbed.rewritten()
        known = len(disturbed.finished)
        report(kills=fallen, restarts=disturbed.restarts, different=different, finished=known, again=again)
        assert different == []
        assert again == []


def differences(run: Run, expected: Run) -> list[str]:
    """Tables that differ from those of another run; of the times in them nothing is asked."""
    found = []
    if to_csv(reproducible(read_cells(run.results))) != to_csv(reproducible(read_cells(expected.results))):
        found.append("cells")
    names = ["masks.parquet", "ablations.csv", "tables/results.csv", "tables/results.md", "tables/results.tex"]
    for name in names:
        if (run.results / name).read_bytes() != (expected.results / name).read_bytes():
            found.append(name)
    return found
