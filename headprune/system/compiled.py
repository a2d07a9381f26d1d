"""C functions that are compiled on the machine that runs them, once, and kept in the user's cache folder.

What is compiled here is never the only way to compute something: without a compiler, or a folder to keep the result in,
the caller goes another way.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

CACHE = "HEADPRUNE_CACHE"
COMPILERS = ("cc", "gcc", "clang")
# without -march and -ffast-math: what one machine compiled serves others that share the folder, and rounds like them
FLAGS = ("-O3", "-fno-math-errno", "-fPIC", "-shared")
PATIENCE = 60  # seconds

_compiling = False


def compiling() -> bool:
    """True while this process is compiling: what it opens and starts now is the library's, not that of its caller."""
    return _compiling


@cache
def library(source: str) -> ctypes.CDLL | None:
    """The functions of C `source`; None where they cannot be compiled or kept.

    Processes that compile the same at the same time do it each for itself, and put it in place whole.
    """
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), *COMPILERS))), None)
    try:
        path = _folder() / f"{_identity(source)}.so"
        if not path.exists():
            if compiler is None:
                return None
            _compile(compiler, source, path)
        return ctypes.CDLL(str(path))
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return None


def _folder() -> Path:
    """:raises RuntimeError: the user has no home."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(CACHE) or f"{base}/headprune").expanduser().absolute() / "compiled"


def _identity(source: str) -> str:
    what = (source, *FLAGS, platform.system(), platform.machine(), *platform.libc_ver())
    return hashlib.sha256("\0".join(what).encode()).hexdigest()[:16]


def _compile(compiler: str, source: str, path: Path) -> None:
    """:raises OSError: the folder cannot be written.
    :raises subprocess.SubprocessError: the compiler fails, or takes too long.
    """
    global _compiling
    _compiling = True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as work:
            made = Path(work) / "library.so"
            command = [compiler, *FLAGS, "-x", "c", "-", "-o", str(made), "-lm"]
            subprocess.run(command, input=source.encode(), check=True, capture_output=True, timeout=PATIENCE)
            made.replace(path)
    finally:
        _compiling = False
