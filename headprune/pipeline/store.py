"""Files of the pipeline: atomic writes, receipts of jobs, results of cells kept under their signature."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headprune.files import replacing

Record = dict[str, Any]


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def failure(error: BaseException) -> Record:
    """Status and reason of what went wrong, for a row of the results."""
    from headprune.training import DivergedError

    status = "diverged" if isinstance(error, DivergedError) else "failed"
    message = " ".join(str(error).split()) or "no message"
    return {"status": status, "reason": f"{type(error).__name__}: {message}"[:500]}


def kept_or_computed(path: Path, signature: str, compute: Callable[[], Record]) -> Record:
    """The record at `path` if it was computed under `signature` and is ok; else computes and writes it.

    An exception becomes a record with status and reason, its trace goes to the log; a later attempt computes anew.
    """
    if is_kept(path, signature):
        return read_json(path)
    try:
        record: Record = {"signature": signature, "status": "ok", "reason": "", **compute()}
    except Exception as error:
        traceback.print_exc()
        record = {"signature": signature, **failure(error)}
    write_json(path, record)
    return record


def is_kept(path: Path, signature: str) -> bool:
    """Whether the record at `path` is ok and was computed under `signature`."""
    if not path.exists():
        return False
    record = read_json(path)
    return record.get("signature") == signature and record.get("status") == "ok"


def require_ok(record: Mapping[str, Any], what: str) -> None:
    """:raises UpstreamError: the record tells of a failure."""
    if record["status"] != "ok":
        raise UpstreamError(f"{what} {record['status']}: {record['reason']}")


class UpstreamError(RuntimeError):
    """Something this step needs has failed before."""
