"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


@contextmanager
def alone(
    lock: Path, waiting: str, tell: Callable[[str], Any], give_up: Callable[[], bool] = lambda: False
) -> Iterator[bool]:
    """Holds a lock that the system frees when its holder dies. Says so where it has to wait.

    :param give_up: whether to wait no longer; asked every second
    :returns: whether the lock is held
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        tell(f"{waiting}; waiting for it")
    while not held.is_locked and not give_up():
        with suppress(Timeout):
            held.acquire(timeout=1.0)
    try:
        yield held.is_locked
    finally:
        held.release()


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; on success the file takes the place of `path`, else it is removed.

    Folders on the way are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Removes a folder; no half of it stays to be taken for a whole, nor what a killed call has left beside it."""
    prefix = f".{folder.name}.old-"
    if folder.exists():
        os.replace(folder, tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    for doomed in folder.parent.glob(f"{glob.escape(prefix)}*"):
        shutil.rmtree(doomed, ignore_errors=True)
