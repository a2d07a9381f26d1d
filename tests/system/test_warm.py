"""The warm process: a command that it does is, from outside, the command itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headprune.cli import warm as warm_commands
from headprune.system import stopping, warm
from headprune.system.allocator import allocator

ASKED = """
import json, os, pathlib, sys
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ["OWN"], sys.stdin.read(), pathlib.Path(sys.path[0]).name]))
print("matplotlib.pyplot" in sys.modules, os.environ.get("HEADPRUNE_WARM"), file=sys.stderr)
sys.exit(7)
"""
WAITS = "import os, sys, time\nprint(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)\n"
LISTENS = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n" + WAITS

Command = Callable[..., subprocess.Popen[str]]
Server = subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A warm process, as a run begins it; `WHERE` is set."""
    before = os.environ.pop(warm.WHERE, None)
    process = warm.start(allocator())
    yield process
    del os.environ[warm.WHERE]
    if before is not None:
        os.environ[warm.WHERE] = before
    process.communicate()
    assert process.returncode == 0


@pytest.fixture
def draw(tmp_path: Path, running: Server) -> Iterator[Command]:
    """`draw(script, …)`: a process of `headprune draw` with a script of this text, variables as Snakemake sets them."""
    threads = dict.fromkeys(warm.THREADS, "1")
    begun = []

    def draw(text: str, *arguments: str, folder: Path = tmp_path, **variables: str) -> subprocess.Popen[str]:
        script = tmp_path / "scripts" / "script.py"
        script.parent.mkdir(exist_ok=True)
        script.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "headprune", "draw", str(script), *arguments]
        environment = os.environ | threads | {"OWN": "variable"} | variables
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8"
        )
        begun.append(process)
        return process

    yield draw
    for process in begun:
        process.kill()
        process.communicate()


def fork_of(process: subprocess.Popen[str], running: Server) -> int:
    """The process that does what `process` was called for."""
    assert process.stdout is not None
    fork, parent = map(int, process.stdout.readline().split())
    assert parent == running.pid != fork
    return fork


def wait_until(true: Callable[[], bool]) -> bool:
    """Waits for ten seconds at most."""
    end = time.monotonic() + 10
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def is_gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_a_fork_has_what_the_command_was_given(draw: Command, tmp_path: Path) -> None:
    """Arguments, folder, variables, streams and exit status, as in a process of its own; only the imports are done."""
    told = [
        draw(ASKED, "a", "b c", HEADPRUNE_WARM=where).communicate("given") for where in (os.environ[warm.WHERE], "")
    ]
    assert told[0][0] == told[1][0] == f'[["a", "b c"], "{tmp_path}", "variable", "given", "scripts"]\n'
    assert [error for _, error in told] == ["True None\n", "False \n"]


def test_its_exit_status_is_the_commands(draw: Command) -> None:
    process = draw(ASKED)
    process.communicate("")
    assert process.returncode == 7
    process = draw("raise ValueError('told')")
    assert "ValueError: told" in process.communicate("")[1]
    assert process.returncode == 1


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_request_to_stop_reaches_the_fork(draw: Command, running: Server, number: signal.Signals) -> None:
    process = draw(LISTENS.replace("SIGTERM", number.name))
    fork = fork_of(process, running)
    process.send_signal(number)
    assert process.wait(10) == 75
    assert wait_until(lambda: is_gone(fork))


def test_a_signal_that_ends_the_fork_ends_the_command(draw: Command, running: Server) -> None:
    process = draw(WAITS)
    os.kill(fork_of(process, running), signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def test_a_fork_is_named_by_what_it_does(draw: Command, running: Server) -> None:
    fork = fork_of(draw(WAITS, "an argument"), running)
    title = Path(f"/proc/{fork}/cmdline").read_text(encoding="utf-8").rstrip("\0")
    assert title.endswith("script.py an argument")
    assert " draw " in title


def test_a_fork_dies_with_who_asked_for_it(draw: Command, running: Server) -> None:
    process = draw(WAITS)
    fork = fork_of(process, running)
    process.kill()
    assert wait_until(lambda: is_gone(fork))


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES", "MALLOC_ARENA_MAX"])
def test_other_variables_that_are_read_once_are_refused(draw: Command, name: str) -> None:
    """The command then runs in its own process, where nothing is imported."""
    assert draw(ASKED, **{name: "3"}).communicate("")[1].startswith("False")


@pytest.mark.parametrize("sent", [b"", b"\0", b"{", b"[]", b'{"arguments": []}'])
def test_a_torn_request_is_refused_and_the_next_one_served(draw: Command, running: Server, sent: bytes) -> None:
    """A command that is killed while it asks takes no other with it."""
    other = draw(WAITS)
    fork = fork_of(other, running)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[warm.WHERE])
        if sent:
            socket.send_fds(connection, [(100).to_bytes(warm.LENGTH, "big")], warm.STREAMS)
            connection.sendall(sent)
    assert fork_of(draw(WAITS), running)
    assert not is_gone(fork)


def test_nobody_listens(draw: Command, tmp_path: Path) -> None:
    assert draw(ASKED, HEADPRUNE_WARM=str(tmp_path / "nobody")).communicate("")[1].startswith("False")


SERVER = """
import os
import sys
from pathlib import Path
from headprune.system import warm

warm.PACKAGE = Path({library!r})
sys.path.insert(0, str(warm.PACKAGE))
process = warm.WarmProcess({{"draw": lambda: __import__("helper")}}, warm.listening(os.environ[warm.WHERE]))
if process.serve():
    import helper
    print(helper.VALUE)
"""


def test_a_changed_file_of_the_library_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor anything after it."""
    library = tmp_path / "library"
    library.mkdir()
    helper = library / "helper.py"
    helper.write_text("VALUE = 1\n", encoding="utf-8")
    monkeypatch.setenv(warm.WHERE, str(tmp_path / "socket"))
    asks = [sys.executable, "-c", "from headprune.system import warm; print(warm.elsewhere(['x', 'draw'], {}))"]
    server = subprocess.Popen([sys.executable, "-c", SERVER.format(library=str(library))], stdin=subprocess.PIPE)
    assert wait_until((tmp_path / "socket").exists)

    def ask() -> str:
        return subprocess.run(asks, capture_output=True, encoding="utf-8", check=True).stdout

    assert ask() == "1\n0\n"
    assert ask() == "1\n0\n"
    helper.write_text("VALUE = 2\n", encoding="utf-8")
    assert ask() == "None\n"
    assert ask() == "None\n"
    server.communicate()


def test_it_ends_when_the_run_is_gone_and_its_forks_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(warm.WHERE, raising=False)
    monkeypatch.setenv(warm.WHERE, "")
    process = warm.start(allocator())
    folder = Path(os.environ[warm.WHERE]).parent
    script = tmp_path / "script.py"
    script.write_text("print('begun', flush=True)\ninput()\n", encoding="utf-8")
    threads = dict.fromkeys(warm.THREADS, "1")
    command = [sys.executable, "-m", "headprune", "draw", str(script)]
    pipe = subprocess.PIPE
    fork = subprocess.Popen(command, env=os.environ | threads, stdin=pipe, stdout=pipe, encoding="utf-8")
    assert fork.stdout is not None
    assert process.stdin is not None
    assert fork.stdout.readline() == "begun\n"
    process.stdin.close()
    time.sleep(0.3)
    assert process.poll() is None
    assert fork.poll() is None
    fork.communicate("\n")
    assert fork.returncode == 0
    assert process.wait(10) == 0
    assert not folder.exists()


@pytest.mark.parametrize(("seen", "begun"), [("0", 1), ("", 1), ("MIG-3c8b7e1d", 0)])
def test_none_begins_for_a_part_of_a_gpu(monkeypatch: pytest.MonkeyPatch, seen: str, begun: int) -> None:
    """To count it is to begin CUDA, which no copy of a process can use then."""
    started: list[object] = []
    monkeypatch.setattr(warm, "start", started.append)
    monkeypatch.setattr(warm_commands, "_kept", [])
    monkeypatch.delenv(warm.WHERE, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    warm_commands.begin()
    assert len(started) == begun


SERVED = {"collect --config -": True, "draw figure.py": True, "job score": True, "job speed": False, "plan": False}


@pytest.mark.parametrize(("words", "there"), SERVED.items())
def test_jobs_tables_and_drawings_go_there_and_timings_do_not(
    monkeypatch: pytest.MonkeyPatch, words: str, there: bool
) -> None:
    monkeypatch.setattr(warm, "elsewhere", lambda arguments, environment: 7)
    monkeypatch.setattr(sys, "argv", ["headprune", *words.split()])
    assert warm_commands.elsewhere() == (7 if there else None)
