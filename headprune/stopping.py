"""Ending a process in good order when it is asked to: SIGTERM of a scheduler or a time limit, SIGINT of a keyboard.

Outside a training the process ends at once: what is finished has been written. Within one the request waits until the
update is done and its state saved. Either way the exit status says that the work is to be called again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again
SIGNALS = (signal.SIGTERM, signal.SIGINT)

_requested = False
_deferring = 0


class Stopped(SystemExit):
    """The process was asked to end. No `Exception`: it is nobody's failure."""

    def __init__(self) -> None:
        super().__init__(EXIT_STATUS)


def listen() -> None:
    """Has the signals that ask a process to end come here."""
    for number in SIGNALS:
        signal.signal(number, _ask)


def _ask(number: int, frame: Any) -> None:
    global _requested
    _requested = True
    if not _deferring:
        raise Stopped


def requested() -> bool:
    """Whether the process has been asked to end."""
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


def die_with_parent() -> None:
    """Kills this process when its parent is gone, so that nobody writes beside the parent's successor. Linux only."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
