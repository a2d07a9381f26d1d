"""What went wrong in a run: every failure once, where it happened, with the end of its trace or log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.pipeline.store import read_json

UPSTREAM = "UpstreamError: "


@dataclass(frozen=True)
class Failure:
    """A record whose status is not ok."""

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
    found = [*_records(folder), *_jobs(folder)]
    return sorted(found, key=lambda failure: (failure.upstream, failure.what))


def ended_by_error(folder: Path) -> dict[str, str]:
    """By name of job, the error that ended it and left nothing to go on with. `progress.start` forgets them."""
    notes = (read_json(path) for path in sorted((folder / "attempts").glob("*/attempt.json")))
    return {note["job"]: note["ended"]["reason"] for note in notes if note.get("ended", {}).get("status") == "error"}


def last_words(folder: Path) -> str:
    """What a run says last that did not come to its end: why, as far as it is known, and where there is more."""
    errors = ended_by_error(folder)
    lines = [f"{job} failed: {reason}" for job, reason in errors.items()]
    return "\n".join([*lines, f"what failed or is missing, and the logs: headprune failures {folder}"])


def logs_of_cells(folder: Path) -> dict[str, Path]:
    """The log of the job that computed it, by cell, by `test` and cell, and by name of job."""
    logs = {}
    for path in (folder / "jobs").glob("**/*.json"):
        job = str(path.relative_to(folder / "jobs").with_suffix(""))
        log = folder / "logs" / f"{job}.log"
        logs[job] = log
        cells = read_json(path).get("cells")
        for cell in cells if isinstance(cells, dict) else ():
            logs[f"test {cell}" if job.startswith("test/") else cell] = log
    return logs


def _records(folder: Path) -> Iterator[Failure]:
    logs = logs_of_cells(folder)
    for path in sorted((folder / "dense").glob("*/*.json")):
        model, seed = path.parent.name, path.stem
        yield from _failure(read_json(path), f"unpruned model {model}/{seed}", logs.get(f"dense/{model}/{seed}"))
    for path in sorted((folder / "trials").glob("*/*.json")):
        record = read_json(path)
        what = f"training {path.parent.name}/{path.stem}"
        if record.get("coefficient") is not None:
            what += f" at {record['coefficient']:.3g}"
        yield from _failure(record, what, None)
    for path in sorted((folder / "ablations").glob("*/*.json")):
        name = f"{path.parent.name}/{path.stem.rpartition('-')[0]}/{path.stem.rpartition('-')[2]}"
        yield from _failure(read_json(path), f"ablation {name}", logs.get(f"ablate/{name}"))
    for path in sorted((folder / "cells").glob("**/pruned.json")):
        cell = str(path.parent.relative_to(folder / "cells"))
        pruned, test = read_json(path), path.with_name("test.json")
        yield from _failure(pruned, f"cell {cell}", logs.get(cell))
        if pruned["status"] == "ok" and test.exists():
            yield from _failure(read_json(test), f"test of cell {cell}", logs.get(f"test {cell}"))


def _jobs(folder: Path) -> Iterator[Failure]:
    """Jobs without cells that failed as a whole, and those that have not ended."""
    for path in sorted((folder / "jobs").glob("**/*.json")):
        record, job = read_json(path), str(path.relative_to(folder / "jobs").with_suffix(""))
        if not job.startswith(("dense/", "ablate/")):
            yield from _failure(record, f"job {job}", folder / "logs" / f"{job}.log")
    plan, errors = folder / "progress" / "plan.json", ended_by_error(folder)
    for receipt, job in (read_json(plan)["jobs"] if plan.exists() else {}).items():
        if (folder / receipt).exists():
            continue
        if job["name"] in errors:
            log = folder / "logs" / f"{job['name']}.log"
            yield Failure(f"job {job['name']}", "failed", errors[job["name"]], log=log)
        else:
            log = folder / "logs" / f"{job['name']}.log"
            reason = "did not end" if log.exists() else "has not run"
            yield Failure(f"job {job['name']}", "missing", reason, log=log)


def _failure(record: Mapping[str, Any], what: str, log: Path | None) -> Iterator[Failure]:
    if record.get("status", "ok") != "ok":
        yield Failure(what, record["status"], record["reason"], tuple(record.get("trace", ())), log)
