"""An earlier plan may have had more: Snakemake leaves that alone, as files that are no outputs."""

from __future__ import annotations

from pathlib import Path

from smoke_run import ROOT, SMOKE, dry_run

from headprune.config import load
from headprune.pipeline.plan import Plan
from headprune.pipeline.settled import Settled
from headprune.pipeline.store import write_json


def test_a_budget_that_is_taken_out_runs_no_job(tmp_path: Path) -> None:
    """The shared job of tests waited for it when it ran; its receipt is there still."""
    plan = Plan(load(SMOKE | {"results": str(tmp_path / "results")}))
    settled = Settled(plan)
    gates = next(job for job in plan.jobs if job.kind == "gates")
    tests = next(job for job in plan.jobs if job.kind == "test" and gates.receipt in settled.needs(job))
    assert all(job.budget != 5 for job in plan.jobs)
    gone = gates.receipt.replace(f"/k{gates.budget}/", "/k5/")
    write_json(plan.folder / gone, {"status": "ok", "reason": "", "cells": {}})
    planned = {"asked": settled.asked(tests), "needs": [*settled.needs(tests), gone], "key": "before"}
    write_json(plan.folder / tests.receipt, {"status": "ok", "reason": "", "cells": {}, "planned": planned})
    assert gone in Settled(plan).needs(tests)

    printed = dry_run(tmp_path, ROOT / "workflows/config/smoke.yaml", "--config", f"results={tmp_path / 'results'}")
    outputs = [line.strip() for line in printed.splitlines() if line.strip().startswith("output: ")]
    assert any(gates.receipt in line for line in outputs)
    assert not any(gone in line for line in outputs)
