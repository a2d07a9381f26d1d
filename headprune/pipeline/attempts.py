"""One attempt at a job as its supervisor sees it: how it ended, and the records that it should have left."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.pipeline.cells import Cell
from headprune.pipeline.specification import Specification
from headprune.results.jobs import JOBS
from headprune.results.layout import RunFolder


@dataclass(frozen=True)
class Ending:
    """The end of a process of a job."""

    status: str  # ok, stopped, timeout, failed, error
    reason: str = ""
    code: int = 0
    final: bool = False  # whether another attempt would end no other way


def record_paths(spec: Specification) -> dict[str, Path]:
    """The records that a job writes, by cell, `""` for one that is of no cell; without data or times there is no row.

    :returns: empty for jobs that prepare data or measure speed
    """
    run, step = RunFolder(Path(spec["results"])), JOBS[spec["kind"]].step
    if step == "pretrained":
        return {"": run.pretrained(spec["model"], spec["seed"])}
    if step == "trained":
        return {"": run.dense(spec["model"], spec["seed"])}
    if step == "ablated":
        return {"": run.ablation(spec["model"], spec["ablation"]["kind"], spec["seed"])}
    if step == "chosen":
        return {"": run.choice(spec["model"], spec["label"])}
    if step == "tried":
        return trial_records(run, spec)
    if step in ("prepared", "speed"):
        return {}
    cells = [Cell(**cell) for cell in spec["cells"]]
    return {cell.id: run.cell(cell.id).record(step) for cell in cells}


def trial_records(run: RunFolder, spec: Specification) -> dict[str, Path]:
    """The records of a trial of a tuning, one for every budget, by their place in the run; the largest budget first."""
    (method,) = spec["methods"]
    label = f"{method['name']}.{method['arm']}" if method.get("arm") else method["name"]
    about = (spec["model"], label, spec["trial"])
    paths = [run.trial_of_tuning(*about, budget, spec["seed"]) for budget in sorted(spec["budgets"], reverse=True)]
    return {path.relative_to(run.path).with_suffix("").as_posix(): path for path in paths}


def vanished(note: Mapping[str, Any]) -> str:
    """All that is known of an attempt that could not say how it ended."""
    started = note.get("started", 0.0)
    minutes = (note.get("alive", started) - started) / 60
    where = note.get("host", "a machine that is not known")
    return f"vanished with its parent on {where} after about {minutes:.0f} minutes: killed, or the node failed"


def out_of_memory_kills() -> int:
    """Processes that the kernel has killed for want of memory since it started; 0 where it does not say."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text(encoding="utf-8").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
