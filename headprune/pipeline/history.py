"""The history of a whole run: what ran it, with which packages, by which calls, for how long."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from datetime import UTC, datetime

from headprune.pipeline.records import Record, entries, hint
from headprune.results.layout import RunFolder
from headprune.results.provenance import processor


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def runtime() -> Record:
    """The platform, the processor in full; `provenance.hardware` has of it what signatures depend on."""
    return {"python": platform.python_version(), "platform": platform.platform(), "processor": processor()}


@functools.cache
def packages() -> dict[str, str]:
    """Every distribution that was installed when first this was asked for, with its version; not to be changed."""
    found = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    return dict(sorted(found.items(), key=lambda item: str(item[0]).lower()))


def history(run: RunFolder) -> Record:
    """The calls of Snakemake that made a run, and the wall time of its jobs together, in seconds."""
    states = [hint(state) for state in run.states if state != run.calls]
    seconds = sum(known for state in states if isinstance(known := state.get("seconds"), int | float))
    keys = ("command", "started", "cores", "git")  # not the machine and its folders
    calls = [{key: call.get(key) for key in keys} for call in entries(run.calls)]
    return {"calls": calls, "job_seconds": round(seconds, 1), "collected": now()}
