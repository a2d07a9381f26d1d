"""The failures of a run: every one once, with the end of its trace or log; what of it is lost or damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.pipeline.inventory import Inventory, step_of
from headprune.pipeline.records import DamagedError, Record, hint, planned, read
from headprune.results.layout import RunFolder

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
        """True if it failed because something it needs had."""
        return self.reason.startswith(UPSTREAM)

    def last_lines(self, count: int) -> list[str]:
        """The end of the trace, or of the log where there is none: the job was killed."""
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
    run = RunFolder(folder)
    run.require()
    found = [*_records(run), *_jobs(run), *_damages(folder)]
    return sorted(found, key=lambda failure: (failure.upstream, failure.what))


def ended_by_error(folder: Path) -> dict[str, str]:
    """The errors that ended jobs and left nothing to go on with, by name of job. `progress.start` forgets them."""
    notes = (hint(path) for path in RunFolder(folder).attempt_notes)
    ended = {note.get("job"): note["ended"] for note in notes if isinstance(note.get("ended"), dict)}
    return {str(job): str(how.get("reason")) for job, how in ended.items() if how.get("status") == "error"}


def last_words(folder: Path) -> str:
    """The last words of a run that did not come to its end: why, as far as it is known, and where there is more."""
    errors = ended_by_error(folder)
    lines = [f"{job} failed: {reason}" for job, reason in errors.items()]
    return "\n".join([*lines, f"what failed or is missing, and the logs: headprune failures {folder}"])


def _damages(folder: Path) -> Iterator[Failure]:
    for damage in {damage.path: damage for damage in reversed([*Inventory(folder).damages()])}.values():
        reason = damage.reason.replace(f"{folder}/", "")
        yield Failure(damage.path.relative_to(folder).as_posix(), DAMAGED, reason)


def logs_of_cells(run: RunFolder) -> dict[str, Path]:
    """The log of the job that computed it, by cell, by `test` and cell, and by name of job."""
    logs = {}
    for path in run.receipts:
        job = run.job_of(path)
        logs[job] = run.log(job)
        cells, step = hint(path).get("cells"), step_of(job)
        for cell in cells if isinstance(cells, dict) and step != "speed" else ():
            logs[f"test {cell}" if step == "test" else cell] = logs[job]
    return logs


def _records(run: RunFolder) -> Iterator[Failure]:
    logs = logs_of_cells(run)
    kinds = (("pre-training", "pretrain", run.pretrained_records), ("unpruned model", "dense", run.dense_records))
    for what, kind, paths in kinds:
        for path, record in _readable(paths):
            name = f"{path.parent.name}/{path.stem}"
            yield from _failure(record, f"{what} {name}", logs.get(f"{kind}/{name}"))
    for path, record in _readable(run.trials):
        what = f"training {path.parent.name}/{path.stem}"
        if isinstance(record.get("coefficient"), float):
            what += f" at {record['coefficient']:.3g}"
        yield from _failure(record, what, None)
    for path, record in _readable(run.trials_of_tuning):
        name = path.relative_to(run.path).with_suffix("").as_posix()
        yield from _failure(record, f"trial {name}", logs.get(name))
    for path, record in _readable(run.ablations):
        name = f"{path.parent.name}/{path.stem.rpartition('-')[0]}/{path.stem.rpartition('-')[2]}"
        yield from _failure(record, f"ablation {name}", logs.get(f"ablate/{name}"))
    pruned = dict(_readable(run.records("pruned")))
    for path, record in pruned.items():
        cell = run.cell_name(path)
        yield from _failure(record, f"cell {cell}", logs.get(cell))
    for path, record in _readable(run.records("test")):
        cell = run.cell_name(path)
        if pruned.get(path.with_name("pruned.json"), record)["status"] == "ok":
            yield from _failure(record, f"test of cell {cell}", logs.get(f"test {cell}"))


def _jobs(run: RunFolder) -> Iterator[Failure]:
    """Jobs without records of their own that failed as a whole, and those that have not ended."""
    for path, record in _readable(run.receipts):
        job = run.job_of(path)
        if step_of(job) not in ("pretrained", "trained", "ablated"):
            yield from _failure(record, f"job {job}", run.log(job))
    plan, errors = planned(run), ended_by_error(run.path)
    for receipt, job in plan["jobs"].items() if plan else ():
        if (run.path / receipt).exists():
            continue
        log = run.log(job["name"])
        if job["name"] in errors:
            yield Failure(f"job {job['name']}", "failed", errors[job["name"]], log=log)
        else:
            reason = "did not end" if log.exists() else "has not run"
            yield Failure(f"job {job['name']}", "missing", reason, log=log)


def _readable(paths: Iterable[Path]) -> Iterator[tuple[Path, Record]]:
    """Those of these records that can be read; the others are damages."""
    for path in paths:
        with suppress(DamagedError):
            yield path, read(path)


def _failure(record: Mapping[str, Any], what: str, log: Path | None) -> Iterator[Failure]:
    if record["status"] != "ok":
        trace = record.get("trace", ())
        yield Failure(what, record["status"], record["reason"], tuple(trace) if isinstance(trace, list) else (), log)
