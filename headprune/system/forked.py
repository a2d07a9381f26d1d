"""A copy of this process, handled as `subprocess.Popen` handles a program."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from setproctitle import setproctitle

from headprune.system import stopping


class Forked:
    """The part of `subprocess.Popen` that waiting for and ending a process needs.

    :param main: what the copy does; its `SystemExit` is the exit status
    :param arguments: `sys.argv` of the copy
    :param environment: variables of the copy
    :param given: what it reads from its standard input
    """

    def __init__(
        self, main: Callable[[], Any], arguments: Sequence[str], environment: Mapping[str, str], given: str
    ) -> None:
        def begin() -> None:
            for number in stopping.SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv[1:] = arguments
            setproctitle(" ".join([sys.executable, "-m", "headprune", *arguments]))
            sys.stdin = io.StringIO(given)
            main()

        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._process = multiprocessing.get_context("fork").Process(target=begin)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status; that of a signal is negative; None before the end."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end.

        :raises subprocess.TimeoutExpired: it was not there after `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self.returncode

    def terminate(self) -> None:
        """Asks it to stop."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it."""
        self._process.kill()
