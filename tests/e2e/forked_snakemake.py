"""Snakemake in copies of a process that has imported it and what the workflow imports: most of a short run is that.

The first run of a process that tests is a process of its own, as users start it; so is one whose variables differ.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from headprune.system import warm
from headprune.system.forked import end

JOBS = "WARM_FOR_JOBS"  # what `warm.WHERE` is for the copy
IMPORTED = (
    *("snakemake.cli", "snakemake.api", "snakemake.executors.local", "snakemake.report", "pandas", "psutil"),
    *("headprune.config.loading", "headprune.pipeline.registering", "headprune.pipeline.settled"),
    *("headprune.analysis.drawings", "headprune.cli.warm"),
)


class Server:
    """The process that is copied. Begun with the first request but one, and ended with this process."""

    def __init__(self) -> None:
        self.path, self.asked = "", 0
        self.process: subprocess.Popen[bytes] | None = None  # ends, and clears up, when its standard input is closed

    def start(self) -> None:
        self.path = str(Path(tempfile.mkdtemp(prefix="snakemake-")) / "socket")
        with warm.listening(self.path) as listener:
            command = [sys.executable, __file__, str(listener.fileno())]
            environment = {**os.environ, warm.WHERE: self.path}
            self.process = subprocess.Popen(
                command, env=environment, pass_fds=[listener.fileno()], stdin=subprocess.PIPE, start_new_session=True
            )

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Runs Snakemake as `subprocess.run` would, and captures what it prints."""
        self.asked += 1
        if self.asked == 2:
            self.start()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, open(os.devnull) as nothing:
            streams = [file.fileno() for file in (nothing, output, errors)]
            status = self._forked(arguments, folder, environment, streams) if self.path else None
            command = [sys.executable, "-m", "snakemake", *arguments]
            if status is None:
                status = subprocess.run(
                    command, stdout=output, stderr=errors, cwd=folder, env=environment, check=False
                ).returncode
            for file in (output, errors):
                file.seek(0)
            return subprocess.CompletedProcess(command, status, output.read().decode(), errors.read().decode())

    def _forked(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], streams: list[int]
    ) -> int | None:
        of_jobs = {JOBS: environment[warm.WHERE]} if warm.WHERE in environment else {}
        request = {
            "arguments": [sys.executable, "snakemake", *arguments],
            "folder": str(folder),
            "environment": {**environment, **of_jobs, warm.WHERE: self.path},
            "read_once": warm.read_once(environment),
            "python": warm.PYTHON,
        }
        message = json.dumps(request).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            socket.send_fds(connection, [len(message).to_bytes(warm.LENGTH, "big")], streams)
            connection.sendall(message)
            with connection.makefile("r", encoding="ascii") as answers:
                began = int(answers.readline() or 0)
                return os.waitstatus_to_exitcode(int(answers.readline())) if began else None


def _import_all() -> None:
    for name in IMPORTED:
        importlib.import_module(name)


def _snakemake() -> None:
    if JOBS in os.environ:
        os.environ[warm.WHERE] = os.environ.pop(JOBS)
    sys.argv[:2] = [sys.argv[1]]
    runpy.run_module("snakemake", run_name="__main__")


if __name__ == "__main__":
    sys.path[0] = ""  # as with `-m`
    listener = socket.socket(fileno=int(sys.argv[1]))
    if warm.WarmProcess({"snakemake": _import_all}, listener).serve():
        end(_snakemake)
