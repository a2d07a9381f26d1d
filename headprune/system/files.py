"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
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

# Errors of file servers, disks and tables of open files that pass. They say nothing of what a file holds.
PASSING = frozenset({errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT})
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.ENOMEM})  # nor do these, which do not pass


def passes(error: BaseException) -> bool:
    """Return whether the work may be done at another time, by the number of an error of the system."""
    return isinstance(error, OSError) and error.errno in PASSING


@contextmanager
def alone(
    lock: Path, waiting: str, tell: Callable[[str], Any], give_up: Callable[[], bool] = lambda: False
) -> Iterator[bool]:
    """Holds a lock that the system frees when its holder dies. Says so where it has to wait.

    Where the file system has no such locks nothing is held, and it says so: a file in the place of a lock would stay
    when its holder dies, and keep everybody else out.

    :param give_up: whether to wait no longer; asked every second
    :returns: whether the work may be done
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    if not has_locks(lock):
        tell(f"the file system of {lock.parent} has no locks: whether another process does the same is not known")
        yield True
        return
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


def has_locks(path: Path) -> bool:
    """Return whether the file system of a file, which is made where it is not there, has locks that die with their
    holder (`flock`)."""
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
    return True


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
