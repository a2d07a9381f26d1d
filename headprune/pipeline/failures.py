"""What went wrong in a run: every failure once, with the end of its trace or log; what of it is lost or damaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.pipeline.inventory import Inventory
from headprune.pipeline.records import DamagedError, Record, hint, planned, read

UPSTREAM = "UpstreamError: "
DAMAGED = "damaged"  # the status of a file that is lost, cannot be read or is another one


@dataclass(frozen=True)
class Failure:
    """A record whose status is not ok, or a file that is damaged."""

    what: str  # a cell, a model, a training of a search, a job
    status: str
    reason: str
    trace: tuple[str, ...] = ()
    log: Path | None = None  # of the job, if it is known

    @property
    def upstream(self) -> bool:
        """Whether it failed because something it needs had."""
        return self.reason.startswith(UPSTREAM)

    def last_lines(self, count: int) -> list[str]:
        """Of the trace, or of the log where there is none: the job was killed."""
        if not count:
            return []
        if self.trace or self.log is None or not self.log.exists():
            return list(self.trace)[-count:]
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 2**16))
            return file.read().decode(errors="replace").splitlines()[-count:]


def failures(folder: Path) -> list[Failure]:
    """The failures of a run, those that caused others first.

    :raises FileNotFoundError: it is not a results folder.
    """
    if not (folder / "jobs").is_dir() and not (folder / "progress").is_dir():
        raise FileNotFoundError(f"{folder} holds neither jobs/ nor progress/: it is not a results folder")
    found = [*_records(folder), *_jobs(folder), *_damages(folder)]
    return sorted(found, key=lambda failure: (failure.upstream, failure.what))


def ended_by_error(folder: Path) -> dict[str, str]:
    """By name of job, the error that ended it and left nothing to go on with. `progress.start` forgets them."""
    notes = (hint(path) for path in sorted((folder / "attempts").glob("*/attempt.json")))
    ended = {note.get("job"): note["ended"] for note in notes if isinstance(note.get("ended"), dict)}
    return {str(job): str(how.get("reason")) for job, how in ended.items() if how.get("status") == "error"}


def last_words(folder: Path) -> str:
    """What a run says last that did not come to its end: why, as far as it is known, and where there is more."""
    errors = ended_by_error(folder)
    lines = [f"{job} failed: {reason}" for job, reason in errors.items()]
    return "\n".join([*lines, f"what failed or is missing, and the logs: headprune failures {folder}"])


def _damages(folder: Path) -> Iterator[Failure]:
    for damage in {damage.path: damage for damage in reversed([*Inventory(folder).damages()])}.values():
        reason = damage.reason.replace(f"{folder}/", "")
        yield Failure(damage.path.relative_to(folder).as_posix(), DAMAGED, reason)


def logs_of_cells(folder: Path) -> dict[str, Path]:
    """The log of the job that computed it, by cell, by `test` and cell, and by name of job."""
    logs = {}
    for path in (folder / "jobs").glob("**/*.json"):
        job = str(path.relative_to(folder / "jobs").with_suffix(""))
        log = folder / "logs" / f"{job}.log"
        logs[job] = log
        cells = hint(path).get("cells")
        for cell in cells if isinstance(cells, dict) and not job.startswith("speed/") else ():
            logs[f"test {cell}" if job.startswith("test/") else cell] = log
    return logs


def _records(folder: Path) -> Iterator[Failure]:
    logs = logs_of_cells(folder)
    for path, record in _readable(folder, "dense/*/*.json"):
        model, seed = path.parent.name, path.stem
        yield from _failure(record, f"unpruned model {model}/{seed}", logs.get(f"dense/{model}/{seed}"))
    for path, record in _readable(folder, "trials/*/*.json"):
        what = f"training {path.parent.name}/{path.stem}"
        if isinstance(record.get("coefficient"), float):
            what += f" at {record['coefficient']:.3g}"
        yield from _failure(record, what, None)
    for path, record in _readable(folder, "ablations/*/*.json"):
        name = f"{path.parent.name}/{path.stem.rpartition('-')[0]}/{path.stem.rpartition('-')[2]}"
        yield from _failure(record, f"ablation {name}", logs.get(f"ablate/{name}"))
    pruned = dict(_readable(folder, "cells/**/pruned.json"))
    for path, record in pruned.items():
        cell = path.parent.relative_to(folder / "cells").as_posix()
        yield from _failure(record, f"cell {cell}", logs.get(cell))
    for path, record in _readable(folder, "cells/**/test.json"):
        cell = path.parent.relative_to(folder / "cells").as_posix()
        if pruned.get(path.with_name("pruned.json"), record)["status"] == "ok":
            yield from _failure(record, f"test of cell {cell}", logs.get(f"test {cell}"))


def _jobs(folder: Path) -> Iterator[Failure]:
    """Jobs without cells that failed as a whole, and those that have not ended."""
    for path, record in _readable(folder, "jobs/**/*.json"):
        job = path.relative_to(folder / "jobs").with_suffix("").as_posix()
        if not job.startswith(("dense/", "ablate/")):
            yield from _failure(record, f"job {job}", folder / "logs" / f"{job}.log")
    plan, errors = planned(folder), ended_by_error(folder)
    for receipt, job in plan["jobs"].items() if plan else ():
        if (folder / receipt).exists():
            continue
        if job["name"] in errors:
            log = folder / "logs" / f"{job['name']}.log"
            yield Failure(f"job {job['name']}", "failed", errors[job["name"]], log=log)
        else:
            log = folder / "logs" / f"{job['name']}.log"
            reason = "did not end" if log.exists() else "has not run"
            yield Failure(f"job {job['name']}", "missing", reason, log=log)


def _readable(folder: Path, pattern: str) -> Iterator[tuple[Path, Record]]:
    """The records of a kind; those that cannot be read are damages."""
    for path in sorted(folder.glob(pattern)):
        with suppress(DamagedError):
            yield path, read(path)


def _failure(record: Mapping[str, Any], what: str, log: Path | None) -> Iterator[Failure]:
    if record["status"] != "ok":
        trace = record.get("trace", ())
        yield Failure(what, record["status"], record["reason"], tuple(trace) if isinstance(trace, list) else (), log)
