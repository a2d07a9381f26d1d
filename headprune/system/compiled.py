"""C functions that are compiled on the machine that runs them, once, and kept in the user's cache folder.

What is compiled here is never the only way to compute something: without a compiler, or a folder to keep the result in,
the caller goes another way, which may round, and draw, differently. So a process says once why it goes there, and
`provenance.hardware` has it in every signature.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

CACHE = "HEADPRUNE_CACHE"
COMPILERS = ("cc", "gcc", "clang")
# without -march and -ffast-math: what one machine compiled serves others that share the folder, and rounds like them
FLAGS = ("-O3", "-fno-math-errno", "-fPIC", "-shared")
PATIENCE = 300  # seconds
PROBE = "int probe(void) { return 1; }\n"

_compiling = False


def compiling() -> bool:
    """True while this process is compiling: what it opens and starts now is the library's, not that of its caller."""
    return _compiling


@cache
def library(source: str) -> ctypes.CDLL | None:
    """The functions of C `source`; None where they cannot be compiled or kept.

    Processes that compile the same at the same time do it each for itself, and put it in place whole.
    """
    try:
        path = _folder() / f"{_identity(source)}.so"
        if not path.exists():
            _compile_with_any(source, path)
        return ctypes.CDLL(str(path))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        _tell(str(error))
        return None


def usable() -> bool:
    """Return whether functions can be compiled and kept here, or have been."""
    return library(PROBE) is not None


@cache
def _tell(reason: str) -> None:
    logger.warning("no compiled functions, which is slower and draws dropout differently: %s", reason)


def _folder() -> Path:
    """:raises RuntimeError: the user has no home."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(CACHE) or f"{base}/headprune").expanduser().absolute() / "compiled"


def _identity(source: str) -> str:
    what = (source, *FLAGS, platform.system(), platform.machine(), *platform.libc_ver())
    return hashlib.sha256("\0".join(what).encode()).hexdigest()[:16]


def _compile_with_any(source: str, path: Path) -> None:
    """Tries the compilers that are there, in their order.

    :raises RuntimeError: none compiles it.
    :raises OSError: the folder cannot be written.
    """
    errors = []
    for compiler in filter(None, map(shutil.which, (os.environ.get("CC", ""), *COMPILERS))):
        try:
            return _compile(compiler, source, path)
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"status {error.returncode}"]
            errors.append(f"{compiler}: {last[0]}")
        except subprocess.TimeoutExpired:
            errors.append(f"{compiler}: not done after {PATIENCE} s")
    raise RuntimeError("; ".join(errors) or f"none of {', '.join(COMPILERS)} is installed, and CC names none")


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
