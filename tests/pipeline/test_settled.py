"""The jobs that run again when a profile changes: what is asked beyond what was done, and nothing else."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from headprune.config import load
from headprune.pipeline.cells import Job
from headprune.pipeline.plan import Plan
from headprune.pipeline.settled import Settled
from headprune.pipeline.store import write_json
from headprune.results.jobs import JOBS
from tests.found import Found, rows

METHODS: list[dict[str, Any]] = [
    {"name": "unpruned"},
    {"name": "magnitude"},
    {"name": "gradient_importance", "arm": "one_shot"},
    {"name": "dsp", "arm": "joint", "mode": "joint"},
    {"name": "dsp", "arm": "late"},
]
TREATMENTS = [{"name": "matched_random", "of": ["magnitude"]}, {"name": "fine_tune", "of": ["dsp.late"], "updates": 3}]
PROFILE: dict[str, Any] = {
    "profile": "unit",
    "seeds": [1, 2],
    "budgets": [4, 8],
    "datasets": {"help": {"corpus": "lohelp-de-en"}},
    "models": {
        "tiny": {
            "dataset": "help",
            "architecture": {"width": 32, "feed_forward": 32, "encoder_layers": 2, "decoder_layers": 3, "heads": 2},
            "training": {"updates": 30},
        }
    },
    "methods": METHODS,
    "treatments": TREATMENTS,
}


@pytest.fixture
def profile(tmp_path: Path) -> dict[str, Any]:
    """A profile whose jobs have all run, as their receipts say."""
    values = {**PROFILE, "results": str(tmp_path)}
    plan = Plan(load(values))
    settled = Settled(plan)
    for job in plan.jobs:
        spec = settled.specification(job)
        write_json(plan.folder / job.receipt, {"status": "ok", "planned": spec.get("planned")})
    return values


def shown(values: dict[str, Any]) -> dict[Job, tuple[str, list[str]]]:
    """The key and the inputs, which Snakemake compares, by shared job."""
    plan = Plan(load(values))
    settled = Settled(plan)
    return {job: (settled.key(job), sorted(settled.needs(job))) for job in plan.jobs if JOBS[job.kind].shared}


def without(name: str) -> dict[str, Any]:
    methods = [m for m in METHODS if ".".join(filter(None, (m["name"], m.get("arm")))) != name]
    return {"methods": methods, "treatments": [t for t in TREATMENTS if t["of"] != [name]]}


def again(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Shared jobs that Snakemake would run for themselves."""
    old = shown(before)
    return {job.name for job, seen in shown(after).items() if old.get(job) != seen}


@rows(
    *(
        Found(f"without {name}", wrong=wrong, right=set(), source="its cells are not asked for", case=without(name))
        for name, wrong in (
            ("magnitude", "score, test and speed of every seed"),
            ("gradient_importance.one_shot", "score, test and speed of every seed"),
            ("dsp.late", "test and speed of every seed"),
            ("dsp.joint", "test and speed of every seed"),
        )
    ),
    Found("fewer budgets", wrong="all", right=set(), source="likewise", case={"budgets": [8]}),
    Found(
        "fewer budgets of an entry",
        wrong="its own jobs",
        right=set(),
        source="likewise",
        case={"methods": [*METHODS[:3], {**METHODS[3], "budgets": [8]}, METHODS[4]]},
    ),
    Found("fewer seeds", wrong=set(), right=set(), source="likewise", case={"seeds": [2]}),
    Found("no treatments", wrong="test, speed", right=set(), source="likewise", case={"treatments": []}),
    Found("other attempts of jobs", wrong=set(), right=set(), source="docs", case={"execution": {"attempts": 5}}),
)
def test_what_is_taken_out_of_a_profile_runs_nothing(found: Found, profile: dict[str, Any]) -> None:
    assert again(profile, profile | found.case) == found.right


def test_another_option_of_one_method_scores_its_batch_again(profile: dict[str, Any]) -> None:
    methods = copy.deepcopy(METHODS)
    methods[2]["options"] = {"iterative": True}
    assert again(profile, profile | {"methods": methods}) == {f"score/tiny/all-score/s{seed}" for seed in (1, 2)}


def test_an_entry_more_is_asked_of_its_batch_alone(profile: dict[str, Any]) -> None:
    more = [*METHODS, {"name": "random"}]
    shared = {f"{kind}/tiny/all-score/s{seed}" for kind in ("score", "test") for seed in (1, 2)}
    assert again(profile, profile | {"methods": more}) == shared | {"speed/tiny/s1", "speed/tiny/s2"}


def test_a_setting_of_all_cells_runs_all_of_them_again(profile: dict[str, Any]) -> None:
    every = {job.name for job in shown(profile)}
    assert again(profile, profile | {"evaluation": {"beam": 2}}) == every
    assert again(profile, profile | {"speed": {"repeats": 2}}) == {"speed/tiny/s1", "speed/tiny/s2"}


def test_a_method_file_that_changes_is_another_method(profile: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "methods"
    folder.mkdir()
    file = folder / "settled_mine.py"
    head = "from headprune.method import ScoreMethod, register\n"
    text = head + "@register('settled_mine')\nclass Mine(ScoreMethod): x = 1\n"
    file.write_text(text, encoding="utf-8")
    values = profile | {"methods": [*METHODS, {"name": "settled_mine"}], "methods_directories": [str(folder)]}
    before = shown(values)
    file.write_text(text + "# another\n", encoding="utf-8")
    changed = {job.name for job, seen in shown(values).items() if seen != before[job]}
    assert changed == {"score/tiny/all-score/s1", "score/tiny/all-score/s2"}


def test_a_receipt_that_is_lost_or_damaged_settles_nothing(profile: dict[str, Any]) -> None:
    plan = Plan(load(profile))
    job = next(job for job in plan.jobs if job.kind == "test")
    for content in ("", "[1]", "{}", '{"planned": 3}', '{"planned": {"asked": {}, "needs": [], "key": "x"}}'):
        (plan.folder / job.receipt).write_text(content, encoding="utf-8")
        settled = Settled(plan)
        assert set(settled.planned(job)["asked"]) == {cell.id for cell in plan.cells_in(job)}
        assert settled.needs(job)


def test_what_was_taken_out_and_put_back_is_done_still(profile: dict[str, Any]) -> None:
    fewer = profile | without("magnitude")
    assert again(profile, fewer) == set()
    assert again(fewer, profile) == set()


def test_an_input_that_is_gone_is_none(profile: dict[str, Any]) -> None:
    plan, fewer = Plan(load(profile)), Plan(load(profile | without("dsp.joint")))
    gone = [job.receipt for job in plan.jobs if job.kind == "gates" and job.label == "dsp.joint" and job.seed == 1]
    job = Job("test", "tiny", label="all-gate", seed=1)
    assert set(gone) <= set(Settled(fewer).needs(job))
    for receipt in gone:
        (plan.folder / receipt).unlink()
    assert not set(gone) & set(Settled(fewer).needs(job))


def test_the_key_of_a_training_is_that_of_its_own_budget(profile: dict[str, Any]) -> None:
    """Other budgets and seeds of its entry are no part of it."""
    narrower = profile | {"methods": [*METHODS[:3], {**METHODS[3], "budgets": [8], "seeds": [2]}, METHODS[4]]}
    before, after = (Plan(load(values)) for values in (profile, narrower))
    own = [job for job in after.jobs if job.kind == "gates" and job.label == "dsp.joint"]
    assert len(own) == 1
    assert [Settled(before).key(job) for job in own] == [Settled(after).key(job) for job in own]
