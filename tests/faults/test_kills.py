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
    kill_warm_process,
)
from smoke_run import ROOT, Run

from headprune.results.schema import digest_of_measured, read_cells, reproducible, to_csv

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
    number, comment = rng.choice(jobs).split(maxsplit=1)
    subprocess.run(["scancel", number], check=True)
    return f"job {number}, {comment}"


def restart_controller(disturbed: Disturbed, rng: random.Random) -> str:
    """SIGKILL of slurmctld, which comes back after a while."""
    if not (jobs := queue("R,PD")):
        return ""
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


TRAINING = 0.3  # share of the steps after which nothing trains any more


def on_one_machine() -> list[Blow]:
    return [
        *(Blow("SIGKILL of a training", kill_training, TRAINING) for _ in range(3)),
        Blow("SIGKILL of the process whose copies they are", kill_warm_process),
        Blow("SIGKILL of a job", kill_job),
        Blow("SIGKILL of a job's parent", kill_parent),
        *(Blow("SIGKILL of Snakemake", kill_snakemake) for _ in range(3)),
        Blow("SIGKILL of everything", kill_everything),
    ]


def through_slurm() -> list[Blow]:
    return [
        *(Blow("scancel of a job", cancel) for _ in range(3)),
        *(Blow("slurmctld killed and restarted", restart_controller) for _ in range(2)),
        *(Blow("node drained and resumed", drain) for _ in range(2)),
        Blow("SIGKILL of a training under Slurm", kill_training, TRAINING),
        *(Blow("SIGKILL of Snakemake under Slurm", kill_snakemake) for _ in range(2)),
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return Report(Path(os.environ.get("HEADPRUNE_FAULTS_LOG") or tmp_path_factory.mktemp("report") / "kills.jsonl"))


def test_there_are_twenty() -> None:
    assert len(on_one_machine()) + len(through_slurm()) >= 20


def test_kills_on_one_machine(undisturbed: Run, tmp_path: Path, report: Report) -> None:
    strike(on_one_machine(), (), undisturbed, tmp_path, report)


@pytest.mark.usefixtures("slurm")
def test_kills_through_slurm(undisturbed: Run, tmp_path: Path, report: Report) -> None:
    strike(through_slurm(), SLURM, undisturbed, tmp_path, report)


def strike(left: list[Blow], options: tuple[str, ...], undisturbed: Run, folder: Path, report: Report) -> None:
    """Lets blows fall on as many runs as it takes, and compares every one of these with the undisturbed run."""
    rng, steps = random.Random(SEED), Disturbed(undisturbed).note()
    while left:
        disturbed = Disturbed(Run(folder / str(len(left))), options)
        disturbed.run.directory.mkdir()
        waiting = disturb(disturbed, left, rng, steps, report)
        fallen, left = len(left) - len(waiting), waiting
        different, again = differences(disturbed.run, undisturbed), disturbed.rewritten()
        report(kills=fallen, restarts=disturbed.restarts, different=different, steps=steps, again=again)
        assert different == []
        assert again == []
        assert fallen


def differences(run: Run, expected: Run) -> list[str]:
    """Tables that differ from those of another run. Of times nothing is asked, nor of the hash of what holds them."""
    found = []
    if to_csv(reproducible(read_cells(run.results))) != to_csv(reproducible(read_cells(expected.results))):
        found.append("cells")
    names = {str(path.relative_to(of.results)) for of in (run, expected) for path in of.results.glob("tables/*")}
    for name in sorted({"masks.parquet", "ablations.csv", *names}):
        first, second = ((of.results / name).read_bytes().replace(stamp(of), b"") for of in (run, expected))
        if first != second:
            found.append(name)
    return found


def stamp(run: Run) -> bytes:
    """The name by which tables that show times call them."""
    return digest_of_measured(read_cells(run.results)).encode()
