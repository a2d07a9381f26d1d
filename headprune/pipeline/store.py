"""Files of the pipeline: atomic writes, receipts of jobs, results of cells kept under their signature.

What a supervisor must know should the process be killed is noted in `ledger`: what is being computed, and what is done.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.files import discard, replacing
from headprune.stopping import contained

Record = dict[str, Any]


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# What the user gave is wrong, or is not there. Networks, disks and memory may do better at the next attempt.
OF_INPUT = (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
TRACE_LINES = 12  # of a failure, that its record keeps


@dataclass
class Ledger:
    """A folder by which a job and its supervisor understand each other; without one, nothing is noted."""

    folder: Path | None = None
    given_up: frozenset[str] = frozenset()  # paths of records that the supervisor wrote, not to be tried again

    def open(self, folder: Path) -> None:
        path = folder / "given_up.json"
        self.folder, self.given_up = folder, frozenset(read_json(path) if path.exists() else [])

    def settle(self, path: Path) -> None:
        """Notes that a record is as good as it will get."""
        if self.folder is not None:
            with (self.folder / "settled.txt").open("a", encoding="utf-8") as file:
                file.write(f"{path}\n")

    def end(self, error: BaseException) -> None:
        """Notes the error that ends a job, and whether it is one of its input: then another attempt ends likewise."""
        reason = " ".join(str(error).split()) if isinstance(error, OF_INPUT) else f"{type(error).__name__}: {error}"
        if self.folder is not None:
            write_json(self.folder / "error.json", {"reason": reason, "final": isinstance(error, OF_INPUT)})

    def underway(self, signatures: Mapping[str, str]) -> None:
        if self.folder is not None:
            write_json(self.folder / "underway.json", dict(signatures))


ledger = Ledger()
_underway: list[Mapping[str, str]] = [{}]


@contextmanager
def underway(signatures: Mapping[Path, str]) -> Iterator[None]:
    """Within the context, records are being computed: those that fail should the process be killed, or be stopped.

    :param signatures: of records by their path; of nested contexts the innermost counts
    """
    _underway.append({str(path): signature for path, signature in signatures.items()})
    ledger.underway(_underway[-1])
    try:
        yield
    except Exception:
        ledger.underway(_underway[-2])
        raise
    else:
        ledger.underway(_underway[-2])
    finally:
        _underway.pop()


def failure(error: BaseException) -> Record:
    """Status, reason and the end of the trace of what went wrong, for a row of the results."""
    from headprune.training import DivergedError

    status = "diverged" if isinstance(error, DivergedError) else "failed"
    status = error.status if isinstance(error, UpstreamError) else status
    message = " ".join(str(error).split()) or "no message"
    trace = "".join(traceback.format_exception(error)).splitlines()[-TRACE_LINES:]
    return {"status": status, "reason": f"{type(error).__name__}: {message}"[:500], "trace": trace}


def kept_or_computed(
    path: Path,
    signature: str,
    compute: Callable[[], Record],
    about: Mapping[str, Any] | None = None,
    scratch: Path | None = None,
) -> Record:
    """The record at `path` if it was computed under `signature` and is ok; else computes and writes it.

    An exception, or an attempt of the code to end the process, becomes a record with status and reason, its trace goes
    to the log; a later attempt computes anew.

    :param about: what the record says whether or not it fails
    :param scratch: a folder that nobody needs once the record is ok
    """
    if not is_kept(path, signature):
        record: Record = {"signature": signature, **(about or {})}
        with underway({path: signature}):
            try:
                with contained():
                    computed = compute()
                record = {**record, "status": "ok", "reason": "", **computed}
            except Exception as error:
                traceback.print_exc()
                record |= failure(error)
            write_json(path, record)
    ledger.settle(path)
    found: Record = read_json(path)
    if scratch is not None and found["status"] == "ok":
        discard(scratch)
    return found


def is_kept(path: Path, signature: str) -> bool:
    """Whether the record at `path` is ok and was computed under `signature`, or was given up in this run."""
    if str(path) in ledger.given_up:
        return True
    if not path.exists():
        return False
    record = read_json(path)
    return record.get("signature") == signature and record.get("status") == "ok"


def require_ok(record: Mapping[str, Any], what: str) -> None:
    """:raises UpstreamError: the record tells of a failure."""
    if record["status"] != "ok":
        raise UpstreamError(f"{what} {record['status']}: {record['reason']}")


class UpstreamError(RuntimeError):
    """Something this step needs has failed before.

    :param status: of the row
    """

    def __init__(self, message: str, status: str = "failed") -> None:
        super().__init__(message)
        self.status = status
