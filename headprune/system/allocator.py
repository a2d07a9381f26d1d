"""The ways in which glibc and torch keep memory: variables that are read at the start of a process."""

from __future__ import annotations

import os

# glibc hands every large logits tensor back to the system and page-faults it anew at the next step; this keeps it.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "THP_MEM_ALLOC_ENABLE": "1"}


def allocator() -> dict[str, str]:
    """The allocator's variables that nobody has set."""
    return {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
