"""Watching what code reaches for besides what it is given: files, programs, sockets, and the frames of its callers.

Python tells of these by audit events. What code written in C++ opens, and what comes by other ways such as memory
addresses, is not told.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import headprune
from headprune.system.compiled import compiling

PACKAGE = Path(headprune.__file__).resolve().parent

_LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_LIBRARIES += [*site.getsitepackages(), "/proc", "/sys", "/dev"]
_CODE = (".py", ".pyc", ".so", ".pyd")
_OPENING = ("open", "subprocess.Popen", "os.system", "socket.connect")
_LOOKING = (
    *("sys._getframe", "sys._current_frames", "sys._current_exceptions", "sys.settrace", "sys.setprofile"),
    *("gc.get_objects", "gc.get_referrers", "gc.get_referents"),
)
_FRAMES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame")  # attributes that lead from an object to a frame


@dataclass
class Seen:
    """The accesses that were seen within `watching`."""

    opened: list[str] = field(default_factory=list)  # files that are no code, programs, sockets
    frames: list[str] = field(default_factory=list)  # ways in which foreign code looked for the frames of others


_seen: Seen | None = None
_looking = False  # the hook's own look at a frame is an event, too


@contextmanager
def watching() -> Iterator[Seen]:
    """Within the context, collects what is opened, but by Python and its libraries, and who looks at frames."""
    global _seen
    _install_audit()
    before, _seen = _seen, Seen()
    try:
        yield _seen
    finally:
        _seen = before


def _install_audit() -> None:
    """Audit hooks stay for the life of a process; there is one, and it does nothing outside `watching`."""
    if not getattr(_install_audit, "done", False):
        sys.addaudithook(_audit)
        _install_audit.done = True  # type: ignore[attr-defined]


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    global _looking
    if _seen is None or _looking or compiling():
        return
    if event in _OPENING:
        if event != "open":
            _seen.opened.append(f"{event}({arguments[-1] if event == 'socket.connect' else arguments[0]!r})")
        elif not isinstance(arguments[0], int) and not is_library(os.fsdecode(arguments[0])):
            _seen.opened.append(os.fsdecode(arguments[0]))
    elif event in _LOOKING or (event == "object.__getattr__" and arguments[1] in _FRAMES):
        _looking = True
        try:
            if _is_foreign(sys._getframe(1)):
                _seen.frames.append(event if event in _LOOKING else str(arguments[1]))
        finally:
            _looking = False


def _is_foreign(frame: FrameType | None) -> bool:
    """Return whether the code that asks is neither Python's, a library's nor ours; `inspect`, `eval` ask for others."""
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith("<") and Path(name).name != "inspect.py":
            return not any(within(os.path.realpath(name), str(place)) for place in (*_LIBRARIES, PACKAGE))
        frame = frame.f_back
    return False


def is_library(path: str) -> bool:
    """Return whether Python or a library may open `path` by itself: code anywhere, data beside installed libraries."""
    full = os.path.realpath(path)
    if full.endswith(_CODE) or f"{os.sep}__pycache__{os.sep}" in full:
        return True
    inside = [str(folder) for folder in _LIBRARIES if within(full, str(folder))]
    return bool(inside) and not within(full, str(PACKAGE))


def within(path: str, folder: str) -> bool:
    """Return whether a path without links lies below a folder."""
    return path.startswith(os.path.realpath(folder) + os.sep)
