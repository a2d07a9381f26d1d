"""Calls of Snakemake: the first one on a profile; each is noted, and the last can be given again whatever ended it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from headprune.config import ConfigError
from headprune.pipeline.history import now
from headprune.pipeline.records import entries
from headprune.pipeline.store import write_json
from headprune.results.layout import RunFolder
from headprune.results.provenance import git_commit
from headprune.system.bundled import bundled

PATIENCE = 300.0  # seconds that cancelled jobs have to save their state and end
REPEATED = {"arguments", "host", "pid", "directory", "logs"}  # what it takes to give a call again
Tell = Callable[[str], Any]


def calls(folder: Path) -> list[dict[str, Any]]:
    """All that were noted, the first one first; those that cannot be repeated, as their note is damaged, left out."""
    return [call for call in entries(RunFolder(folder).calls) if set(call) >= REPEATED]


def first(profile: Path, words: Sequence[str]) -> list[str]:
    """The command that runs the workflow of this library on a profile, from whatever folder; results go below it.

    :param words: further arguments of Snakemake; they come last, so that they prevail and none is taken for a value
    """
    # -P: a file of the current folder, such as that of a new method, does not take the place of a library
    command = [sys.executable, "-P", "-m", "snakemake", "--configfile", str(profile)]
    command += ["--snakefile", str(bundled("Snakefile")), "--workflow-profile", str(bundled("profiles/default"))]
    return [*command, *words]


def become(command: list[str]) -> NoReturn:
    """Runs a command in the place of this process.

    Jobs find the `python` and `headprune` beside this interpreter, in an environment that is not activated, too.
    """
    own, path = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    if own not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([own, path])
    sys.stdout.flush()
    os.execv(command[0], command)


def note(folder: Path, cores: int, logs: Sequence[str] = (), moved: bool = False) -> None:
    """Notes the call of Snakemake that this process is.

    :param logs: files that Snakemake writes
    :param moved: whether Snakemake went to another folder than it was called from
    """
    command = shlex.join(["snakemake", *sys.argv[1:]])  # wherever it is installed, and by whom it was started
    call = {"command": command, "started": now(), "cores": cores, "git": git_commit()}
    call |= {"arguments": sys.argv[1:], "host": socket.gethostname(), "pid": os.getpid()}
    call["directory"] = os.environ.get("PWD", os.getcwd()) if moved else os.getcwd()
    call["logs"] = [str(Path(log).absolute()) for log in logs]
    call["folder"] = str(folder.absolute())
    write_json(RunFolder(folder).calls, [*calls(folder), call])


def resume(folder: Path, elsewhere: bool, tell: Tell) -> NoReturn:
    """Gives the last call of a run again, in the place of this process.

    Its lock is taken away before, and the Slurm jobs that it left behind are cancelled, which saves what they train.

    :param elsewhere: believe that a call from another machine is over
    :raises ConfigError: there was no call, it is not over, or it was of another folder.
    """
    found = calls(folder)
    if not found:
        raise ConfigError(f"{folder} notes no call of snakemake (progress/calls.json): give its command again")
    call = found[-1]
    require_place(call, folder)
    require_over(call, elsewhere)
    if run_id := slurm_run(call):
        cancel(run_id, tell)
    command, again = commands(call)
    os.chdir(call["directory"])
    tell(f"{call['directory']}$ {shlex.join(again[2:])}")
    if (code := subprocess.run(command, check=False).returncode) != 0:
        sys.exit(code)
    become(again)


def commands(call: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """One that takes the lock away, and the call itself; what it left half done is done again."""
    given = [sys.executable, "-m", "snakemake", *call["arguments"]]
    # An option's list of values ends at the next option, so these come first.
    unlock = [*given[:3], "--quiet", "all", "--unlock", *given[3:]]
    again = given if "--rerun-incomplete" in given else [*given[:3], "--rerun-incomplete", *given[3:]]
    return unlock, again


def require_place(call: Mapping[str, Any], folder: Path) -> None:
    """:raises ConfigError: a call was not of this folder, but of one that this is a copy of, or that is elsewhere now.

    The same command again would compute in the other one.
    """
    here, then = folder.absolute(), Path(call.get("folder", folder.absolute()))
    same = here == then or (then.exists() and here.samefile(then))
    if same and Path(call["directory"]).is_dir():
        return
    what = f"its last call wrote into {then}" if not same else f"its last call was made in {call['directory']}"
    became = "it was copied from there" if not same and then.exists() else "it was moved since, or what it was in"
    command = shlex.join(["snakemake", "--rerun-incomplete", *call["arguments"]])
    raise ConfigError(
        f"{folder} cannot be resumed from here: {what}; {became}. Give the command yourself, with paths that lead to "
        f"{here}: {command}"
    )


def require_over(call: Mapping[str, Any], elsewhere: bool) -> None:
    """:raises ConfigError: a call still runs, or nobody can tell."""
    if call["host"] != socket.gethostname():
        if not elsewhere:
            raise ConfigError(
                f"the last call was made on {call['host']}: resume it there, or make sure that it is over and say "
                "--elsewhere"
            )
        return
    words = Path(f"/proc/{call['pid']}/cmdline")
    try:
        runs = b"snakemake" in words.read_bytes()
    except OSError:
        runs = False
    if runs:
        raise ConfigError(f"snakemake still runs, as process {call['pid']}: stop it first, kill {call['pid']}")


def slurm_run(call: Mapping[str, Any]) -> str | None:
    """The name that the Slurm executor gave all jobs of a call; None where it was another executor."""
    for log in call["logs"]:
        text = Path(log).read_text(encoding="utf-8", errors="replace") if Path(log).is_file() else ""
        if found := re.search(r"SLURM run ID: (\S+)", text):
            return found[1]
    return None


def cancel(run_id: str, tell: Tell) -> None:
    """Cancels all Slurm jobs of a call and waits until they are gone.

    :raises ConfigError: they cannot be cancelled from here, or do not go.
    """
    if shutil.which("scancel") is None:
        raise ConfigError(f"the last call ran through Slurm, and there is no scancel here to end its jobs, {run_id}")
    deadline, cancelled = time.monotonic() + PATIENCE, set[str]()
    while True:
        command = ["squeue", "--noheader", "--name", run_id, "--format", "%i"]
        asked = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        left = asked.stdout.split()
        if asked.returncode == 0 and not left:
            return
        if fresh := [job for job in left if job not in cancelled]:
            tell(f"cancelling what it left in the queue: {len(fresh)} Slurm jobs named {run_id}")
            subprocess.run(["scancel", *fresh], check=False)
            cancelled.update(fresh)
        if time.monotonic() > deadline:
            raise ConfigError(f"Slurm jobs named {run_id} do not end: {asked.stderr.strip() or ' '.join(left)}")
        time.sleep(1.0)
