"""Accounts of how every result came about: a `manifest.json` beside each.

A manifest holds one entry for every step that wrote into its folder (`pruned`, `test`, `speed`; `prepared` of data;
`pretrained` and `trained` of models), with the sha256 of every file the step left, and of every training that it took
the digests of its initial weights and of the order of its data. A step whose record is the same as before, because a
repeated job kept it, keeps its entry.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from headprune.pipeline.context import Context, ModelContext
from headprune.pipeline.history import runtime
from headprune.pipeline.records import Record, hint
from headprune.pipeline.store import write_json
from headprune.results.jobs import JOBS
from headprune.results.layout import MANIFEST, CellFolder
from headprune.results.provenance import digest, environment, file_sha256, git_commit


def note(context: Context, receipt: Path, started: str, seconds: float) -> None:
    """Writes or completes the manifests of everything that a job has computed.

    :param started: when the job began, as `headprune.pipeline.history.now` says it
    :param seconds: wall time of the job
    """
    told, results = context.told, context.run.path
    command = f"headprune job {context.kind} --spec {digest(told)} --receipt {shlex.quote(str(receipt))}"
    step: Record = {"job": context.job, "spec": digest(told), "command": command, "started": started}
    step |= {"seconds": round(seconds, 3), "seed": told.get("seed"), "git": git_commit(), **environment(), **runtime()}
    for path, files in written(context):
        hashes = {_relative(file, results): file_sha256(file) for file in files if file.is_file()}
        if hashes:
            _add(path, JOBS[context.kind].step, step | _trainings(files[0]) | {"files": hashes})


def written(context: Context) -> Iterator[tuple[Path, list[Path]]]:
    """Every manifest that a job adds to, and the files that it left there."""
    run, step = context.run, JOBS[context.kind].step
    if step == "prepared":
        folder = run.dataset(context.dataset)
        yield folder / MANIFEST, sorted(path for path in folder.rglob("*") if path.name != MANIFEST)
    elif isinstance(context, ModelContext) and step == "pretrained":
        made = run.pretrained(context.model, context.seed)
        yield run.pretrained_manifest(context.model, context.seed), [made, made.with_suffix(".pt")]
    elif isinstance(context, ModelContext) and step == "trained":
        yield run.dense_manifest(context.model, context.seed), [context.dense, context.checkpoint]
    elif isinstance(context, ModelContext):
        for cell in map(context.folder, context.cells):
            yield cell.manifest, [cell.record(step), *_beside(cell, step)]


def _beside(cell: CellFolder, step: str) -> list[Path]:
    """The files that come with a record of a cell."""
    if step == "pruned":
        return [cell.identity, cell.model, *cell.outputs_on("valid")]
    return cell.outputs_on("test") if step == "test" else []


def _trainings(path: Path) -> Record:
    """The terms of the trainings that a record tells of."""
    trainings = hint(path).get("trainings") if path.suffix == ".json" else None
    return {"trainings": trainings} if trainings else {}


def _add(path: Path, name: str, step: Record) -> None:
    known = hint(path)
    steps = known["steps"] if isinstance(known.get("steps"), dict) else {}
    if isinstance(steps.get(name), dict) and steps[name].get("files") == step["files"]:
        return
    known["identity"] = hint(path.with_name("identity.json"))
    known["steps"] = steps | {name: step}
    write_json(path, known)


def _relative(path: Path, results: Path) -> str:
    return path.relative_to(results).as_posix()
