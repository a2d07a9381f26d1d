"""Processes that begin with their imports done, as most of a short job is the import of torch and fairseq.

A run on this machine starts one warm process and says in the environment where it listens (`start`). `headprune job`,
`collect` and `draw` hand it what they were given: arguments, folder, environment, standard streams (`elsewhere`). It
forks, and its fork does what they would have done, up to the exit status; what asks them to stop asks the fork. A fork
dies with who asked for it and with the warm process, which stays until the run is gone and all forks have ended.

What differs from a process of its own is only when modules were imported. So whatever would be read anew stands in the
way: another Python, other variables that libraries read as they are loaded (of threads, allocators, devices), a file of
this library that has changed. Then, and where nothing listens, the command runs in its own process.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from setproctitle import getproctitle, setproctitle

from headprune.system import stopping
from headprune.system.bundled import PACKAGE

WHERE = "HEADPRUNE_WARM"  # environment variable: the socket of the warm process; empty: no command goes there
LIBRARIES = ("KMP", "MALLOC", "MKL", "NUMEXPR", "OMP", "OPENBLAS", "THP", "TORCH")
READ_ONCE = ("CUDA", "LANG", "LC_", "LD_", "PYTHON", *LIBRARIES)  # beginnings of names
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PYTHON = f"{sys.prefix} {sys.version}"
STREAMS = (0, 1, 2)
LENGTH = 8  # bytes that say how long a message is

_forked = False


def is_warm() -> bool:
    """Return whether this process was forked with its imports done."""
    return _forked


def start(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts the warm process, which imports nothing before it is asked; it ends some time after this one.

    :param environment: variables that the commands would set for themselves before libraries are loaded
    :returns: its handle, to be kept; `WHERE` is set in this process for all that it starts
    """
    path = str(Path(tempfile.mkdtemp(prefix="headprune-")) / "warm")
    os.environ[WHERE] = path
    threads = dict.fromkeys(THREADS, "1")  # as Snakemake tells a job that has one
    with listening(path) as listener:  # from now on, so that nobody asks too early
        return subprocess.Popen(
            [sys.executable, "-m", "headprune", "warm", str(listener.fileno())],
            env={**environment, **os.environ, **threads},
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,  # ends when this process does
            start_new_session=True,  # a keyboard's interrupt is for those who asked
        )


def listening(path: str) -> socket.socket:
    """A socket of this path, at which many may wait."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1000)
    return listener


def read_once(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that are read when libraries are loaded."""
    return {name: value for name, value in environment.items() if name.startswith(READ_ONCE)}


# --- who asks


def elsewhere(arguments: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """Has the warm process do what this process was called for.

    :param arguments: `sys.argv`
    :param environment: variables that this process would set before libraries are loaded
    :returns: the exit status; None if it has to be done here
    """
    path = os.environ.get(WHERE)
    if not path:
        return None
    request = Request(
        arguments=list(arguments),
        folder=str(Path.cwd()),
        environment=dict(os.environ),
        read_once=read_once({**environment, **os.environ}),
        python=PYTHON,
    )
    with socket.socket(socket.AF_UNIX) as connection:
        asking = Asking(connection)
        try:
            connection.connect(path)
            return asking.wait() if asking.ask(request) else None
        except OSError:
            return stopping.EXIT_STATUS if asking.process else None


class Asking:
    """A command that stands for a fork of the warm process."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.answers = connection.makefile("r", encoding="ascii")
        self.process = 0

    def ask(self, request: Request) -> bool:
        """Sends the request, with this process's standard streams; False if it is refused."""
        message = json.dumps(vars(request)).encode()
        for number in stopping.SIGNALS:
            signal.signal(number, self._pass_on)
        socket.send_fds(self.connection, [len(message).to_bytes(LENGTH, "big")], STREAMS)
        self.connection.sendall(message)
        self.process = int(self.answers.readline() or 0)
        if not self.process:
            for number in stopping.SIGNALS:
                signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
        return bool(self.process)

    def wait(self) -> int:
        """The exit status of the fork. Where a signal ended it, the same ends this process."""
        status = self.answers.readline()
        if not status:  # the warm process is gone, and the fork with it
            return stopping.EXIT_STATUS
        code = os.waitstatus_to_exitcode(int(status))
        if code < 0:
            if -code not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        return code

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if not self.process:  # nothing has begun
            raise stopping.Stopped
        with suppress(ProcessLookupError):
            os.kill(self.process, number)


# --- who is asked


@dataclass(frozen=True)
class Request:
    """All that a command was given."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    read_once: dict[str, str]
    python: str

    def take_over(self, streams: Sequence[int]) -> None:
        """Makes this process the command: its arguments, folder, environment and standard streams."""
        for number, stream in zip(STREAMS, streams, strict=True):
            os.dup2(stream, number)
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        del os.environ[WHERE]
        sys.argv[:] = self.arguments
        setproctitle(" ".join([sys.executable, *sys.argv]))


class WarmProcess:
    """Waits for requests and forks: one process, one thread.

    :param imports: by the name of a command, what imports all that it needs; called once, when first it is asked for
    :param listener: the socket whose path is `WHERE`
    """

    def __init__(self, imports: Mapping[str, Callable[[], Any]], listener: socket.socket) -> None:
        getproctitle()  # finds where titles stand, which the environment, as long as it is the first one, tells
        self.imports = dict(imports)
        self.read_once = read_once(os.environ)
        self.path = Path(os.environ[WHERE])
        self.sources: dict[str, int] = {}
        self.asking: dict[int, socket.socket] = {}  # by process
        self.ready = selectors.DefaultSelector()
        self.listener = listener
        self.woken, self.wake = os.pipe()
        os.set_blocking(self.wake, False)

    def serve(self) -> bool:
        """Answers until the process that began this one is gone and all forks have ended.

        :returns: True in a fork, which has taken over its request; False at the end of this process
        """
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.wake)
        owner = sys.stdin.fileno()
        for file in (self.listener, self.woken, owner):
            self.ready.register(file, selectors.EVENT_READ)
        while self.asking or owner in self.ready.get_map():
            for key, _ in self.ready.select():
                if key.fileobj is self.listener:
                    if self._answer(self.listener.accept()[0]):
                        return True
                elif key.fileobj == self.woken:
                    os.read(self.woken, 1000)
                    self._tell_ended()
                else:  # gone: the owner, or who asked for a fork
                    with suppress(KeyError, ValueError):  # its fork has ended in this round: it was told so, and closed
                        self.ready.unregister(key.fileobj)
                    for process, connection in self.asking.items():
                        if connection is key.fileobj:
                            os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.path.parent, ignore_errors=True)
        return False

    def _answer(self, connection: socket.socket) -> bool:
        """Forks for a request, or refuses it; True in the fork."""
        streams: list[int] = []
        request = None
        with suppress(OSError, ValueError, TypeError), connection.makefile("rb") as file:  # who asked may have died
            start, streams, _, _ = socket.recv_fds(connection, LENGTH, len(STREAMS))
            request = Request(**json.loads(file.read(int.from_bytes(start, "big"))))
        process = os.fork() if request and self._serves(request) else None
        if request and process == 0:
            self._leave(connection)
            request.take_over(streams)
        for stream in streams:
            os.close(stream)
        if process:
            self.asking[process] = connection
            self.ready.register(connection, selectors.EVENT_READ)
        with suppress(OSError):
            if process != 0:
                connection.sendall(f"{process or 0}\n".encode())
        if process is None:
            connection.close()
        return process == 0

    def _serves(self, request: Request) -> bool:
        """Return whether a fork does the same as the process that asks; imports what it needs."""
        same = request.read_once == self.read_once and request.python == PYTHON
        if not same or any(changed(path, time) for path, time in self.sources.items()):
            return False
        if request.arguments[1] in self.imports:
            self.imports.pop(request.arguments[1])()
            gc.collect()
            gc.freeze()  # a fork that looks for garbage among what was imported would copy it all
        files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
        own = [path for path in files if path.startswith(f"{PACKAGE}{os.sep}")]
        try:
            self.sources = {path: Path(path).stat().st_mtime_ns for path in own}
        except OSError:  # a file is gone
            return False
        return True

    def _leave(self, connection: socket.socket) -> None:
        """Parts the fork from the warm process."""
        global _forked
        _forked = True
        stopping.die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.ready.close()
        for own in (self.listener, connection, *self.asking.values()):
            own.close()
        for end in (self.woken, self.wake):
            os.close(end)

    def _tell_ended(self) -> None:
        """Tells those who wait how their forks ended."""
        while self.asking:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                break
            connection = self.asking.pop(process)
            with suppress(KeyError):  # it was gone already
                self.ready.unregister(connection)
            with suppress(OSError):
                connection.sendall(f"{status}\n".encode())
            connection.close()


def changed(path: str, time: int) -> bool:
    """Return whether a file is not the one that was imported."""
    try:
        return Path(path).stat().st_mtime_ns != time
    except OSError:
        return True
