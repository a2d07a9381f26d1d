"""A run that takes the choice of another run's tuning: no trial of its own, the same options, the same costs."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from configurations import VALID, refused

from headprune.config import ConfigError, load
from headprune.pipeline.collect import collect
from headprune.pipeline.jobs import attempt, run
from headprune.pipeline.plan import Plan
from headprune.pipeline.planned import tuning
from headprune.pipeline.progress import Reporter
from headprune.pipeline.specification import specification
from headprune.pipeline.store import read_json
from headprune.pipeline.tunings import tuning_rows
from headprune.results import schema
from headprune.results.jobs import JOBS
from headprune.results.merging.folders import merge

ENTRIES = [{"name": "magnitude"}, {"name": "fisher"}]
TUNING = {"trials": 2, "seeds": [101], "budgets": [8, 5]}


def compute(found: Any, *kinds: str) -> None:
    for kind in kinds:
        for job in (job for job in found.plan.jobs if job.kind == kind):
            run(job.kind, specification(found.plan, job), found.plan.run.receipt(job.name))


@pytest.fixture
def first(start: Callable[..., Any]) -> Any:
    """A run that has tuned, of seed 1, collected."""
    found = start(ENTRIES, tuning=TUNING, seeds=[1], name="first")
    dense = found.plan.folder / "dense" / "tiny"
    for end in (".pt", ".json"):
        shutil.copyfile(dense / f"s1{end}", dense / f"s101{end}")
    compute(found, "tune_score", "choose", "score")
    collect(found.plan, lambda line: None)
    return found


def second_of(first: Any, start: Callable[..., Any], seed: int) -> Any:
    chosen = TUNING | {"chosen_in": str(first.plan.folder)}
    found = start(ENTRIES, tuning=chosen, seeds=[seed], name=f"second{seed}")
    dense = found.plan.folder / "dense" / "tiny"
    for end in (".pt", ".json"):
        if seed != 1:
            shutil.copyfile(dense / f"s1{end}", dense / f"s{seed}{end}")
    return found


def test_it_has_no_trial_and_cells_are_what_they_would_have_been(first: Any, start: Callable[..., Any]) -> None:
    found = second_of(first, start, 1)
    assert not [job for job in found.plan.jobs if job.kind.startswith("tune")]
    assert {job.seed for job in found.plan.jobs if job.kind == "dense"} == {1}
    assert tuning(found.plan, "fisher") == f"; options chosen in {first.plan.folder}"
    compute(found, "choose", "score")
    for label in ("magnitude", "fisher"):
        ours, theirs = (read_json(each.plan.run.choice("tiny", label)) for each in (found, first))
        for key in ("trial", "options", "losses", "cost"):
            assert ours[key] == theirs[key]
        for cell in found.cells(label):
            assert found.record(cell)["signature"] == first.record(cell)["signature"]
            assert found.record(cell)["mask"] == first.record(cell)["mask"]


def test_its_tables_are_those_of_the_other_and_can_be_merged(
    first: Any, start: Callable[..., Any], tmp_path: Path
) -> None:
    found = second_of(first, start, 2)
    compute(found, "choose", "score")
    collect(found.plan, lambda line: None)
    ours, theirs = (each.plan.folder / "tuning.csv" for each in (found, first))
    assert ours.read_bytes() == theirs.read_bytes()
    assert schema.to_csv(schema.tuning_table(tuning_rows(found.plan))) == ours.read_bytes()
    merged = merge(tmp_path / "merged", [first.plan.folder, found.plan.folder], outputs=False)
    assert (merged.folder / "tuning.csv").read_bytes() == theirs.read_bytes()
    cells = schema.read_cells(merged.folder)
    costs = cells[(cells["metric"] == "tuning_forward_sentences") & (cells["method"] == "fisher")]
    assert set(costs["seed"]) == {1, 2}
    assert costs["value"].nunique() == 1
    assert costs["value"].iloc[0] > 0


def test_a_table_that_changed_after_the_plan_is_refused(first: Any, start: Callable[..., Any]) -> None:
    found = second_of(first, start, 2)
    told = next(specification(found.plan, job) for job in found.plan.jobs if job.kind == "choose")
    path = first.plan.folder / "tuning.csv"
    path.write_bytes(path.read_bytes() + b"\n")
    _, record = attempt(JOBS["choose"], told, Reporter(found.plan.folder, told["job"]))
    assert record["status"] == "failed"
    assert record["reason"] == f"UpstreamError: {path} has changed since the run was planned"


PROFILE = VALID | {"methods": [{"name": "unpruned"}, {"name": "fisher", "arm": "a"}]}
COLUMNS = ["profile", "model", "method", "entry", "trial", "options", "seed", "budget", "loss", "heads_kept", "n_heads"]
COLUMNS += ["updates", "forward_sentences", "backward_sentences", "status", "reason", "chosen", "signature"]


def table(folder: Path, change: Callable[[list[dict[str, Any]]], Any] = list) -> Path:
    """A tuning.csv as a run of PROFILE would have it, changed."""
    grid = Plan(load(PROFILE | {"tuning": TUNING, "results": "nowhere"})).grid
    found: list[dict[str, Any]] = []
    for number, options in enumerate(grid.trials("fisher.a")):
        common = {"profile": "unit", "model": "tiny", "method": "fisher", "entry": "fisher.a", "trial": number}
        common |= {"options": json.dumps(options), "seed": 101, "heads_kept": 8, "n_heads": 16, "updates": 0}
        common |= {"forward_sentences": 4, "backward_sentences": "", "status": "ok", "reason": "", "signature": "ab"}
        found += [common | {"budget": budget, "loss": 2.5 + number} for budget in (8, 5)]
    change(found)
    folder.mkdir(exist_ok=True)
    with (folder / "tuning.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)
    return folder


def profile(folder: Path, **changes: Any) -> dict[str, Any]:
    return PROFILE | {"tuning": TUNING | {"chosen_in": str(folder)} | changes}


def test_a_table_of_these_trials_is_taken(tmp_path: Path) -> None:
    config = load(profile(table(tmp_path / "run")))
    assert config.tuning is not None
    assert config.tuning.chosen_in == str(tmp_path / "run")
    failed = table(tmp_path / "failed", lambda found: found[0].update(status="diverged", reason="loss is nan", loss=""))
    assert load(profile(failed)).tuning  # a trial that failed is one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.pop(), "has no row of trial 1 of 'fisher.a' of model 'tiny'"),
        (lambda rows: rows.append(rows[0]), "has 2 rows of trial 0 of 'fisher.a'"),
        (lambda rows: rows[0].update(options='{"swaps": 3}'), 'with options {"swaps": 3}, here {}'),
        (lambda rows: rows[0].update(options="{"), "with options {, here {}"),
        (lambda rows: [row.update(entry="b") for row in rows], "has no trials of 'fisher.a' of model 'tiny', only of"),
        (lambda rows: rows.append(rows[0] | {"trial": 2}), "has a trial 2 of 'fisher.a'"),
        (lambda rows: rows[0].update(status="missing"), "knows nothing of trial 0"),
        (lambda rows: rows[0].update(loss="low"), "could not convert string to float"),
        (lambda rows: rows[0].update(trial="x"), "invalid literal for int()"),
        (lambda rows: rows.clear(), "has no trials: that run was not tuned"),
    ],
)
def test_any_other_table_is_refused_before_anything_runs(change: Any, said: str, tmp_path: Path) -> None:
    told = refused(profile(table(tmp_path / "run", change)))
    assert told.startswith(f"tuning.chosen_in: {tmp_path / 'run' / 'tuning.csv'} ")
    assert said in told


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert refused(profile(tmp_path / "nowhere")).endswith("tuning.csv cannot be read: No such file or directory")
    (tmp_path / "tuning.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert refused(profile(tmp_path)).endswith("tuning.csv lacks the column backward_sentences")


def test_a_part_needs_no_trials_of_the_others(tmp_path: Path) -> None:
    folder = table(tmp_path / "run")
    methods = [*PROFILE["methods"], {"name": "magnitude"}]
    parts = [{"name": "core", "entries": ["unpruned", "fisher.a"]}, {"name": "rest", "entries": ["*"]}]
    whole = profile(folder) | {"methods": methods, "parts": parts}
    assert load(whole | {"part": "core"}).tuning
    with pytest.raises(ConfigError, match="has no trials of 'magnitude' of model 'tiny', only of 'fisher.a' of 'tiny'"):
        load(whole)
