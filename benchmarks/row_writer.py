"""`headprune job …` without models: everything around a cell is done, what is computed in it is made up.

`scale.py overhead` puts this in the place of the command line. Starting the process and importing torch and fairseq,
reading specification and method files, signatures, records, receipts and progress are the real ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from headprune import __main__
from headprune.pipeline import supervisor
from headprune.system.allocator import allocator


def main() -> None:
    """The parent of a job is the real one; what it starts is this file again."""
    if sys.argv[1:2] == ["job"] and supervisor.FOLDER not in os.environ:
        parent = supervisor.job_supervisor(sys.argv[1:], allocator())
        parent.command[1:3] = [__file__]
        sys.exit(parent.run())
    if sys.argv[1:2] == ["job"]:
        import made_up  # imports torch, which the parent does without

        made_up.put_in_place()
    sys.argv[0] = str(Path(sys.executable).parent / "headprune")
    __main__.main()


if __name__ == "__main__":
    main()
