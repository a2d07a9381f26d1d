"""The warm process of a run: which commands it takes, and what it imports for each."""

from __future__ import annotations

import importlib
import os
import pkgutil
import runpy
import socket
import sys
from pathlib import Path
from subprocess import Popen

from headprune.results.jobs import JOBS
from headprune.system import warm
from headprune.system.allocator import allocator
from headprune.system.bundled import PACKAGE

NOT_FOR_JOBS = ("__main__", "analysis", "check", "cli", "own", "report", "verification")
FIRST_USED_IN_JOBS = (
    *("fairseq.trainer", "fairseq_cli.preprocess", "fairseq_cli.train", "torch._dynamo"),
    *("pandas", "pyarrow.parquet", "sacrebleu", "sacremoses", "sentencepiece"),
)
FOR_TABLES = ("pandas", "pyarrow.parquet", "headprune.cli.commands", "headprune.pipeline.collect")
FOR_FIGURES = (
    *("matplotlib.pyplot", "matplotlib.backends.backend_pdf", "PIL.PngImagePlugin", "fontTools.subset"),
    *("pandas", "pyarrow.parquet", "sacrebleu", "scipy.stats"),
    "headprune.analysis.study",
)

_kept: list[Popen[bytes]] = []  # until the end of this process


def begin() -> None:
    """Starts the warm process of a run, unless the environment names one.

    There is none for a part of a GPU: torch begins CUDA to count it, which fairseq asks for when it is imported, and no
    copy of a process that has begun CUDA can use it.
    """
    if warm.WHERE not in os.environ and not os.environ.get("CUDA_VISIBLE_DEVICES", "").startswith("MIG-"):
        try:
            _kept.append(warm.start(allocator()))
        except OSError as error:  # no sockets on the file system of temporary files, or a path too long for one
            os.environ.pop(warm.WHERE, None)
            print(f"jobs begin as processes of their own: {error}", file=sys.stderr)


def serve() -> bool:
    """Answers requests; True in a process that has to do what one asks for, False at the end."""
    listener = socket.socket(fileno=int(sys.argv[2]))
    imports = {"job": _import_for_jobs, "collect": _import_for_tables, "draw": _import_for_figures}
    return warm.WarmProcess(imports, listener).serve()


def elsewhere() -> int | None:
    """The exit status of what the warm process did for this one; None where it has to be done here.

    What is timed is always done here.
    """
    command, *arguments = sys.argv[1:] or [""]
    kind = JOBS.get(arguments[0]) if command == "job" and arguments else None
    if command in ("collect", "draw") or (kind and not kind.alone):
        return warm.elsewhere(sys.argv, allocator())
    return None


def draw() -> None:
    """Runs the script that stands after `draw`, with the arguments after it, as `python` does."""
    del sys.argv[:2]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


def _import_for_jobs() -> None:
    """Imports the library, but for what only draws, reports or checks, and what it and fairseq import at first use."""
    importlib.import_module("headprune.models.compat")  # before fairseq
    for module in pkgutil.walk_packages([str(PACKAGE)], "headprune."):
        if module.name.split(".")[1] not in NOT_FOR_JOBS:
            importlib.import_module(module.name)
    for name in FIRST_USED_IN_JOBS:
        importlib.import_module(name)


def _import_for_tables() -> None:
    for name in FOR_TABLES:
        importlib.import_module(name)


def _import_for_figures() -> None:
    for name in FOR_FIGURES:
        importlib.import_module(name)
