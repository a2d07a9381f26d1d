"""An inventory of what is lost or damaged in a results folder, and which job has to make it again.

The receipt of a job vouches for the records it wrote, these for the files that came with them: checkpoints and outputs.
Tables are vouched for by the manifest of the run, what was drawn of them by a note of the last call of Snakemake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.pipeline.records import (
    MISSING,
    PROMISED,
    DamagedError,
    Record,
    companions,
    fault,
    hint,
    load,
    planned,
    read,
)
from headprune.pipeline.store import write_json
from headprune.results.jobs import JOBS
from headprune.results.layout import MANIFEST, STATISTICS, RunFolder
from headprune.results.provenance import digest, file_sha256

MADE = ("tables/*", "figures/*", "report.html")  # of the tables, by Snakemake's rules
# What receipts tell by what their jobs add; all others tell of cells.
TELLS = {
    "prepared": ("statistics",),
    **{step: PROMISED[step] for step in ("pretrained", "trained", "ablated", "chosen")},
}
OF_CELLS = {kind.step for kind in JOBS.values() if kind.of_cells}
COLLECT, DRAWING = "collect", "drawing"  # what has no receipt


@dataclass(frozen=True)
class Damage:
    """A file that is lost, cannot be read, or is not what was recorded.

    :param job: that makes it; empty: nothing needs it
    :param reason: names the file
    :param record: that tells of the file, and is of no use without it
    """

    path: Path
    job: str
    reason: str
    record: Path | None = None


class Inventory:
    """The records of a run as the receipts of its jobs vouch for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receipts: dict[str, Record] = {}  # by the name of the job
        self.unreadable: list[Damage] = []  # receipts
        self.told: dict[Path, str] = {}  # what `find` had to report
        self.run = RunFolder(folder)
        for path in self.run.receipts:
            job = self.run.job_of(path)
            try:
                self.receipts[job] = _receipt(path, job)
            except DamagedError as error:
                self.unreadable.append(Damage(path, job, str(error)))
        jobs = (planned(self.run) or {}).get("jobs", {})
        told = sorted(self.receipts, key=lambda job: job in jobs)  # of two for one record the job of the plan counts
        self._jobs = {path: job for job in told for path, _, _ in self.records(job)}
        self._vouched = {path: row for job in told for path, _, row in self.records(job)}

    def find(self, path: Path, kind: str) -> Record:
        """A record; in the place of a damaged one, one of status `missing` that says why, and is told."""
        if not path.exists() and path not in self._vouched:
            return MISSING
        try:
            return self.checked(path, kind, self._vouched.get(path, {}))
        except DamagedError as error:
            reason = str(error).replace(f"{self.folder}/", "")
            self.told[path] = reason
            return MISSING | {"reason": reason}

    def checked(self, path: Path, kind: str, row: Mapping[str, Any]) -> Record:
        """A record that is what its receipt says.

        :raises DamagedError: it is not.
        """
        if (sha256 := row.get("sha256")) and (found := fault(path, sha256)):
            load(path)  # what cannot be read at all is told as such
            raise DamagedError(found)
        record = read(path, kind)
        for key in ("signature", "status"):
            if key in row and row[key] != record.get(key, ""):
                raise DamagedError(f"{path} is another record: {key} {record.get(key)!r}, its job wrote {row[key]!r}")
        return record

    def records(self, job: str) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
        """Path and kind of the records that a job wrote, and what its receipt says of each."""
        receipt, step, places = self.receipts[job], step_of(job), job.split("/")[1:]
        if step == "pretrained":
            yield self.run.pretrained(places[0], int(places[1][1:])), step, _row(receipt)
        elif step == "trained":
            yield self.run.dense(places[0], int(places[1][1:])), step, _row(receipt)
        elif step == "ablated":
            yield self.run.ablation(places[0], places[1], int(places[2][1:])), step, _row(receipt)
        elif step == "chosen":
            yield self.run.choice(places[0], places[1]), step, _row(receipt)
        elif step == "tried":
            for name, row in receipt.get("cells", {}).items():
                yield self.folder / f"{name}.json", step, row
        elif step in OF_CELLS:
            cells = receipt.get("cells", {})
            rows = cells if isinstance(cells, dict) else {cell: {"status": "ok"} for cell in cells}
            for cell, row in rows.items():
                yield self.run.cell(cell).record(step), step, row

    def damages(self) -> Iterator[Damage]:
        """Everything that is lost or damaged; a file that several jobs need, or wrote into, as often."""
        yield from self.unreadable
        for job, receipt in self.receipts.items():
            if step_of(job) == "prepared":
                yield from _dataset(self.run.dataset(job.partition("/")[2]), job, receipt)
            for path, kind, row in self.records(job):
                if self._jobs[path] == job:
                    yield from self._record(job, path, kind, row)
        yield from _strays(self.run)
        yield from _torn_datasets(self.run)
        yield from _tables(self.run)
        yield from _drawn(self.run)

    def _record(self, job: str, path: Path, kind: str, row: Mapping[str, Any]) -> Iterator[Damage]:
        """A record, what came with it and what lies beside it."""
        try:
            record = self.checked(path, kind, row)
        except DamagedError as error:
            yield Damage(path, job, str(error))
            return
        if record["status"] != "ok":
            return
        others = companions(path, record)
        if kind == "pruned":
            others.setdefault(path.with_name("model.pt"), "")
            yield from _identity(path, job, record)
        for file, sha256 in others.items():
            if found := fault(file, sha256):
                yield Damage(file, job, found, path)
        for signature in record.get("trials", []) if kind == "pruned" else []:
            yield from self._trial(path, job, signature)
        if kind in OF_CELLS:
            yield from _manifest(path.with_name(MANIFEST), job, kind, path)
        elif kind in ("pretrained", "trained"):
            yield from _manifest(path.with_suffix(f".{MANIFEST}"), job, kind, path)

    def _trial(self, pruned: Path, job: str, signature: str) -> Iterator[Damage]:
        model, method, cell = self.run.cell_name(pruned).split("/")
        path = self.run.trial(model, method.partition(".")[0], int(cell.rpartition("-s")[2]), signature)
        try:
            record = self.checked(path, "trials", {"signature": signature})
        except DamagedError as error:
            yield Damage(path, job, str(error))
            return
        others = {path.with_suffix(".pt"): ""} | companions(path, record)
        for file, sha256 in others.items() if record["status"] == "ok" else ():
            if found := fault(file, sha256):
                yield Damage(file, job, found, path)


def note_drawn(folder: Path) -> None:
    """Notes the sha256 of what was drawn of the tables, once all of it is; see `forget_drawn`."""
    files = [path for pattern in MADE for path in sorted(folder.glob(pattern)) if path.is_file()]
    write_json(RunFolder(folder).drawn, {path.relative_to(folder).as_posix(): file_sha256(path) for path in files})


def forget_drawn(folder: Path) -> None:
    """Forgets that note when drawing may begin again."""
    RunFolder(folder).drawn.unlink(missing_ok=True)


def step_of(job: str) -> str:
    """The step that a job adds, by its name; empty for one of a kind that is not known."""
    kind = job.partition("/")[0]
    return JOBS[kind].step if kind in JOBS else ""


def _receipt(path: Path, job: str) -> Record:
    receipt, kind = read(path), job.partition("/")[0]
    promised = TELLS.get(step_of(job), ("cells",)) if receipt["status"] == "ok" else ()
    if lacking := [key for key in promised if key not in receipt]:
        raise DamagedError(f"{path} is no receipt of a job of kind {kind!r}: it lacks {', '.join(lacking)}")
    if receipt.get("job", job) != job:
        raise DamagedError(f"{path} is the receipt of {receipt['job']}")
    cells = receipt.get("cells", {})
    rows = cells.values() if isinstance(cells, dict) else ()
    if not isinstance(cells, dict | list) or not all(isinstance(row, dict) and "status" in row for row in rows):
        raise DamagedError(f"{path} is no receipt of a job: it does not tell of cells")
    return receipt


def _row(receipt: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of a receipt that is a copy of its record."""
    return {key: receipt[key] for key in ("signature", "status") if key in receipt}


def _dataset(folder: Path, job: str, receipt: Mapping[str, Any]) -> Iterator[Damage]:
    """A prepared dataset is replaced as a whole: what is damaged in it condemns all of it."""
    if not folder.is_dir():
        yield Damage(folder, job, f"{folder} is lost")
        return
    files = receipt.get("files")
    for name, sha256 in (files if isinstance(files, dict) else {STATISTICS: ""}).items():
        if found := fault(folder / name, str(sha256)):
            yield Damage(folder / name, job, found, folder)
    yield from _manifest(folder / MANIFEST, job, "prepared", folder / STATISTICS)


def _identity(pruned: Path, job: str, record: Mapping[str, Any]) -> Iterator[Damage]:
    """Checks the identity that the signature of a cell stands for."""
    path = pruned.with_name("identity.json")
    try:
        if digest(load(path)) != record["signature"]:
            yield Damage(path, job, f"{path} is not what signature {record['signature']} stands for")
    except DamagedError as error:
        yield Damage(path, job, str(error))


def _manifest(path: Path, job: str, step: str, record: Path) -> Iterator[Damage]:
    """Checks the account of how a record came about."""
    try:
        steps = load(path)["steps"]
        if file_sha256(record) not in steps[step]["files"].values():
            yield Damage(path, job, f"{path} does not tell how {record.name} came about")
    except DamagedError as error:
        yield Damage(path, job, str(error))
    except (TypeError, KeyError, AttributeError, IndexError):
        yield Damage(path, job, f"{path} does not tell how {record.name} came about")
    except OSError:  # the record is told of where it belongs
        return


def _strays(run: RunFolder) -> Iterator[Damage]:
    """Records for which no receipt vouches, and notes of progress, which nobody can read."""
    for path in run.notes:
        try:
            found = load(path)
            if not isinstance(found, list if path == run.calls else dict):
                yield Damage(path, "", f"{path} holds a JSON {type(found).__name__}")
        except DamagedError as error:
            yield Damage(path, "", str(error))


def _torn_datasets(run: RunFolder) -> Iterator[Damage]:
    """Prepared datasets that are known for such by their folders alone: nothing is prepared over somebody's own."""
    for path in run.datasets:
        if (path / "raw").is_dir() and (path / "bin").is_dir() and not hint(path / STATISTICS):
            reason = f"{path / STATISTICS} is lost or cannot be read"
            yield Damage(path / STATISTICS, f"data/{path.name}", reason, path)


def _tables(run: RunFolder) -> Iterator[Damage]:
    """The tables and the manifest of the run, if they were collected."""
    if not run.manifest.exists() and not run.table("cells.parquet").exists():
        return
    try:
        files = load(run.manifest)["files"]
        for name, sha256 in files.items():
            if found := fault(run.table(name), sha256):
                yield Damage(run.table(name), COLLECT, found)
    except DamagedError as error:
        yield Damage(run.manifest, COLLECT, str(error))
    except (TypeError, KeyError, AttributeError):
        yield Damage(run.manifest, COLLECT, f"{run.manifest} does not tell of the tables")


def _drawn(run: RunFolder) -> Iterator[Damage]:
    for name, sha256 in hint(run.drawn).items():
        if found := fault(run.path / name, str(sha256)):
            yield Damage(run.path / name, DRAWING, found)
