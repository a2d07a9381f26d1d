"""Files of the pipeline: atomic writes, receipts of jobs, results of cells kept under their signature.

What a supervisor must know should the process be killed is noted in `ledger`: what is being computed, and what is done.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.pipeline import records
from headprune.pipeline.records import Record
from headprune.system.files import discard, passes, replacing
from headprune.system.stopping import Stopped, contained


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as `json_bytes`, whole or not at all."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """A value as files of the pipeline hold it: indented JSON in UTF-8 that ends in a line break."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """The value in a file.

    :raises OSError: it cannot be read.
    :raises ValueError: it is no JSON in UTF-8.
    """
    return json.loads(path.read_text(encoding="utf-8"))


# What the user gave is wrong, or is not there. Networks, disks and memory may do better at the next attempt.
OF_INPUT = (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
TRACE_LINES = 12  # of a failure, that its record keeps
PAUSE = 60.0  # seconds before a job that a full disk or the like ended is tried again


@dataclass
class Ledger:
    """A folder by which a job and its supervisor understand each other; without one, nothing is noted."""

    folder: Path | None = None
    given_up: frozenset[str] = frozenset()  # paths of records that the supervisor wrote, not to be tried again

    def open(self, folder: Path) -> None:
        self.folder, self.given_up = folder, frozenset(given_up(folder))

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

    def postpone(self) -> None:
        """Ends the job after a while, to be tried again, where somebody watches it.

        :raises Stopped: so it is
        """
        if self.folder is not None:
            time.sleep(PAUSE)
            raise Stopped

    def underway(self, signatures: Mapping[str, str]) -> None:
        if self.folder is not None:
            write_json(self.folder / "underway.json", dict(signatures))


def given_up(folder: Path) -> list[str]:
    """Paths of the records that the supervisor of a job has written, noted in the folder of the job."""
    try:
        found = records.load(folder / "given_up.json")
    except records.DamagedError:
        return []
    return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []


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
    from headprune.training.trainer import DivergedError

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

    What is lost or damaged is said once and computed anew, be it the record or a file that came with it. An exception,
    or an attempt of the code to end the process, becomes a record with status and reason, its trace goes to the log; a
    later attempt computes anew. A full disk, or a file server that is away, is left to the next attempt, too.

    :param about: what the record says whether or not it fails
    :param scratch: a folder that nobody needs once the record is ok
    """
    if not is_kept(path, signature):
        announce_damage(path, signature)
        record: Record = {"signature": signature, **(about or {})}
        with underway({path: signature}):
            try:
                with contained():
                    computed = compute()
                record = {**record, "status": "ok", "reason": "", **computed}
            except Exception as error:
                traceback.print_exc()
                if passes(error):
                    ledger.postpone()
                record |= failure(error)
            write_json(path, record)
    ledger.settle(path)
    found = records.find(path)
    if scratch is not None and found["status"] == "ok":
        discard(scratch)
    return found


def unsettled(signatures: Mapping[Path, str]) -> set[Path]:
    """The records of these that are not done yet.

    That the others are is noted at once, before any of these is computed: a job that is given up leaves them alone.

    :param signatures: of records by their path
    """
    kept = [path for path, signature in signatures.items() if is_kept(path, signature)]
    for path in kept:
        ledger.settle(path)
    return set(signatures) - set(kept)


def is_kept(path: Path, signature: str) -> bool:
    """True if the record at `path` is ok, whole and was computed under `signature`, or was given up in this run.

    Whole: it can be read, and the files that came with it are there and the same.
    """
    if str(path) in ledger.given_up:
        return True
    try:
        record = records.read(path)
        if record["status"] != "ok" or record.get("signature") != signature:
            return False
        records.require_whole(path, record)
    except records.DamagedError:
        return False
    return True


def announce_damage(path: Path, signature: str) -> None:
    """Says what is damaged of a record that is about to be computed again; nothing of one that is new."""
    if not path.exists():
        return
    try:
        record = records.read(path)
        if record.get("signature") == signature:
            records.require_whole(path, record)
    except records.DamagedError as error:
        print(f"{error}: computed again", flush=True)


def require_ok(record: Mapping[str, Any], what: str) -> None:
    """:raises UpstreamError: the record tells of a failure."""
    if record["status"] != "ok":
        raise UpstreamError(f"{what} {record['status']}: {record['reason']}")


def require_whole(path: Path, record: Mapping[str, Any]) -> None:
    """:raises UpstreamError: a file that came with the record at `path` is lost, or another one."""
    try:
        records.require_whole(path, record)
    except records.DamagedError as error:
        raise UpstreamError(f"{error}; `headprune retry` has it made again") from None


class UpstreamError(RuntimeError):
    """Something this step needs has failed before.

    :param status: of the row
    """

    def __init__(self, message: str, status: str = "failed") -> None:
        super().__init__(message)
        self.status = status
