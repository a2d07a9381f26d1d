"""Reading what jobs have left: nothing that is lost or damaged is taken for a result, and nobody stumbles over it.

A record is a JSON object with `status` and `reason`. One that is ok holds what its kind promises, and under `files` the
sha256 of the files that came with it, so that a lost or replaced checkpoint is told from the one that was measured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from headprune.naming import STATUSES
from headprune.results.layout import RunFolder
from headprune.results.provenance import file_sha256
from headprune.system.files import DENIED, PASSING

Record = dict[str, Any]

MISSING: Record = {"status": "missing", "reason": "the job that computes it has not run", "signature": ""}
COSTS = (  # of training a model, and of finding its mask
    "train_seconds",
    "prune_seconds",
    "prune_forward_sentences",
    "prune_backward_sentences",
    "prune_updates",
    "peak_memory_mib",
)
# What a record that is ok holds, by its kind: the step of `headprune.results.jobs` that leaves it, or `trials`.
PROMISED: dict[str, tuple[str, ...]] = {
    "pruned": (
        "signature",
        "mask",
        "heads",
        "perplexity",
        "parameters",
        "parameters_non_embedding",
        "macs_per_token",
        *COSTS,
    ),
    "test": ("signature",),
    "speed": ("latency_ms", "throughput", "batch_size"),
    "pretrained": ("seconds", "sha256"),
    "trained": ("seconds", "sha256"),
    "trials": ("signature", "method", "label", "seed", "coefficient", "heads_kept", "mask", "cost"),
    "ablated": ("signature", "unpruned", "heads"),
    "tried": ("signature", "loss", "heads_kept", "runs"),
    "chosen": ("signature", "trial", "options", "cost"),
}


class DamagedError(ValueError):
    """A file of a run is lost, cannot be read, or is not what was recorded."""


def load(path: Path) -> Any:
    """The JSON in a file.

    :raises DamagedError: there is none; the message names the file.
    :raises OSError: it cannot be read now, which says nothing of what it holds.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if not text:
            raise DamagedError(f"{path} is empty")
        return json.loads(text)
    except FileNotFoundError:
        raise DamagedError(f"{path} is lost") from None
    except UnicodeDecodeError:
        raise DamagedError(f"{path} cannot be read: it is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise DamagedError(f"{path} cannot be read: no JSON ({error})") from None
    except (OSError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno in PASSING | DENIED:
            raise
        raise DamagedError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def read(path: Path, kind: str = "") -> Record:
    """A record.

    :param kind: a key of `PROMISED`; empty for one that is known by its signature
    :raises DamagedError: it is lost, cannot be read or lacks what its kind promises; the message names the file.
    """
    record = load(path)
    if not isinstance(record, dict):
        raise DamagedError(f"{path} holds a JSON {type(record).__name__}, no record of a result")
    if record.get("status") not in STATUSES or not isinstance(record.get("reason"), str):
        raise DamagedError(f"{path} is no record of a result: status {record.get('status')!r} is unknown")
    promised = PROMISED.get(kind, ()) if record["status"] == "ok" else ()
    if lacking := [key for key in promised if key not in record]:
        raise DamagedError(f"{path} is no record of kind {kind!r}: it lacks {', '.join(lacking)}")
    return record


def find(path: Path, kind: str = "") -> Record:
    """A record; in the place of one that is not there, or is damaged, one of status `missing` that says why."""
    try:
        return read(path, kind) if path.exists() else MISSING
    except DamagedError as error:
        return MISSING | {"reason": str(error)}


def hint(path: Path) -> Record:
    """The JSON object of a file that the run can do without; empty where it cannot be read."""
    try:
        found = load(path)
    except (DamagedError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def entries(path: Path) -> list[Record]:
    """The JSON objects in the list that such a file holds; none where it cannot be read."""
    try:
        found = load(path)
    except (DamagedError, OSError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def planned(run: RunFolder) -> Record | None:
    """The work that a run has to do, as it noted when it started; None if nothing was started, or it cannot be read."""
    plan = hint(run.plan)
    jobs, cells, cores = plan.get("jobs"), plan.get("cells"), plan.get("cores")
    if not isinstance(jobs, dict) or not isinstance(cells, list) or not isinstance(cores, int):
        return None
    whole = all(isinstance(job, dict) and {"name", "estimate"} <= set(job) for job in jobs.values())
    return plan if whole and cores > 0 else None


def checksums(record: Path, files: Iterable[Path]) -> dict[str, str]:
    """The entry `files` of a record: the sha256 of each, by its place as seen from the folder of the record."""
    return {os.path.relpath(file, record.parent): file_sha256(file) for file in sorted(files)}


def companions(path: Path, record: Mapping[str, Any]) -> dict[Path, str]:
    """The files that came with a record, and the sha256 of each; of one that does not tell, empty."""
    told = record.get("files")
    found = {str(name): str(sha256) for name, sha256 in told.items()} if isinstance(told, dict) else {}
    if "sha256" in record:  # of the unpruned model
        found.setdefault(f"{path.stem}.pt", str(record["sha256"]))
    return {Path(os.path.normpath(path.parent / name)): sha256 for name, sha256 in found.items()}


def fault(file: Path, sha256: str) -> str:
    """The fault of a file that came with a record; empty: nothing.

    :raises OSError: it cannot be read now, which says nothing of what it holds.
    """
    try:
        if sha256:
            found = file_sha256(file)
            return "" if found == sha256 else f"{file} has sha256 {found[:12]}, {sha256[:12]} was recorded"
        return "" if file.stat().st_size else f"{file} is empty"
    except FileNotFoundError:
        return f"{file} is lost"
    except OSError as error:
        if error.errno in PASSING | DENIED:
            raise
        return f"{file} cannot be read: {error.strerror}"


def require_whole(path: Path, record: Mapping[str, Any]) -> None:
    """:raises DamagedError: a file that came with a record is lost, or another one."""
    for file, sha256 in companions(path, record).items():
        if found := fault(file, sha256):
            raise DamagedError(found)
