"""The jobs of `scale.py overhead` leave whole records of all their cells, though nothing is computed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import made_up
import pytest
import scale

from headprune.pipeline import jobs
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import find, require_whole
from headprune.pipeline.specification import specification
from headprune.pipeline.store import write_json
from headprune.results.jobs import JOBS


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    plan = scale.grid_of_draws(tmp_path / "results", cells=48)
    told = {"corpus": {"source": "de", "target": "en"}, "recipe": {}, "sha256": {"train+valid": "0", "test": "1"}}
    for dataset in plan.config.datasets:
        write_json(plan.run.statistics(dataset), told)
    return plan


def test_the_jobs_of_a_seed_leave_whole_records(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    for replaced in made_up.REPLACED:
        monkeypatch.setattr(*replaced)
    for kind in ("dense", "score", "test", "speed"):
        (job,) = (job for job in plan.jobs if job.kind == kind and job.seed == 1)
        jobs.run(kind, specification(plan, job), plan.folder / job.receipt)
        step, cells = JOBS[kind].step, plan.cells_in(job)
        assert cells
        records = [plan.run.cell(cell.id).record(step) for cell in cells]
        for path in [plan.run.dense(job.model, 1)] if kind == "dense" else records:
            assert find(path, step)["status"] == "ok", find(path, step)["reason"]
            require_whole(path, find(path, step))


def test_the_shim_does_a_job_in_a_process_of_its_own(plan: Plan, tmp_path: Path) -> None:
    job = next(job for job in plan.jobs if job.kind == "dense")
    command = [
        scale.shim(tmp_path) / "headprune",
        "job",
        "dense",
        "--spec",
        "-",
        "--receipt",
        plan.folder / job.receipt,
    ]
    subprocess.run(command, input=json.dumps(specification(plan, job)), text=True, check=True)
    assert plan.run.dense(job.model, job.seed or 0).with_suffix(".pt").read_bytes() == b"no model"
