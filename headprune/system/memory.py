"""Peak memory of a piece of work, also when several share a process."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass
class Peak:
    mib: float = float("nan")


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Peak memory of the process within the context, in MiB: of the GPU where there is one, else resident.

    Linux lets a process reset its high-water mark; elsewhere the peak since its start is reported.
    """
    peak = Peak()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    try:
        yield peak
    finally:
        peak.mib = high_water()


def high_water() -> float:
    """The peak since the start of the innermost `peak_memory`, or of the process, in MiB."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else _resident_mib()


def _resident_mib() -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 2**10
