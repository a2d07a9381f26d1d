"""The entry point of the command line: sets what must be set before anything heavy is imported."""

from __future__ import annotations

import os
import sys

# glibc hands every large logits tensor back to the system and page-faults it anew at the next step; this keeps it.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "THP_MEM_ALLOC_ENABLE": "1"}


def main() -> None:
    """Runs `headprune`; a job of the DAG starts again with the allocator's variables, read before the program is."""
    missing = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
    if sys.argv[1:2] == ["job"] and missing and sys.platform == "linux":
        os.execve(sys.executable, [sys.executable, "-m", "headprune.launch", *sys.argv[1:]], {**os.environ, **missing})
    from headprune.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
