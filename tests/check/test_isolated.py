"""Methods that end, kill or hold the process that checks them: a report comes of it, and exit status 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from plug_ins import CORRECT, CheckBody, Write, failure, scorer

from headprune.check import LoadError, check_file
from headprune.check.isolated import _ending
from tests.found import Found, rows


def ending(line: str) -> str:
    """The body of a file whose scores do this."""
    return scorer(f"def scores(self, model, batches, rng):\n    import os, signal, sys\n    {line}")


@rows(
    Found("os._exit(0)", "status 0, nothing checked", "with exit status 0, as if all", "the issue", "os._exit(0)"),
    Found("SIGSEGV", "status 139", "ended by SIGSEGV", "signal(7)", "os.kill(os.getpid(), signal.SIGSEGV)"),
    Found("an endless loop", "hangs", "stopped after 6 seconds for all checks", "--seconds", "while True: pass"),
)
def test_what_ends_or_holds_the_process_of_the_checks_is_refused(write: Write, found: Found) -> None:
    """The command refuses it, in a folder where a file shadows a module of Python."""
    file = write(ending(found.case))
    (file.parent / "random.py").write_text("raise RuntimeError('not this one')")
    command = [sys.executable, "-P", "-m", "headprune", "check", file.name, "--seconds"]
    command += ["6" if "loop" in found.given else "300"]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1, output
    assert found.right in output
    assert "mend: " in output
    assert "refused: " in output
    assert "Traceback" not in output


@rows(
    Found("KeyboardInterrupt", "status 130", "raises KeyboardInterrupt", "the issue", "raise KeyboardInterrupt"),
    Found("sys.exit(0)", "status 0, nothing checked", "sys.exit(0)", "the issue", "sys.exit(0)"),
)
def test_what_tries_to_end_the_process_fails_check_by_check(write: Write, check_body: CheckBody, found: Found) -> None:
    """A KeyboardInterrupt is a method's own only where no keyboard reaches: in the process of the checks."""
    body = ending(found.case)
    report = check_body(body) if "sys.exit" in found.case else check_file(write(body))[0]
    assert "tries to end the process: " + found.right in failure(report, "runs on encoder-decoder").text
    assert [result.status for result in report.results if result.title.startswith("no file")] == ["passed"]


@rows(
    Found("time-out", "hangs", ("does not end: stopped after 9 seconds", "loop without an end"), "", None),
    Found("status 0", "passed", ("with exit status 0, as if all had been checked", "never calls sys.exit"), "", 0),
    Found("status 75", "75", ("exit status 75: it was asked to end, or asked itself", "sends itself a signal"), "", 75),
    Found("status 130", "130", ("exit status 130, that of a process ended by SIGINT", "never calls"), "", 130),
    Found("status 137", "137", ("exit status 137, that of a process ended by SIGKILL", "never calls"), "", 137),
    Found("status 255", "255", ("exit status 255, that of a process ended by signal 127", "never calls"), "", 255),
    Found("SIGKILL", "137", ("is killed (SIGKILL)", "if memory ran out"), "", -9),
    Found("SIGSEGV", "139", ("is ended by SIGSEGV", "written in C"), "", -11),
)
def test_every_end_has_its_own_sentence_and_hint(found: Found) -> None:
    text, remedy = _ending(found.case, 9.0)
    assert found.right[0] in text
    assert found.right[1] in remedy


def test_the_process_of_the_checks_reports_what_the_checks_report(write: Write, check_body: CheckBody) -> None:
    (apart,) = check_file(write(CORRECT))
    here = check_body(CORRECT)
    assert (apart.entry, apart.results) == (here.entry, here.results)


def test_files_that_cannot_be_checked_are_refused_as_before(write: Write, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"mine\.py: tries to end the process: sys\.exit\(0\) when it is imported"):
        check_file(write("import sys; sys.exit(0)"))
    with pytest.raises(LoadError, match="is not a file"):
        check_file(tmp_path / "absent.py")
