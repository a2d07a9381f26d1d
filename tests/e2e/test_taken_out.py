"""An earlier plan may have had more: Snakemake leaves that alone, as files that are no outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from headprune.config import load
from headprune.pipeline.plan import Plan
from headprune.pipeline.settled import Settled
from headprune.pipeline.store import write_json

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "workflows/config/smoke.yaml"


def test_a_budget_that_is_taken_out_runs_no_job(tmp_path: Path) -> None:
    """The shared job of tests waited for it when it ran; its receipt is there still."""
    plan = Plan(load(yaml.safe_load(SMOKE.read_text(encoding="utf-8")) | {"results": str(tmp_path / "results")}))
    settled = Settled(plan)
    gates = next(job for job in plan.jobs if job.kind == "gates")
    tests = next(job for job in plan.jobs if job.kind == "test" and gates.receipt in settled.needs(job))
    assert all(job.budget != 5 for job in plan.jobs)
    gone = gates.receipt.replace(f"/k{gates.budget}/", "/k5/")
    write_json(plan.folder / gone, {"status": "ok", "reason": "", "cells": {}})
    planned = {"asked": settled.asked(tests), "needs": [*settled.needs(tests), gone], "key": "before"}
    write_json(plan.folder / tests.receipt, {"status": "ok", "reason": "", "cells": {}, "planned": planned})
    assert gone in Settled(plan).needs(tests)

    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-n",
        "tables",
        "--cores",
        "2",
        "--snakefile",
        str(ROOT / "Snakefile"),
    ]
    command += ["--directory", str(tmp_path), "--workflow-profile", str(ROOT / "profiles/default")]
    command += ["--configfile", str(SMOKE), "--config", f"results={tmp_path / 'results'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outputs = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith("output: ")]
    assert any(gates.receipt in line for line in outputs)
    assert not any(gone in line for line in outputs)
