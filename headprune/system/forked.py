"""Copies of this process: how they end, and one that is handled as `subprocess.Popen` handles a program."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from setproctitle import setproctitle

from headprune.system import stopping


def end(main: Callable[[], Any]) -> NoReturn:
    """Does what `main` does and ends this copy with its exit status.

    At once, like copies of `multiprocessing`: what was registered to happen at the exit is the original's, and an
    interpreter that clears up would touch, and so copy, all that the two share.
    """
    code: int | str | None = 0
    try:
        main()
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed by who reads it, or by `main`
            stream.flush()
    os._exit(code or 0)


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
