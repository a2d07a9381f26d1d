"""Locks go with their holder; where there are none nobody is kept out."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from headprune.system.files import alone


def test_a_lock_goes_with_its_holder(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        with alone(tmp_path / "lock", "", print):
            os.write(writing, b".")
            signal.pause()
    os.read(reading, 1)
    told: list[str] = []
    with alone(tmp_path / "lock", "somebody does it", told.append, lambda: True) as held:
        assert not held and told == ["somebody does it; waiting for it"]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with alone(tmp_path / "lock", "somebody does it", told.append) as held:
        assert held and len(told) == 1


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Not by a marker either, which nobody would take away when its holder is dead."""

    def fails(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fails)
    told: list[str] = []
    again = alone(tmp_path / "lock", "somebody does it", told.append)
    with alone(tmp_path / "lock", "somebody does it", told.append) as first, again as second:
        assert first and second
    assert len(told) == 2 and "has no locks" in told[0]
