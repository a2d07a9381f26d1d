"""Runs of the smoke profile in which something is killed at random moments, and what became of them.

A run is started, disturbed and, where its Snakemake died, resumed by `headprune resume`. Before every blow the steps
that have finished are noted, with the time at which their files were written: none of them may be written again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from smoke_run import ROOT, SMOKE, Run

TRAININGS = ("dense", "gates", "tune_gates")
# States of trainings are saved often, so that most kills find one; attempts are many, as every kill costs one.
EXECUTION = {"attempts": 20, "checkpoint_updates": 2, "minutes": dict.fromkeys(("dense", "gates", "speed"), 60)}
POLL = 0.1  # seconds
DELAY = 15.0  # seconds, at most, from a step to the blow that waits for it
PATIENCE = 7200.0  # seconds, of a whole disturbed run


@dataclass
class Process:
    """A process of a run."""

    pid: int
    words: list[str]

    @property
    def kind(self) -> str:
        """The kind of the job that it computes: `dense`; empty if it computes none."""
        return self.words[self.words.index("job") + 1] if {"headprune", "job"} <= {*self.words} else ""

    @property
    def supervises(self) -> bool:
        return "job" in self.words and any(word.endswith("/headprune") for word in self.words[:2])

    @property
    def receipt(self) -> str:
        return self.words[self.words.index("--receipt") + 1] if "--receipt" in self.words else ""


@dataclass
class Disturbed:
    """A run that is killed again and again."""

    run: Run
    options: tuple[str, ...] = ()
    target: str = "tables"
    config: dict[str, Any] = field(default_factory=dict)
    snakemake: subprocess.Popen[bytes] | None = None
    finished: dict[str, str] = field(default_factory=dict)  # the files of finished steps, as they were written
    restarts: int = 0

    def start(self) -> None:
        """The first call of Snakemake."""
        file = self.run.directory / "config.yaml"
        file.write_text(yaml.safe_dump(SMOKE | {"execution": EXECUTION} | self.config))
        command = [sys.executable, "-m", "snakemake", self.target, "--snakefile", str(ROOT / "Snakefile")]
        command += ["--configfile", str(file), "--cores", str(self.run.cores), *self.options]
        if not self.options:
            command += ["--workflow-profile", str(ROOT / "profiles/default")]
        self._launch(command)

    def resume(self) -> None:
        """The one command that goes on."""
        self.restarts += 1
        self._launch([str(Path(sys.executable).with_name("headprune")), "resume", str(self.run.results)])

    def _launch(self, command: list[str]) -> None:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment["PYTHONPATH"] = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
        with (self.run.directory / "output.txt").open("ab") as output:
            self.snakemake = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=self.run.directory, env=environment, start_new_session=True
            )

    @property
    def running(self) -> bool:
        return self.snakemake is not None and self.snakemake.poll() is None

    @property
    def complete(self) -> bool:
        """True where the last call of Snakemake ended well."""
        return self.snakemake is not None and self.snakemake.poll() == 0

    @property
    def under_way(self) -> bool:
        """True where Snakemake runs, and has noted its call."""
        path = self.run.results / "progress/calls.json"
        noted = json.loads(path.read_text())[-1]["pid"] if path.exists() else None
        return self.snakemake is not None and self.running and self.snakemake.pid == noted

    def processes(self) -> Iterator[Process]:
        """All that run in the folder of the run, but this one."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    here = (entry / "cwd").resolve() == self.run.directory.resolve()
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").replace(" ", "\0").split("\0")
                except OSError:
                    continue
                if here and words[0]:
                    yield Process(int(entry.name), words)

    def note(self) -> int:
        """Notes the steps that have finished: jobs that Snakemake knows to be, and records of cells. Their number."""
        found = {}
        for path in self.run.results.glob("jobs/**/*.json"):
            name = urlsafe_b64encode(str(path.relative_to(self.run.directory)).encode()).decode()
            if not (self.run.directory / ".snakemake/incomplete" / name).exists():
                found[path] = path
        records = ("cells/**/pruned.json", "cells/**/test.json", "tuning/**/k*.json")
        for pattern in (*records, "dense/*/s?.json", "dense/*/s?.pt"):
            found |= {path: path for path in self.run.results.glob(pattern)}
        for name, birth in births(
            self.run.results, [str(path.relative_to(self.run.results)) for path in found]
        ).items():
            self.finished.setdefault(name, birth)
        return len(self.finished)

    def rewritten(self) -> list[str]:
        """Finished steps that ran again."""
        now = births(self.run.results, list(self.finished))
        return [name for name, birth in self.finished.items() if now.get(name) != birth]


def births(folder: Path, names: list[str]) -> dict[str, str]:
    """The file that has each of these names, and when it began to exist; of those that do. Every writing makes
    a new one; the times of writing say less, for Snakemake touches what jobs on other machines have written."""
    if not names:
        return {}
    call = ["stat", "--printf=%i %.W\\t%n\\n", "--", *names]  # some may be gone
    found = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False).stdout
    return {name: birth for birth, name in (line.split("\t") for line in found.splitlines())}


Strike = Callable[["Disturbed", random.Random], str]  # what it hit; empty: there was nothing to hit


@dataclass
class Blow:
    """Something that happens to a run at a random moment.

    :param latest: share of the run by which it must have begun, so that there is still something to hit
    """

    name: str
    strike: Strike
    latest: float = 0.95
    share: float = 0.0
    due: float | None = None  # when the run got as far as that, and a moment more

    def aim(self, rng: random.Random) -> None:
        """Chooses a moment: a share of the steps of a run, and later some seconds after these have finished."""
        self.share, self.due = rng.uniform(0, self.latest), None

    def falls(self, progress: float, rng: random.Random) -> bool:
        if self.due is None and progress >= self.share:
            self.due = time.monotonic() + rng.uniform(0, DELAY)
        return self.due is not None and time.monotonic() > self.due


def kill_training(disturbed: Disturbed, rng: random.Random) -> str:
    """SIGKILL of a process that trains."""
    return _kill(disturbed, rng, lambda process: process.kind in TRAININGS)


def kill_job(disturbed: Disturbed, rng: random.Random) -> str:
    """SIGKILL of the process of any job."""
    return _kill(disturbed, rng, lambda process: bool(process.kind))


def kill_parent(disturbed: Disturbed, rng: random.Random) -> str:
    """SIGKILL of the parent of a job: the job goes with it."""
    return _kill(disturbed, rng, lambda process: process.supervises)


def _kill(disturbed: Disturbed, rng: random.Random, wanted: Callable[[Process], bool]) -> str:
    victims = sorted((process for process in disturbed.processes() if wanted(process)), key=lambda p: p.receipt)
    if not victims:
        return ""
    victim = rng.choice(victims)
    os.kill(victim.pid, signal.SIGKILL)
    return f"process {victim.pid} of {victim.receipt}"


def kill_snakemake(disturbed: Disturbed, rng: random.Random) -> str:
    """SIGKILL of Snakemake alone: its jobs live on."""
    assert disturbed.snakemake is not None
    jobs = [process.receipt for process in disturbed.processes() if process.kind]
    if not disturbed.under_way:
        return ""
    disturbed.snakemake.kill()
    disturbed.snakemake.wait()
    return f"process {disturbed.snakemake.pid}, {len(jobs)} jobs live on"


def kill_warm_process(disturbed: Disturbed, rng: random.Random) -> str:
    """SIGKILL of the process whose copies the jobs are: they go with it."""
    return _kill(disturbed, rng, lambda process: "warm" in process.words)


def kill_everything(disturbed: Disturbed, rng: random.Random) -> str:
    """SIGKILL of every process of the run, as a power failure does."""
    processes = list(disturbed.processes())
    if not disturbed.under_way:
        return ""
    for process in processes:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    assert disturbed.snakemake is not None
    disturbed.snakemake.wait()
    return f"{len(processes)} processes"


def disturb(
    disturbed: Disturbed, blows: list[Blow], rng: random.Random, steps: int, tell: Callable[..., None]
) -> list[Blow]:
    """Runs a run to its end while blows fall.

    :param steps: that `note` knows of at the end of such a run
    :returns: the blows that found nothing to hit
    """
    left, began = list(blows), time.monotonic()
    for blow in left:
        blow.aim(rng)
    disturbed.start()
    while not disturbed.complete:
        assert time.monotonic() - began < PATIENCE, f"no end in sight: see {disturbed.run.directory}/output.txt"
        if not disturbed.running:
            began_well = (disturbed.run.results / "progress/calls.json").exists()
            assert began_well and disturbed.restarts < 2 * len(blows) + 2, f"see {disturbed.run.directory}/output.txt"
            time.sleep(rng.uniform(0, 3))
            disturbed.resume()
        progress = disturbed.note() / steps
        for blow in [blow for blow in left if blow.falls(progress, rng)]:
            at = round(time.monotonic() - began, 1)
            if disturbed.running and (hit := blow.strike(disturbed, rng)):
                left.remove(blow)
                tell(kill=blow.name, seconds=at, progress=round(progress, 2), hit=hit)
        time.sleep(POLL)
    return left


class Report:
    """A report of what happened, one JSON line each, on standard output and in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, **what: Any) -> None:
        line = json.dumps(what)
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")
