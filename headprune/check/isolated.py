"""The contract suite in a process of its own: whatever a method does to that process, there is a report.

The process tells of every check as it makes it. What counts is that it told of the last one: its exit status does not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headprune.check.base import Checked, CheckReport, Result
from headprune.system import stopping
from headprune.system.stopping import EXIT_STATUS

FACTOR = 200.0  # on ten heads a ranking by gradients takes 1 pass over the batches, evolutionary search about 50
SECONDS = 600.0  # for all methods of a file; those of this repository take 3 to 60 on one core
IMPORT = "the file is imported"
ROOT = Path(__file__).resolve().parents[2]


class LoadError(ValueError):
    """A file that cannot be checked: it does not import, or registers no method."""


def check_file(
    file: str | Path, factor: float = FACTOR, options: Mapping[str, Any] | None = None, seconds: float = SECONDS
) -> list[CheckReport]:
    """Checks every method that `file` registers; one report for each that was begun.

    A method that ends the process of the checks, or does not end, fails the check that was being made.

    :param factor: forward and backward passes over the batches that scoring may cost
    :param options: values of hyper-parameters, instead of the defaults
    :param seconds: time limit of all checks of the file
    :raises LoadError: the file is not there, cannot be imported, registers nothing or a name of this repository; or an
        option that a method does not have, or a value it refuses.
    """
    request = {"file": str(Path(file).resolve()), "factor": factor, "options": dict(options or {})}
    with tempfile.TemporaryDirectory(prefix="headprune-check-") as folder:
        told = Path(folder) / "told.jsonl"
        code = _run(request, told, seconds)
        news = _read(told)
    if news and "error" in news[-1]:
        raise LoadError(news[-1]["error"])
    return _reports(news, Path(file).resolve(), _ending(code, seconds))


def _run(request: Mapping[str, Any], told: Path, seconds: float) -> int | None:
    """The exit status of the process of the checks; None if it did not end in time. It and its children are gone."""
    # -P: a file of the current folder must not take the place of a library; methods/random.py would
    command = [sys.executable, "-P", "-m", "headprune.check.process", str(told)]
    paths = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    environment = {**os.environ, "PYTHONPATH": paths, stopping.PARENT: str(os.getpid())}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        process.communicate(json.dumps(request).encode(), timeout=seconds)
        return process.returncode
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(told: Path) -> list[dict[str, Any]]:
    found = []
    for line in told.read_text(encoding="utf-8").splitlines() if told.exists() else []:
        with suppress(json.JSONDecodeError):  # the last line of a killed process
            found.append(json.loads(line))
    return found


def _reports(news: list[dict[str, Any]], file: Path, ending: tuple[str, str]) -> list[CheckReport]:
    """The reports of what was told, method by method; where it was not all, the check that ended it has failed."""
    methods: list[tuple[Checked, list[Result]]] = []
    check = IMPORT
    for item in news:
        if "method" in item:
            methods.append((Checked(item["method"], item["kind"], file), []))
        elif "check" in item:
            check = item["check"]
        elif "result" in item:
            methods[-1][1].append(Result(**item["result"]))
    if not news or "done" not in news[-1]:
        if not methods:
            methods.append((Checked(file.name, "", file), []))
        methods[-1][1].append(Result(check, "failed", *ending))
    return [CheckReport(entry, tuple(results)) for entry, results in methods]


def _ending(code: int | None, seconds: float) -> tuple[str, str]:
    """The end of a process that was to go on, in words, and what the author can do about it."""
    returns = "a method returns or raises; it never calls sys.exit or os._exit, nor sends itself a signal"
    if code is None:
        remedy = "look for a loop without an end; a method that needs longer gets it by `--seconds`"
        return f"does not end: stopped after {seconds:g} seconds for all checks", remedy
    if code == 0:
        return "ends the process of the checks with exit status 0, as if all had been checked", returns
    if code == EXIT_STATUS:
        return f"ends the process of the checks with exit status {code}: it was asked to end, or asked itself", returns
    if code == -signal.SIGKILL:
        remedy = "look at fewer examples at a time if memory ran out, for which the system kills; " + returns
        return "the process of the checks is killed (SIGKILL)", remedy
    if code < 0:
        remedy = f"code written in C was given what it cannot take, or the method did it: {returns}"
        return f"the process of the checks is ended by {_signal(-code)}", remedy
    like = f", that of a process ended by {_signal(code - 128)}" if code > 128 else ""
    return f"ends the process of the checks with exit status {code}{like}", returns


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
