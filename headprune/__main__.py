"""The entry point of the command line: sets what must be set before anything heavy is imported."""

from __future__ import annotations

import codecs
import locale
import os
import sys

from headprune.system.allocator import allocator

CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # a GPU adds up in the same order in every run


def main() -> None:
    """Runs `headprune`. Where a warm process listens, it does what jobs and scripts of figures ask for."""
    speak_utf8()
    os.environ.setdefault(*CUBLAS)
    if sys.argv[1:2] == ["warm"] and len(sys.argv) == 3:
        from headprune.cli.warm import serve
        from headprune.system.forked import end

        if serve():
            end(run)
        return
    elif os.environ.get("HEADPRUNE_WARM") and "HEADPRUNE_SUPERVISED" not in os.environ:
        from headprune.cli.warm import elsewhere

        status = elsewhere()
        if status is not None:
            sys.exit(status)
    run()


def run() -> None:
    """Does what `sys.argv` says; a job of the DAG in a process of its own, under a parent that supervises it.

    That process gets the allocator's variables, which are read before the program is.
    """
    if sys.argv[1:2] == ["job"] and "--spec" in sys.argv and "--receipt" in sys.argv:
        from headprune.pipeline import supervisor
        from headprune.system import stopping, warm

        if supervisor.FOLDER not in os.environ:
            try:
                fork = run if warm.is_warm() else None
                parent = supervisor.job_supervisor(sys.argv[1:], allocator(), fork)
            except ValueError as error:
                print(f"error: {error}", file=sys.stderr)
                sys.exit(2)
            sys.exit(parent.run())
        told = os.environ.get(stopping.PARENT)
        stopping.die_with_parent(int(told) if told else None)
        stopping.listen()
    if sys.argv[1:2] == ["draw"] and len(sys.argv) > 2:
        from headprune.cli.warm import draw

        draw()
    else:
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
