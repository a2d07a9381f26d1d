"""The trials that a plan has, what waits for them, and what a changed tuning leaves as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from configurations import VALID

from headprune.config import load
from headprune.method import load_methods
from headprune.method.tuning import trials
from headprune.pipeline import estimate, limits
from headprune.pipeline.cells import Job
from headprune.pipeline.identity import GRID
from headprune.pipeline.plan import Plan
from headprune.pipeline.settled import Settled
from headprune.pipeline.specification import specification
from headprune.results.jobs import JOBS

METHODS = load_methods()
ENTRIES: list[dict[str, Any]] = [
    {"name": "unpruned"},
    {"name": "random", "draws": 2},
    {"name": "magnitude"},
    {"name": "gradient_importance"},
    {"name": "gradient_importance", "arm": "paper", "tuned": False},
    {"name": "entropy", "options": {"alpha": 0.5}},
    {"name": "dsp", "updates": 10},
    {"name": "ste", "arm": "joint", "mode": "joint"},
    {"name": "l0", "mode": "continued"},
    {"name": "l0", "arm": "at_k", "mode": "continued", "options": {"at_k": True}},
]
TUNED = ["magnitude", "gradient_importance", "dsp", "ste.joint", "l0", "l0.at_k"]


def plan(trials: int = 3, methods: list[dict[str, Any]] = ENTRIES, **changes: Any) -> Plan:
    tuning = {"trials": trials, "seeds": [102, 101], "budgets": [5, 9]}
    return Plan(load(copy.deepcopy(VALID) | {"methods": methods, "tuning": tuning, "results": "nowhere"} | changes))


def tune_jobs(of: Plan) -> list[Job]:
    return [job for job in of.jobs if job.kind in ("tune_score", "tune_gates")]


def test_every_entry_has_as_many_trials_on_every_seed() -> None:
    found = plan()
    expected = {(label, trial, seed) for label in TUNED for trial in range(3) for seed in (101, 102)}
    assert {(job.label, job.trial, job.seed) for job in tune_jobs(found)} == expected
    assert len(tune_jobs(found)) == len(expected)
    assert [job.label for job in found.jobs if job.kind == "choose"] == TUNED
    assert {job.kind for job in tune_jobs(found) if job.label in ("magnitude", "gradient_importance")} == {"tune_score"}


def test_what_is_not_tuned_has_no_job_and_waits_for_none() -> None:
    """No space, all of it given, or the paper's arm."""
    found = plan()
    for label in ("unpruned", "random", "gradient_importance.paper", "entropy"):
        assert found.grid.trials(label) == []
        assert found.grid.method(label).tuned is None
    (job,) = (job for job in plan(methods=[ENTRIES[1], ENTRIES[4]]).jobs if job.kind == "score" and job.seed == 1)
    assert {need.kind for need in found.needs(job)} >= {"dense"}
    assert not tune_jobs(plan(methods=[ENTRIES[1], ENTRIES[4]]))
    assert not tune_jobs(plan(trials=1))


def test_trials_are_those_of_the_method_with_what_is_given_fixed() -> None:
    found = plan(trials=5)
    first_seed = 102
    assert found.grid.trials("dsp") == trials(METHODS["dsp"].method, 5, first_seed)
    assert found.grid.trials("l0.at_k") == trials(METHODS["l0"].method, 5, first_seed, ["at_k"])
    fixed = plan(methods=[{"name": "dsp", "options": {"start": 3.0}}]).grid.trials("dsp")
    assert fixed[0] == {}
    assert all("start" not in options for options in fixed)


def test_cells_wait_for_the_choice_and_the_choice_for_all_trials() -> None:
    found = plan()
    (gates,) = (job for job in found.jobs if (job.kind, job.label, job.budget, job.seed) == ("gates", "dsp", 4, 1))
    assert [need.name for need in found.needs(gates)] == ["dense/tiny/s1", "choose/tiny/dsp"]
    (score,) = (job for job in found.jobs if job.kind == "score" and job.seed == 1)
    chosen = [need.label for need in found.needs(score) if need.kind == "choose"]
    assert chosen == ["magnitude", "gradient_importance"]
    (choose,) = (job for job in found.jobs if (job.kind, job.label) == ("choose", "dsp"))
    assert {(need.trial, need.seed) for need in found.needs(choose)} == {(t, s) for t in range(3) for s in (101, 102)}


def test_trials_start_from_unpruned_models_of_their_own_seeds() -> None:
    found = plan()
    for job in tune_jobs(found):
        start = "data" if job.label == "ste.joint" else "dense"
        needs = [need for need in found.needs(job) if need.trial is None]
        assert [(need.kind, need.seed) for need in needs] == [(start, None if start == "data" else job.seed)]
    assert {job.seed for job in found.jobs if job.kind == "dense"} == {1, 2, 101, 102}
    assert found.grid.dense_seeds("tiny") == [1, 2]
    joint = plan(methods=[{"name": "unpruned"}, ENTRIES[7]])
    assert {job.seed for job in joint.jobs if job.kind == "dense"} == {1, 2}


def test_searches_that_share_trainings_wait_for_each_other() -> None:
    """`l0` and `l0` cut at K try the same values, and at_k changes no training."""
    found = plan()
    for job in (job for job in tune_jobs(found) if job.label == "l0.at_k"):
        assert Job("tune_gates", "tiny", label="l0", trial=job.trial, seed=job.seed) in found.needs(job)
    apart = plan(methods=[ENTRIES[8], ENTRIES[9] | {"updates": 7}])
    assert not [need for job in tune_jobs(apart) for need in apart.needs(job) if need.trial is not None]


def test_a_trial_more_leaves_the_others_as_they_were() -> None:
    four, five = plan(trials=4), plan(trials=5)
    new = set(tune_jobs(five)) - set(tune_jobs(four))
    assert {job.trial for job in new} == {4}
    assert {job.label for job in new} == set(TUNED) - {"magnitude"}  # which has four values in all
    for job in tune_jobs(four):
        assert Settled(five).key(job) == Settled(four).key(job)
        assert Settled(five).needs(job) == Settled(four).needs(job)
    for job in (job for job in four.jobs if job.kind not in ("choose", "tune_score", "tune_gates")):
        assert Settled(five).key(job) == Settled(four).key(job)


def test_without_tuning_all_is_as_if_there_were_none() -> None:
    """Entries that are not tuned look to their jobs as in a profile without."""
    plain = [{key: value for key, value in entry.items() if key != "tuned"} for entry in ENTRIES]
    without = plan(methods=plain, tuning=None)
    untuned = plan(methods=[entry | {"tuned": False} for entry in ENTRIES])
    assert without.jobs == untuned.jobs
    for job in without.jobs:
        assert specification(without, job) == specification(untuned, job)
        assert Settled(without).key(job) == Settled(untuned).key(job)


def test_jobs_of_cells_run_again_when_their_entry_is_tuned_or_no_longer() -> None:
    with_tuning, without = plan(), plan(methods=[entry | {"tuned": False} for entry in ENTRIES])
    for job in (job for job in without.jobs if job.kind in ("gates", "search", "score")):
        assert Settled(with_tuning).key(job) != Settled(without).key(job)


def test_a_part_tunes_its_own_entries_as_the_whole_does() -> None:
    parts = [{"name": "gates", "entries": ["dsp", "ste.*", "l0*"]}, {"name": "scores", "entries": ["*"]}]
    whole, part = plan(parts=parts), plan(parts=parts, part="scores")
    assert part.grid.tuned_for("tiny") == ["magnitude", "gradient_importance"]
    for job in (job for job in part.jobs if JOBS[job.kind].tunes):
        assert specification(part, job) == specification(whole, job)


def test_treated_masks_are_those_of_the_tuned_entry() -> None:
    treatments = [{"name": "fine_tune", "of": ["dsp", "gradient_importance.paper"]}]
    found = plan(treatments=treatments)
    assert "dsp+ft" not in found.grid.tuned_for("tiny")
    assert found.grid.method("dsp+ft") == found.grid.method("dsp")
    untuned = [entry | {"tuned": False} for entry in ENTRIES]
    without = plan(methods=untuned, treatments=treatments)
    jobs = [job for job in found.jobs if job.label == "gradient_importance.paper+ft"]
    assert jobs
    assert all(specification(found, job) == specification(without, job) for job in jobs)


def test_a_trial_is_not_told_where_its_entry_is_reported() -> None:
    """So that another reported budget tries nothing again."""
    one, other = plan(), plan(methods=[entry | {"budgets": [4]} for entry in ENTRIES[2:]])
    for job in tune_jobs(one):
        told = specification(one, job)
        assert told == specification(other, job)
        assert not GRID & set(told["methods"][0])


@pytest.mark.parametrize("label", ["dsp", "l0"])
def test_trials_count_in_estimates_and_limits(label: str) -> None:
    found = plan()
    jobs = [job for job in tune_jobs(found) if job.label == label]
    each = estimate.updates(found, jobs[0])
    assert each == {"dsp": 2 * 10, "l0": 30 * (4 + 2 * 2)}[label]  # a training a budget; a sweep and two more for each
    assert all(estimate.seconds(found, job) > 0 for job in found.jobs)
    limits.check_names(found)
    with pytest.raises(ValueError, match="tuning of 'dsp', model 'tiny', brings the grid to"):
        plan(trials=1000, tuning={"trials": 1000, "seeds": list(range(100, 200)), "budgets": [5]})
