"""Peak memory of a piece of work, also when several share a process."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

import torch


def reset_peak() -> None:
    """Begins a new peak: of the memory of the GPU where there is one, else of the resident memory.

    Linux lets a process reset its high-water mark; elsewhere the peak is that since its start.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def high_water() -> float:
    """The peak since the last `reset_peak`, or since the start of the process, in MiB."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else _resident_mib()


def _resident_mib() -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 2**10
