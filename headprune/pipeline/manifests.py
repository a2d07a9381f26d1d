"""How every result came about: a `manifest.json` beside each, and what there is to say of the whole run.

A manifest holds one entry for every step that wrote into its folder (`pruned`, `test`, `speed`; `prepared` of data;
`trained` of models), with the sha256 of every file the step left, and of every training that it took the digests of its
initial weights and of the order of its data. A step whose record is the same as before, because a
repeated job kept it, keeps its entry.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headprune.naming import cell_folder
from headprune.pipeline.cells import PRUNING, Cell
from headprune.pipeline.records import entries, hint
from headprune.pipeline.store import Record, write_json
from headprune.results.provenance import digest, environment, file_sha256, git_commit, processor

NAME = "manifest.json"
STEPS = dict.fromkeys(PRUNING, "pruned") | {"test": "test", "speed": "speed"}  # what a kind of job adds to a cell


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def note(kind: str, spec: Mapping[str, Any], receipt: Path, started: str, seconds: float) -> None:
    """Writes or completes the manifests of everything that a job has computed.

    :param started: when the job began, as `now` says it
    :param seconds: wall time of the job
    """
    results = Path(spec["results"])
    command = f"headprune job {kind} --spec {digest(spec)} --receipt {shlex.quote(str(receipt))}"
    step: Record = {"job": spec["job"], "spec": digest(spec), "command": command, "started": started}
    step |= {"seconds": round(seconds, 3), "seed": spec.get("seed"), "git": git_commit(), **environment(), **runtime()}
    for path, name, files in written(kind, spec, results):
        hashes = {_relative(file, results): file_sha256(file) for file in files if file.is_file()}
        if hashes:
            _add(path, name, step | _trainings(files[0]) | {"files": hashes})


def written(kind: str, spec: Mapping[str, Any], results: Path) -> Iterator[tuple[Path, str, list[Path]]]:
    """Of every manifest that a job adds to: its path, the name of the step, the files of the step."""
    if kind == "data":
        folder = results / "data" / spec["dataset"]
        files = sorted(path for path in folder.rglob("*") if path.name != NAME)
        yield folder / NAME, "prepared", files
    elif kind == "dense":
        folder, name = results / "dense" / spec["model"], f"s{spec['seed']}"
        yield folder / f"{name}.{NAME}", "trained", [folder / f"{name}.json", folder / f"{name}.pt"]
    elif kind in STEPS:
        for cell in (Cell(**cell) for cell in spec["cells"]):
            folder, segments = results / "cells" / cell.id, cell_folder(results, cell.id)
            files = [folder / f"{STEPS[kind]}.json"]
            if kind in PRUNING:
                files += [folder / "identity.json", folder / "model.pt", *sorted(segments.glob("*.valid.*"))]
            elif kind == "test":
                files += sorted(segments.glob("*.test.*"))
            yield folder / NAME, STEPS[kind], files


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


def runtime() -> Record:
    """What runs the code. The processor is named here in full; `hardware` has of it what signatures depend on."""
    return {"python": platform.python_version(), "platform": platform.platform(), "processor": processor()}


def packages() -> dict[str, str]:
    """Every installed distribution with its version."""
    found = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    return dict(sorted(found.items(), key=lambda item: str(item[0]).lower()))


def history(folder: Path) -> Record:
    """The calls of Snakemake that made a run, and the wall time of its jobs together, in seconds."""
    path = folder / "progress" / "calls.json"
    states = [hint(state) for state in sorted((folder / "progress").glob("*.json")) if state != path]
    seconds = sum(known for state in states if isinstance(known := state.get("seconds"), int | float))
    keys = ("command", "started", "cores", "git")  # not the machine and its folders
    calls = [{key: call.get(key) for key in keys} for call in entries(path)]
    return {"calls": calls, "job_seconds": round(seconds, 1), "collected": now()}
