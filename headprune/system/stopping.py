"""Ending a process in good order when it is asked to: SIGTERM of a scheduler or a time limit, SIGINT of a keyboard.

Outside a training the process ends at once: what is finished has been written. Within one the request waits until the
update is done and its state saved. Either way the exit status says that the work is to be called again.

Code that calls `sys.exit` or raises KeyboardInterrupt by itself asks for nothing: within `contained` that is an error.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PARENT = "HEADPRUNE_PARENT"  # environment variable, of a process that is to end with the one that it names
EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again
SIGNALS = (signal.SIGTERM, signal.SIGINT)

_requested = False
_listening = False
_deferring = 0


class Stopped(SystemExit):
    """The process was asked to end. No `Exception`: it is nobody's failure."""

    def __init__(self) -> None:
        super().__init__(EXIT_STATUS)


class SelfEndedError(RuntimeError):
    """Code tried to end the process, and nobody had asked for that."""


def listen() -> None:
    """Has the signals that ask a process to end come here."""
    global _listening
    _listening = True
    for number in SIGNALS:
        signal.signal(number, _ask)


@contextmanager
def listening() -> Iterator[None]:
    """Within the context, the signals that ask a process to end come here."""
    global _listening
    before, handlers = _listening, {number: signal.getsignal(number) for number in SIGNALS}
    listen()
    try:
        yield
    finally:
        _listening = before
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _ask(number: int, frame: Any) -> None:
    global _requested
    _requested = True
    if not _deferring:
        raise Stopped


@contextmanager
def contained() -> Iterator[None]:
    """Within the context, `sys.exit` and a KeyboardInterrupt that no keyboard sent are errors like others.

    A KeyboardInterrupt is genuine where nobody listens to the signals: in a test, or a notebook.

    :raises SelfEndedError: the code within tried to end the process.
    """
    try:
        yield
    except Stopped:
        raise
    except SystemExit as error:
        code = "" if error.code is None else repr(error.code)
        raise SelfEndedError(f"tries to end the process: sys.exit({code})") from error
    except KeyboardInterrupt as error:
        if not _listening:
            raise
        raise SelfEndedError("tries to end the process: raises KeyboardInterrupt") from error


def requested() -> bool:
    """Return whether the process has been asked to end."""
    return _requested


@contextmanager
def deferred() -> Iterator[None]:
    """Within the context a request is only noted: whoever is in there asks `requested` and raises `Stopped`."""
    global _deferring
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1
    if _requested and not _deferring:
        raise Stopped


def die_with_parent(parent: int | None = None) -> None:
    """Kills this process when its parent is gone, so that nobody writes beside the parent's successor. Linux only.

    :param parent: the process that started this one, which may have died since; None: the present parent
    """
    if sys.platform == "linux":
        parent = os.getppid() if parent is None else parent
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
