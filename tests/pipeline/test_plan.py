"""Cells and jobs of configurations that use everything, by hand and as properties of all of them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from headprune.analysis.topics import Contents
from headprune.config import ConfigError, load
from headprune.pipeline import accelerators, estimate
from headprune.pipeline.cells import Job
from headprune.pipeline.contents import contents
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import specification
from headprune.results.jobs import JOBS
from headprune.tasks import TASKS

MODEL = {
    "dataset": "help",
    "architecture": {"width": 32, "feed_forward": 32, "encoder_layers": 2, "decoder_layers": 3, "heads": 2},  # N = 16
    "training": {"updates": 30},
}
CONFIG: dict[str, Any] = {
    "profile": "unit",
    "results": "nowhere",
    "seeds": [2, 1],
    "budgets": [4, 16],
    "datasets": {"help": {"corpus": "lohelp-de-en"}, "spare": {"corpus": "lohelp-de-en"}},
    "models": {"tiny": MODEL, "other": MODEL},
    "methods": [
        {"name": "unpruned"},
        {"name": "magnitude"},
        {"name": "random", "draws": 2, "budgets": [4]},
        {"name": "dsp", "arm": "joint", "mode": "joint"},
        {"name": "dsp", "arm": "late", "budgets": [8], "seeds": [2]},
        {"name": "l0", "mode": "continued", "seeds": [1, 2]},
        {"name": "l0", "arm": "once", "mode": "continued", "seeds": [1]},
        {"name": "l0", "arm": "at_k", "mode": "continued", "options": {"at_k": True}},
        {"name": "l0", "arm": "longer", "mode": "continued", "updates": 60},
        {"name": "drophead", "mode": "joint", "seeds": [1, 3]},
    ],
    "treatments": [
        {"name": "fine_tune", "of": ["magnitude", "dsp.joint", "dsp.late"], "budgets": [8, 4], "seeds": [2, 3]},
        {"name": "fine_tune", "arm": "distil", "of": ["drophead"], "distillation": 0.5},
        {"name": "matched_random", "of": ["random", "l0.at_k"], "draws": 2},
        {"name": "from_scratch", "of": ["magnitude", "drophead"], "budgets": [16]},
        {"name": "bias_compensation", "of": ["magnitude"]},
    ],
    "ablations": [{"kind": "drop_one"}, {"kind": "keep_one", "seeds": [1, 5]}],
}


def plan(**changes: Any) -> Plan:
    return Plan(load(copy.deepcopy(CONFIG) | changes))


@pytest.fixture(params=["seed", "method"], ids=lambda batch: f"batch by {batch}")
def whole(request: pytest.FixtureRequest) -> Plan:
    return plan(batch=request.param)


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name} | more


def test_labels_and_kinds() -> None:
    whole = plan()
    kinds = {label: whole.grid.kind(label) for label in whole.grid.labels}
    assert kinds == {
        "unpruned": "score",
        "magnitude": "score",
        "random": "score",
        "dsp.joint": "gates",
        "dsp.late": "gates",
        "l0": "search",
        "l0.once": "search",
        "l0.at_k": "search",
        "l0.longer": "search",
        "drophead": "search",
        "magnitude+ft": "retrain",
        "dsp.joint+ft": "retrain",
        "dsp.late+ft": "retrain",
        "drophead+distil": "retrain",
        "random+twin": "treat",
        "l0.at_k+twin": "treat",
        "magnitude+scratch": "retrain",
        "drophead+scratch": "retrain",
        "magnitude+bc": "treat",
    }
    assert list(kinds) == whole.grid.labels


def ids(whole: Plan, label: str, seed: int) -> list[str]:
    return [cell.id for cell in whole.grid.cells_of("tiny", label, seed)]


def test_cells_by_hand() -> None:
    """Budgets largest first; a treated entry has those budgets and seeds that its method has, too, and none has a seed
    that is not the profile's."""
    whole = plan()
    assert ids(whole, "unpruned", 1) == ["tiny/unpruned/k16-s1"]
    assert ids(whole, "magnitude", 2) == ["tiny/magnitude/k16-s2", "tiny/magnitude/k4-s2"]
    assert ids(whole, "random", 1) == ["tiny/random.draw1/k4-s1", "tiny/random.draw2/k4-s1"]
    assert ids(whole, "dsp.late", 2) == ["tiny/dsp.late/k8-s2"]
    assert ids(whole, "dsp.late", 1) == []
    assert ids(whole, "drophead", 1) == ["tiny/drophead/k16-s1", "tiny/drophead/k4-s1"]
    assert ids(whole, "magnitude+ft", 2) == ["tiny/magnitude+ft/k4-s2"]
    assert ids(whole, "magnitude+ft", 1) == ids(whole, "magnitude+ft", 3) == ids(whole, "drophead", 3) == []
    assert ids(whole, "dsp.late+ft", 2) == ["tiny/dsp.late+ft/k8-s2"]
    assert ids(whole, "random+twin", 1) == [
        f"tiny/random.draw{draw}+twin-draw{again}/k4-s1" for draw in (1, 2) for again in (1, 2)
    ]
    assert ids(whole, "magnitude+scratch", 1) == ["tiny/magnitude+scratch/k16-s1"]
    assert (whole.grid.budgets("dsp.joint+ft", "tiny"), whole.grid.seeds("dsp.joint+ft", "tiny")) == ([4], [2])
    assert (whole.grid.budgets("drophead+distil", "tiny"), whole.grid.seeds("drophead+distil", "tiny")) == (
        [16, 4],
        [1],
    )


def test_a_model_may_have_some_of_the_seeds_only() -> None:
    """And its own budgets; neither is anything that a training depends on."""
    both = plan(models={"tiny": MODEL, "other": MODEL | {"seeds": [1], "budgets": [8]}})
    assert [cell.id for cell in both.grid.cells_of("other", "magnitude", 1)] == ["other/magnitude/k8-s1"]
    assert {cell.seed for cell in both.cells if cell.model == "other"} == {1}
    assert {job.seed for job in both.jobs if job.model == "other"} == {1}
    assert [cell for cell in both.cells if cell.model == "tiny"] == [c for c in plan().cells if c.model == "tiny"]
    settings = [specification(whole, Job("dense", "other", seed=1))["settings"] for whole in (plan(), both)]
    assert settings[0] == settings[1]


def test_untreated_is_the_cell_whose_mask_is_taken() -> None:
    whole = plan()
    everything = {cell.id for cell in whole.cells}
    for label in whole.grid.labels:
        base = whole.grid.method(label).label
        for seed in whole.grid.seeds(label, "tiny"):
            bases = whole.grid.cells_of("tiny", base, seed)
            for cell in whole.grid.cells_of("tiny", label, seed):
                assert cell.untreated in bases
                assert cell.untreated.id in everything
                assert (cell.untreated == cell) == (whole.grid.treatment(label) is None)


def test_ids_are_unique_and_fit_for_files(whole: Plan) -> None:
    names = [cell.id for cell in whole.cells]
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+/[A-Za-z0-9_.+-]+/k\d+-s\d+", name) for name in names)
    receipts = [job.receipt for job in whole.jobs]
    assert len({name.lower() for name in receipts}) == len(receipts) == len(set(whole.jobs))
    assert all(re.fullmatch(r"jobs(/[A-Za-z0-9_.+-]+)+\.json", receipt) for receipt in receipts)
    columns = {(c.model, c.method, c.full_arm, c.budget, c.seed) for c in whole.cells}  # what the tables tell apart
    assert len(columns) == len(names)


def test_every_cell_is_pruned_once_and_tested_once(whole: Plan) -> None:
    pruning = tuple(kind.name for kind in JOBS.values() if kind.finds_masks)
    for kinds in (pruning, ("test",), ("speed",)):
        found = [cell.id for job in whole.jobs if job.kind in kinds for cell in whole.cells_in(job)]
        assert sorted(found) == sorted(cell.id for cell in whole.cells)


def timed(whole: Plan) -> dict[tuple[str, int | None], set[str]]:
    """The entries whose speed is measured, by model and seed."""
    jobs = [job for job in whole.jobs if job.kind == "speed"]
    return {(job.model, job.seed): set(whole.labels_in(job)) for job in jobs}


def test_speed_of_some_seeds_and_entries() -> None:
    some = plan(speed={"seeds": [2, 9], "entries": ["magnitude", "dsp.joint", "dsp.l*e"]})
    asked = {"unpruned", "magnitude", "dsp.joint", "dsp.late"}
    assert timed(some) == {(model, 2): asked for model in ("tiny", "other")}
    job = next(job for job in some.jobs if job.kind == "speed")
    assert {need.label for need in some.needs(job)} == {"all-score", "all-gate"}  # nothing treated is waited for
    assert specification(some, job)["speed"] == specification(plan(), job)["speed"]  # so that what is measured stays


def test_no_speed_at_all_and_none_of_the_unpruned_model_alone() -> None:
    assert timed(plan(speed={"entries": []})) == timed(plan(speed={"entries": ["unpruned"]})) == {}
    assert len(timed(plan())) == 2 * 2


def test_a_part_keeps_what_it_has_of_the_measured_entries() -> None:
    parts = [{"name": "scores", "entries": ["magnitude", "random"]}, {"name": "rest", "entries": ["*"]}]
    part = plan(speed={"entries": ["magnitude", "l0*"]}, parts=parts, part="scores")
    assert part.config.speed.entries == ["magnitude"]
    assert set().union(*timed(part).values()) == {"unpruned", "magnitude"}
    again = load(part.config.model_dump(exclude_defaults=True))
    assert again == part.config


def test_speed_of_an_unknown_entry_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"speed\.entries: 'magnitde' fits no entry; .*magnitude"):
        plan(speed={"entries": ["magnitde"]})


def test_jobs_come_after_what_they_need(whole: Plan) -> None:
    done: set[Job] = set()
    for job in whole.jobs:
        if JOBS[job.kind].finds_masks or job.kind == "ablate":
            assert set(whole.needs(job)) <= done, job
        if job.kind == "test":
            assert set(whole.pruning_jobs(job.model, job.label, job.seed or 0)) <= done, job
        done.add(job)


def names(jobs: list[Job]) -> list[str]:
    return [job.name for job in jobs]


def test_needs_by_hand() -> None:
    whole = plan()

    def needs(kind: str, label: str, seed: int, budget: int | None = None) -> list[str]:
        job = Job(kind, "tiny", label=label, budget=budget, seed=seed)
        assert job in whole.jobs
        return names(whole.needs(job))

    assert needs("score", "all-score", 1) == ["dense/tiny/s1"]
    assert needs("gates", "dsp.joint", 1, 4) == ["data/help"]
    assert needs("gates", "dsp.late", 2, 8) == ["dense/tiny/s2"]
    assert needs("search", "l0", 1) == ["dense/tiny/s1"]
    assert needs("search", "drophead", 1) == ["data/help"]
    assert needs("retrain", "magnitude+ft", 2, 4) == ["data/help", "score/tiny/all-score/s2"]
    assert needs("retrain", "dsp.joint+ft", 2, 4) == ["data/help", "gates/tiny/dsp.joint/k4/s2"]
    assert needs("retrain", "drophead+distil", 1, 16) == ["dense/tiny/s1", "search/tiny/drophead/s1"]
    assert needs("retrain", "drophead+scratch", 1, 16) == ["data/help", "search/tiny/drophead/s1"]
    assert needs("treat", "l0.at_k+twin", 1) == ["dense/tiny/s1", "search/tiny/l0.at_k/s1"]
    assert needs("treat", "magnitude+bc", 1) == ["dense/tiny/s1", "score/tiny/all-score/s1"]
    assert needs("ablate", "keep_one", 1) == ["dense/tiny/s1"]


def test_treating_all_budgets_waits_for_all_trainings() -> None:
    treatment = [entry("matched_random", of=["dsp.joint"])]
    needed = names(plan(treatments=treatment).needs(Job("treat", "tiny", label="dsp.joint+twin", seed=1)))
    assert needed == ["dense/tiny/s1", "gates/tiny/dsp.joint/k16/s1", "gates/tiny/dsp.joint/k4/s1"]


def test_searches_wait_for_the_last_of_their_seed_that_trains_the_same() -> None:
    """Never two of them at once: the second would repeat what the first has under way."""
    whole = plan()
    assert [whole.shares_with("tiny", label, 1) for label in ("l0", "l0.once", "l0.at_k")] == [None, "l0", "l0.once"]
    assert whole.shares_with("tiny", "l0.at_k", 2) == "l0"  # seed 2 has no `once`
    assert whole.shares_with("tiny", "l0.longer", 1) is whole.shares_with("tiny", "drophead", 1) is None
    assert whole.shares_with("tiny", "magnitude", 1) is whole.shares_with("tiny", "l0.at_k+twin", 1) is None
    waits = {seed: names(whole.needs(Job("search", "tiny", label="l0.at_k", seed=seed))) for seed in (1, 2)}
    assert waits == {
        1: ["dense/tiny/s1", "search/tiny/l0.once/s1"],
        2: ["dense/tiny/s2", "search/tiny/l0/s2"],
    }


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "joint"},
        {"updates": 60},
        {"learning_rate": 0.5},
        {"types": ["cross"], "budgets": [16]},
        {"min_per_module": 1, "budgets": [16]},
        {"options": {"warmup": 0.5}},
        {"schedule": "constant"},
        {"update_freq": 4},
    ],
)
def test_what_trains_otherwise_is_not_shared(change: dict[str, Any]) -> None:
    methods = [entry("l0", mode="continued"), entry("l0", arm="other", mode="continued") | change]
    assert plan(methods=methods, treatments=[]).shares_with("tiny", "l0.other", 1) is None


def test_an_option_spelt_out_at_its_default_is_shared() -> None:
    methods = [entry("l0", mode="continued"), entry("l0", arm="other", mode="continued", options={"warmup": 0.0})]
    assert plan(methods=methods, treatments=[]).shares_with("tiny", "l0.other", 1) == "l0"


@pytest.mark.parametrize(
    ("methods", "treatments", "expected"),
    [
        ([entry("magnitude")], [], [1, 2]),
        ([entry("dsp", mode="joint")], [], []),
        ([entry("dsp", mode="joint")], [entry("fine_tune")], []),
        ([entry("dsp", mode="joint")], [entry("from_scratch")], []),
        ([entry("dsp", mode="joint")], [entry("fine_tune", distillation=0.5, seeds=[2])], [2]),
        ([entry("dsp", mode="joint")], [entry("matched_random", seeds=[1])], [1]),
        ([entry("dsp", mode="continued", seeds=[2])], [], [2]),
        ([entry("dsp", seeds=[1]), entry("magnitude", seeds=[2, 4])], [], [1, 2]),
    ],
)
def test_unpruned_models_are_trained_where_something_starts_from_them(
    methods: list[Any], treatments: list[Any], expected: list[int]
) -> None:
    whole = plan(methods=methods, treatments=treatments, ablations=[])
    assert whole.grid.dense_seeds("tiny") == expected
    assert [job.seed for job in whole.jobs if job.kind == "dense" and job.model == "tiny"] == expected
    studied = plan(methods=methods, treatments=treatments, ablations=[{"kind": "keep_one", "seeds": [1, 5]}])
    assert studied.grid.dense_seeds("tiny") == sorted({*expected, 1})


def specifications(whole: Plan) -> Iterator[tuple[Job, dict[str, Any]]]:
    return ((job, specification(whole, job)) for job in whole.jobs)


def test_specifications_are_plain_data(whole: Plan) -> None:
    """The text of a specification reads back as it was, and names the job's own cells and settings."""
    for job, spec in specifications(whole):
        assert json.loads(json.dumps(spec))["kind"] == job.kind
        if JOBS[job.kind].finds_masks:
            assert spec["cells"] == [vars(cell) for cell in whole.cells_in(job)]
            assert spec["cells"]
            assert {(cell["method"], cell["arm"]) for cell in spec["cells"]} == {
                (method["name"], method.get("arm", "")) for method in spec["methods"]
            }
        assert ("treatment" in spec) == (job.kind in ("treat", "retrain"))


def test_an_entry_more_changes_no_other_job() -> None:
    """Else Snakemake would run again what is done."""
    before = {job: spec for job, spec in specifications(plan(batch="method")) if job.kind != "speed"}
    methods = [*CONFIG["methods"], entry("dsp", arm="new", mode="continued", learning_rate=0.1)]
    treatments = [*CONFIG["treatments"], entry("matched_random", arm="again", of=["dsp.new"])]
    after = dict(specifications(plan(batch="method", methods=methods, treatments=treatments)))
    assert {job: after[job] for job in before} == before


def test_estimates_count_the_trainings() -> None:
    whole = plan()

    def updates(kind: str, label: str, seed: int, budget: int | None = None) -> int:
        return estimate.updates(whole, Job(kind, "tiny", label=label, budget=budget, seed=seed))

    assert updates("gates", "dsp.joint", 1, 4) == 30
    assert updates("search", "l0.longer", 1) == 60 * (4 + 2 * 2)
    assert updates("search", "l0.at_k", 1) == 0
    assert updates("search", "drophead", 1) == 30
    assert updates("retrain", "magnitude+scratch", 1, 16) == 30
    assert all(estimate.seconds(whole, job) > 0 for job in whole.jobs)


def test_hours_on_gpus_are_counted_where_models_train_in_half_precision() -> None:
    """One training of 30 updates of 64 tokens, by hand."""
    assert accelerators.sentence(plan()) == ""
    lone = {"methods": [entry("unpruned")], "treatments": [], "ablations": [], "seeds": [1]}
    config = {**CONFIG, **lone}
    model = copy.deepcopy(config["models"]["tiny"])
    model["training"] |= {"precision": "bf16", "max_tokens": 64, "update_freq": 2}
    found = Plan(load({**config, "models": {"tiny": model}}))
    tokens, parameters = TASKS["mt"].update(found.config.models["tiny"], found.config.datasets["help"])
    assert tokens == 64
    peak, batches = 6 * 30 * 2 * 64 * parameters / 3600, 30 * 2  # so that a GPU of this peak takes an hour
    assert accelerators.hours(found, peak, 1.0, 0.0) == pytest.approx(1)
    assert accelerators.hours(found, peak, 0.05, 0.0) == pytest.approx(20)
    assert accelerators.hours(found, peak, 1.0, 600.0) == pytest.approx(batches * 600 / 3600)
    assert "A100 0.0 to 0.0, " in accelerators.sentence(found)


@pytest.mark.parametrize(
    ("cap", "trainings"),
    [(60, 1), (179, 2), (240, 4), (300, 4 + 2), (6000, 4 + 2 * 2)],  # of the sweep, and further ones of two budgets
)
def test_estimates_keep_to_the_cap_of_a_search(cap: int, trainings: int) -> None:
    capped = plan(methods=[entry("l0", mode="continued", updates=60, updates_cap=cap)], treatments=[], budgets=[8, 4])
    assert estimate.updates(capped, Job("search", "tiny", label="l0", seed=1)) == 60 * trainings


LANGUAGE: dict[str, Any] = {
    "track": "lm",
    "dataset": "text",
    "budgets": [6, 2],
    "architecture": {"width": 16, "layers": 2, "heads": 4, "persistent": 4, "segment": 8, "memory": 8},
    "training": {"updates": 10},
}


def test_entries_and_budgets_may_belong_to_one_model() -> None:
    both = plan(
        datasets=CONFIG["datasets"] | {"text": {"track": "lm", "corpus": "austen"}},
        models={"tiny": MODEL, "text": LANGUAGE},
        methods=[entry("unpruned"), entry("magnitude"), entry("dsp", mode="joint", models=["tiny"], budgets=[16])],
        treatments=[entry("matched_random", of=["magnitude"], models=["text"])],
        ablations=[{"kind": "drop_one", "models": ["tiny"], "seeds": [1]}],
        seeds=[1],
    )
    found = {(cell.model, cell.method, cell.treatment): set() for cell in both.cells}
    for cell in both.cells:
        found[cell.model, cell.method, cell.treatment].add(cell.budget)
    assert found == {
        ("tiny", "unpruned", ""): {16},
        ("tiny", "magnitude", ""): set(CONFIG["budgets"]),
        ("tiny", "dsp", ""): {16},
        ("text", "unpruned", ""): {8},
        ("text", "magnitude", ""): {6, 2},
        ("text", "magnitude", "twin"): {6, 2},
    }
    assert {job.model for job in both.jobs if job.kind in ("gates", "ablate")} == {"tiny"}
    assert {job.model for job in both.jobs if job.kind == "treat"} == {"text"}
    assert both.batches("tiny", 1) == {"all-score": ["unpruned", "magnitude"], "all-gate": ["dsp"]}


def test_contents_of_a_plan_are_those_of_its_cells() -> None:
    """Against the cells one by one, as the tables hold them."""
    plan = Plan(load(CONFIG))
    found = contents(plan)
    pruning = {(cell.method, cell.arm) for cell in plan.cells if cell.method != "unpruned" and not cell.treatment}
    assert found.lines == pruning
    assert found.treatments == any(cell.treatment for cell in plan.cells)
    assert found.trials == any(job.kind == "search" for job in plan.jobs)
    assert found.ablations == any(job.kind == "ablate" for job in plan.jobs)
    plain = contents(Plan(load(CONFIG | {"treatments": [], "ablations": [], "methods": [{"name": "magnitude"}]})))
    assert plain == Contents(lines=frozenset({("magnitude", "")}), curves=True)
