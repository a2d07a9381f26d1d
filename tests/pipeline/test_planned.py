"""The output of `headprune plan`: the grid as a tree, and hours by what earlier jobs took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headprune.config import load
from headprune.pipeline import estimate, limits, planned, progress
from headprune.pipeline.plan import Plan
from headprune.pipeline.store import write_json
from headprune.pipeline.timings import forecast
from headprune.results.layout import RunFolder
from tests.test_config import VALID


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(load(VALID | {"results": str(tmp_path), "budgets": [16, 4]}))


def took(plan: Plan, seconds: dict[str, float], receipts: bool = True) -> None:
    """Jobs of these names have run."""
    progress.start(plan, 1)
    for job in plan.jobs:
        if job.name in seconds:
            write_json(RunFolder(plan.folder).state(job.name), {"fraction": 1.0, "seconds": seconds[job.name]})
            if receipts:
                write_json(plan.folder / job.receipt, {"status": "ok"})


def formula(plan: Plan, kind: str) -> float:
    return sum(estimate.seconds(plan, job) for job in plan.jobs if job.kind == kind)


def test_without_timings_the_formula_counts(plan: Plan) -> None:
    expected = forecast(plan)
    assert expected.all_jobs == pytest.approx({kind: formula(plan, kind) for kind in expected.counts})
    assert expected.left == expected.all_jobs
    assert "formula" in expected.basis
    assert expected.counts["dense"] == (2, 2)


def test_a_job_that_ran_takes_what_it_took_and_others_of_its_kind_in_proportion(plan: Plan) -> None:
    first, second = [job for job in plan.jobs if job.kind == "dense"]
    slow = 3 * estimate.seconds(plan, first)
    took(plan, {first.name: slow})
    expected = forecast(plan)
    assert expected.all_jobs["dense"] == pytest.approx(slow + 3 * estimate.seconds(plan, second))
    assert expected.left["dense"] == pytest.approx(3 * estimate.seconds(plan, second))
    assert expected.counts["dense"] == (2, 1)
    assert expected.all_jobs["test"] == pytest.approx(3 * formula(plan, "test")), "no test has run: any job counts"
    assert f"1 finished job in {plan.folder}" in expected.basis


def test_another_profile_of_the_folder_tells_the_pace_only(plan: Plan, tmp_path: Path) -> None:
    other = Plan(load(VALID | {"results": str(tmp_path), "budgets": [16, 4], "profile": "other"}))
    job = next(job for job in other.jobs if job.kind == "data")
    took(other, {job.name: 2 * estimate.seconds(other, job)})
    expected = forecast(plan)
    assert expected.all_jobs["data"] == pytest.approx(2 * formula(plan, "data"))
    assert expected.left == expected.all_jobs
    assert str(other.folder) in expected.basis


@pytest.mark.parametrize("content", ["{", "[]", '{"jobs": 3}', '{"jobs": {"a": {}}}', '{"jobs": {"a": null}}'])
def test_damaged_timings_are_none(plan: Plan, content: str) -> None:
    (plan.folder / "progress").mkdir(parents=True)
    (plan.folder / "progress" / "plan.json").write_text(content)
    assert "formula" in forecast(plan).basis


def shown(plan: Plan) -> str:
    console = Console(width=160, record=True, file=Path("/dev/null").open("w", encoding="utf-8"))  # noqa: SIM115
    planned.show(console, plan, 2)
    return console.export_text()


def test_the_grid_is_a_tree(plan: Plan) -> None:
    text = shown(plan)
    assert "tiny: mt on help (corpus lohelp-de-en), N = 16, 30 updates" in text
    assert "random (score): K = 16 4, seeds 1 2: 8 cells" in text
    assert "dsp.joint (gates): K = 16 4, seeds 1 2: 4 cells" in text
    assert f"{len(plan.cells)} cells, {len(plan.jobs)} jobs, about" in text
    assert "done, about" not in text


def test_entries_that_no_seed_is_left_of_are_named(tmp_path: Path) -> None:
    methods = [*VALID["methods"], {"name": "fisher", "seeds": [2, 3]}]
    text = shown(Plan(load(VALID | {"results": str(tmp_path), "seeds": [1], "methods": methods})))
    assert "of other seeds only: fisher\n" in text
    assert "fisher (" not in text


def test_what_is_done_is_told(plan: Plan) -> None:
    took(plan, {plan.jobs[0].name: 5.0})
    assert "1 job done, about" in shown(plan)


def test_what_a_path_holds_is_shown_as_it_is(tmp_path: Path) -> None:
    values: dict[str, Any] = VALID | {"results": str(tmp_path / "[red]x[/blue]")}
    assert "[red]x[/blue]" in shown(Plan(load(values)))


def test_planning_leaves_nothing(plan: Plan) -> None:
    shown(plan)
    limits.check_writable(plan)
    assert not plan.folder.exists()


def test_one_is_one(tmp_path: Path) -> None:
    only = {"seeds": [1], "budgets": [4], "methods": [{"name": "magnitude"}], "results": str(tmp_path)}
    console = Console(width=200, record=True)
    planned.show(console, Plan(load(VALID | only)), cores=1)
    text = console.export_text()
    assert "magnitude (score): K = 4, seed 1: 1 cell" in text
    assert "1 cell, " in text
    assert "on 1 core (by" in text
    assert " 1 cells" not in text
