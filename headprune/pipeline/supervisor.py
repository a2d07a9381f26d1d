"""The parent of a job: passes requests to stop on, keeps its time limit, and makes rows of what died.

A job that raises writes its own rows. One that is killed, that does not end in time or that ends itself before its work
is done, whatever its exit status, cannot; its parent does, a small process that computes nothing. A grid must end as
complete tables, so the attempts that Snakemake makes go like this:

- Attempts up to `execution.attempts` end with a status that lets Snakemake try again, with more time and memory. They
  resume: what is done is kept.
- One more closes the books. What was being computed when the last attempt died is given up: its record says why. The
  rest of the job is computed, and what kills it then is given up in turn. It ends with a receipt.

A job that cannot go on without its input, the preparation of data, ends with the status of its error. Where this is
one of the input, later attempts end with it at once, so that it is told once.

That one comes also when a parent was killed with its job, by a node's failure or a scheduler: what happened before is
in the folder of the job under `attempts/`. An attempt that was only asked to stop is no failure of what it computed;
in the last one the request must have come through the parent, as code can send itself a signal in every attempt.

One attempt at a job runs at a time. Jobs outlive a Snakemake that is killed; those of the next one wait for them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headprune.pipeline.attempts import Ending, out_of_memory_kills, record_paths, vanished
from headprune.pipeline.records import find, hint
from headprune.pipeline.specification import parsed
from headprune.pipeline.store import given_up, read_json, write_json
from headprune.results.jobs import JOBS
from headprune.results.layout import RunFolder
from headprune.system import stopping
from headprune.system.files import alone
from headprune.system.forked import Forked

FOLDER = "HEADPRUNE_SUPERVISED"  # environment variable: the folder of the job under `attempts/`
PATIENCE = 10.0  # seconds between two notes that the job is alive
RESERVE = 120.0  # seconds before the time limit at which a job is asked to stop, a fifth of shorter limits
ATTEMPTS = 2  # where the run has not said how many
UNFINISHED = "ended with exit status 0 before its work was done: something in it calls sys.exit or os._exit"


@dataclass
class Supervisor:
    """Runs one attempt at a job.

    :param command: of the job's process
    :param fork: what that process does, if it begins as a copy of this one; `command` holds its arguments
    :param given: what the process reads from its standard input
    :param attempt: counted from 1
    :param seconds: time limit of the attempt; None: none
    """

    command: list[str]
    spec: Mapping[str, Any]
    receipt: Path
    attempt: int = 1
    seconds: float | None = None
    given: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    fork: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        self.place = RunFolder(Path(self.spec["results"]))
        self.folder = self.place.attempts(self.spec["job"])
        attempts = hint(self.place.execution).get("attempts")
        self.attempts = attempts if isinstance(attempts, int) else ATTEMPTS
        self.started = time.monotonic()
        self.stopped = False
        self.child: subprocess.Popen[bytes] | Forked | None = None

    @property
    def last(self) -> bool:
        """True if Snakemake will not try again."""
        return self.attempt > self.attempts

    def run(self) -> int:
        """The exit status for Snakemake."""
        for number in stopping.SIGNALS:
            signal.signal(number, self._pass_on)
        lock = self.place.lock(self.spec["job"])
        waiting = f"an earlier attempt at {self.spec['job']} still runs; {self._whose()}"
        with alone(lock, waiting, _tell, lambda: self.stopped or self._left() == 0) as held:
            return self._attempt() if held and not self.stopped else stopping.EXIT_STATUS

    def _attempt(self) -> int:
        before = self._open()
        if before is not None and before.final:
            self._note("ended", vars(before))
            if self.last:  # Snakemake keeps the log of the last attempt only
                _tell(before.reason)
            return before.code
        if self.last and before is not None:
            self._give_up(before)
        while True:
            ending = self._run_child()
            self._note("ended", vars(ending))
            if ending.status == "ok":
                shutil.rmtree(self.folder, ignore_errors=True)
                return 0
            _tell(f"attempt {self.attempt} of {self.attempts}: {ending.reason}")
            if ending.status == "error":
                return ending.code
            if ending.status == "stopped" or not self.last:
                return stopping.EXIT_STATUS
            if not self._give_up(ending) or self._left() == 0:
                self._give_up_all(ending)
                shutil.rmtree(self.folder, ignore_errors=True)
                return 0

    def _whose(self) -> str:
        """The place of the attempt that this one waits for: the Snakemake that called it was killed, it was not."""
        with suppress(OSError, ValueError, KeyError):
            note = hint(self.folder / "attempt.json")
            return f"process {note['pid']} on {note['host']}"
        return "process unknown"

    def _open(self) -> Ending | None:
        """The end of the attempt before, if it was at fault; a first attempt knows of none."""
        if self.attempt <= 1:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        path, before = self.folder / "attempt.json", None
        if path.exists():
            note = hint(path)
            ended = note.get("ended", {"status": "failed", "reason": vanished(note)})
            before = None if ended["status"] == "stopped" else Ending(**ended)
        about = {"job": self.spec["job"], "attempt": self.attempt, "host": socket.gethostname(), "pid": os.getpid()}
        write_json(path, about | {"started": time.time()})
        return before

    def _note(self, key: str, value: Any) -> None:
        path = self.folder / "attempt.json"
        write_json(path, hint(path) | {key: value})

    def _left(self) -> float | None:
        """Seconds until the job is asked to stop; None without a limit."""
        if self.seconds is None:
            return None
        reserve = min(RESERVE, self.seconds / 5)
        return max(0.0, self.started + self.seconds - reserve - time.monotonic())

    def _run_child(self) -> Ending:
        left = [self.folder / name for name in ("underway.json", "settled.txt", "error.json")]
        for path in (*left, self.receipt):
            path.unlink(missing_ok=True)  # what is there afterwards, this process has left
        killed_before = out_of_memory_kills()
        own = {FOLDER: str(self.folder.absolute()), stopping.PARENT: str(os.getpid())}
        environment = {**os.environ, **self.environment, **own}
        self.child = self._start(environment)
        if self.stopped:  # before there was a child to pass it on to
            self.child.terminate()
        timeout = not self._wait()
        code = self.child.wait()
        if code == 0 and self._is_complete():
            return Ending("ok")
        if timeout:
            minutes = (self.seconds or 0) / 60
            return Ending("timeout", f"did not end within its time limit of {minutes:g} minutes")
        asked = code == stopping.EXIT_STATUS and not self.last  # by others than its parent, or by itself
        if self.stopped or asked:
            return Ending("stopped", "was asked to stop")
        if JOBS[self.spec["kind"]].final and code >= 0:  # there is nothing to go on with
            path = self.folder / "error.json"
            note = hint(path) or {"reason": f"failed with exit status {code}"}
            return Ending("error", code=code or 1, **note)
        if code >= 0:
            return Ending("failed", f"died with exit status {code}" if code else UNFINISHED)
        reason = f"killed by {signal.Signals(-code).name}"
        if out_of_memory_kills() > killed_before:
            reason += "; the kernel killed processes that needed more memory than there was"
        return Ending("failed", reason)

    def _start(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | Forked:
        if self.fork is not None:
            return Forked(self.fork, self.command[3:], environment, self.given)
        with tempfile.TemporaryFile() as file:  # unlike a pipe it takes any length without being read
            file.write(self.given.encode())
            file.seek(0)
            return subprocess.Popen(self.command, env=environment, stdin=file)

    def _is_complete(self) -> bool:
        """True if the process has left a receipt of all its cells: exit status 0 alone is anybody's to give."""
        try:
            receipt = read_json(self.receipt)
            ok, cells = receipt["status"] == "ok", receipt.get("cells", {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        return not ok or all(cell in cells for cell in record_paths(self.spec) if cell)

    def _wait(self) -> bool:
        """Waits for the child; False if its time was over. It is asked to stop, and killed if it does not."""
        assert self.child is not None
        deadline = self._left()
        until = None if deadline is None else time.monotonic() + deadline
        while True:
            left = PATIENCE if until is None else min(PATIENCE, until - time.monotonic())
            if left <= 0:
                break
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(left)
                return True
            with suppress(OSError):  # a full disk, or a server that is away: what is only looked at ends no job
                self._note("alive", time.time())
        self.child.terminate()
        try:
            self.child.wait(min(RESERVE, (self.seconds or 0) / 5) / 2)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        return False

    def _pass_on(self, number: int, frame: Any) -> None:
        self.stopped = True
        if self.child is not None:
            self.child.terminate()

    def _give_up(self, ending: Ending) -> bool:
        """Writes the records of what was being computed when a process died; False if nothing was."""
        path = self.folder / "underway.json"
        underway, known = hint(path), given_up(self.folder)
        for record, signature in underway.items():
            write_json(Path(record), self._failure(ending, signature))
        write_json(self.folder / "given_up.json", sorted({*known, *underway}))
        path.unlink(missing_ok=True)
        return bool(underway)

    def _give_up_all(self, ending: Ending) -> None:
        """Writes the records of all that is not done, and the receipt."""
        settled = self.folder / "settled.txt"
        done = set(settled.read_text(encoding="utf-8").splitlines() if settled.exists() else [])
        done |= set(given_up(self.folder))
        paths = record_paths(self.spec)
        for path in paths.values():
            if str(path) not in done:
                write_json(path, self._failure(ending, ""))
        keep = ("signature", "status", "reason")
        records = {name: find(path) for name, path in paths.items()}
        found = {name: {key: record.get(key, "") for key in keep} for name, record in records.items()}
        if "" in found:  # the record of the job itself
            write_json(self.receipt, found[""])
        elif found:
            write_json(self.receipt, {"status": "ok", "reason": "", "cells": found})
        else:
            write_json(self.receipt, self._failure(ending, ""))

    def _failure(self, ending: Ending, signature: str) -> dict[str, Any]:
        many = f" (attempt {self.attempts} of {self.attempts})" if self.attempts > 1 else ""
        return {"signature": signature, "status": ending.status, "reason": f"the job {ending.reason}{many}"}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def read_spec(value: str) -> str:
    """The specification of a job from its option: one of a thousand cells is too long to be an argument."""
    return sys.stdin.read() if value == "-" else value


def job_supervisor(
    arguments: list[str], environment: Mapping[str, str], fork: Callable[[], Any] | None = None
) -> Supervisor:
    """The supervisor of `headprune job …`, from its arguments.

    :raises ValueError: one of them, or the specification, is not what it must be.
    """
    command = [sys.executable, "-m", "headprune", *arguments]
    values = {name: arguments[i + 1] for i, name in enumerate(arguments[:-1]) if name.startswith("--")}
    minutes, attempt = values.get("--minutes"), values.get("--attempt", "1")
    if not attempt.isdecimal():
        raise ValueError(f"--attempt is {attempt!r}; it must be a whole number, counted from 1")
    if minutes is not None and not minutes.replace(".", "", 1).isdecimal():
        raise ValueError(f"--minutes is {minutes!r}; it must be a number")
    text = read_spec(values["--spec"])
    return Supervisor(
        command=command,
        spec=parsed(text, arguments[1]),
        given=text,
        receipt=Path(values["--receipt"]),
        attempt=int(attempt),
        seconds=60 * float(minutes) if minutes else None,
        environment=environment,
        fork=fork,
    )
