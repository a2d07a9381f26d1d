"""The entry point of the command line: sets what must be set before anything heavy is imported."""

from __future__ import annotations

import codecs
import locale
import os
import sys

# glibc hands every large logits tensor back to the system and page-faults it anew at the next step; this keeps it.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "THP_MEM_ALLOC_ENABLE": "1"}

CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # a GPU adds up in the same order in every run


def main() -> None:
    """Runs `headprune`; a job of the DAG in a process of its own, under a parent that supervises it.

    That process gets the allocator's variables, which are read before the program is.
    """
    speak_utf8()
    os.environ.setdefault(*CUBLAS)
    if sys.argv[1:2] == ["job"] and "--spec" in sys.argv and "--receipt" in sys.argv:
        from headprune.pipeline import supervisor
        from headprune.system import stopping

        if supervisor.FOLDER not in os.environ:
            missing = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
            try:
                parent = supervisor.job_supervisor(sys.argv[1:], missing)
            except ValueError as error:
                print(f"error: {error}", file=sys.stderr)
                sys.exit(2)
            sys.exit(parent.run())
        stopping.die_with_parent()
        stopping.listen()
    from headprune.cli.commands import main as command_line

    command_line()


def speak_utf8() -> None:
    """Files, names of files and output are UTF-8 whatever the locale says, in this process and in all that it starts.

    Where the locale says something else Python begins again in its UTF-8 mode, as fairseq and other libraries open
    files in the encoding that they find.
    """
    os.environ["PYTHONUTF8"] = "1"
    elsewhere = codecs.lookup(locale.getencoding()).name != "utf-8"
    if elsewhere and not sys.flags.utf8_mode and "utf8" not in sys._xoptions:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    main()
