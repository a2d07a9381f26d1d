"""A profile of a model that stock fairseq trained, and the run of all of its jobs in this process."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from headprune.config import load
from headprune.pipeline.collect import collect
from headprune.pipeline.jobs import attempt
from headprune.pipeline.plan import Plan
from headprune.pipeline.progress import Reporter
from headprune.pipeline.specification import specification
from headprune.results.jobs import JOBS
from tests.checkpoints.conftest import StockModel

FURTHER = {"updates": 4, "max_tokens": 400, "learning_rate": 0.005, "warmup": 1, "schedule": "linear"}
ENTRIES: dict[str, Any] = {
    "seeds": [1],
    "budgets": [6],
    "methods": [
        {"name": "unpruned"},
        {"name": "magnitude"},
        {"name": "dsp", "arm": "pipelined", "updates": 4, "options": {"cooldown": 0.5}},
    ],
    "treatments": [{"name": "fine_tune", "of": ["magnitude"], "updates": 3}],
    "ablations": [{"kind": "drop_one"}],
    "evaluation": {"beam": 2, "max_len_a": 0.0, "max_len_b": 12, "checked_sentences": 4},
    "calibration": {"sentences": 20},
    "speed": {"sentences": 1, "batch_size": 4, "repeats": 1, "most_repeats": 1},
}


def profile_of(made: StockModel, results: Path, **changes: Any) -> dict[str, Any]:
    """A profile of a model and its data.

    :param changes: of the profile's keys
    """
    model = {"dataset": "letters", "checkpoint": str(made.checkpoint), "further_training": FURTHER}
    sections = {"datasets": {"letters": {"data_bin": str(made.data)}}, "models": {"stock": model}}
    return {"profile": "own", "results": str(results), **sections, **copy.deepcopy(ENTRIES), **changes}


def run(profile: dict[str, Any], without: tuple[str, ...] = ()) -> Plan:
    """Compute all jobs of a profile, one after the other, and gather the tables.

    :param without: kinds of jobs that are left out
    :returns: its plan
    """
    plan = Plan(load(profile))
    for job in plan.jobs:
        if job.kind not in without:
            attempt(JOBS[job.kind], specification(plan, job), Reporter(plan.folder, job.name))
    collect(plan)
    return plan
