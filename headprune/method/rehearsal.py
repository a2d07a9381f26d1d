"""Trying in a process of its own what may end the process it runs in, or never end: importing files from elsewhere.

The process is a copy of this one, so that what is imported already costs nothing again. Only what the code does to its
process is looked at; an exception is for the caller to meet, who does the same again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from headprune.system.stopping import SelfEndedError, contained, listen

SECONDS = "HEADPRUNE_IMPORT_SECONDS"  # environment variable
LIMIT = 60.0  # seconds, unless the variable says otherwise
SUPERVISED = "HEADPRUNE_SUPERVISED"  # environment variable of jobs, whose parent makes rows of what dies

T = TypeVar("T")


def rehearse(things: Sequence[T], act: Callable[[T], Any]) -> tuple[T, str] | None:
    """The first of some things whose `act` ends the process that calls it, and how; None if there is none.

    A call that takes longer than the limit counts, too. Nothing is tried in a job, which has a supervisor and may hold
    a GPU that no copy of it could use, and where processes cannot be copied.
    """
    daemon = multiprocessing.current_process().daemon  # may have no children
    if not things or SUPERVISED in os.environ or sys.platform != "linux" or daemon:
        return None
    limit = _limit()
    context = multiprocessing.get_context("fork")
    told, tell = context.Pipe(duplex=False)
    process = context.Process(target=_act, args=(things, act, tell))
    process.start()
    tell.close()  # the copy holds the other one: with it the pipe ends
    try:
        for thing in things:
            try:
                if not told.poll(limit):
                    return thing, f"does not end within {limit:g} seconds ({SECONDS} in the environment sets the limit)"
                fault = told.recv()
            except EOFError:
                process.join()
                fault = f"ends the process {_how(process.exitcode or 0)}"
            if fault:
                return thing, fault
        return None
    finally:
        process.kill()
        process.join()


def _act(things: Sequence[T], act: Callable[[T], Any], tell: Connection) -> None:
    """Act in the copy: nothing that is printed is seen, as it will be printed again."""
    listen()  # no keyboard speaks to a copy: what interrupts it is its own
    sys.stdout = sys.stderr = nothing = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (1, 2):
        os.dup2(nothing.fileno(), stream)
    for thing in things:
        try:
            with contained():
                act(thing)
        except SelfEndedError as error:
            tell.send(str(error))
        except Exception:
            tell.send("")
        else:
            tell.send("")


def _limit() -> float:
    value = os.environ.get(SECONDS, str(LIMIT))
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"the environment variable {SECONDS} is {value!r}; it takes a number of seconds") from None


def _how(code: int) -> str:
    return f"with exit status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
