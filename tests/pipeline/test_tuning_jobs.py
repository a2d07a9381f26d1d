"""Jobs of a tuning on a tiny model: trials are cells in all but the seed, and the best of them decides the cells."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from headprune.pipeline.cells import Job
from headprune.pipeline.collect import collect
from headprune.pipeline.failures import failures
from headprune.pipeline.forgetting import forget_failures
from headprune.pipeline.inventory import Inventory
from headprune.pipeline.jobs import attempt, run
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.pipeline.specification import specification
from headprune.pipeline.stages import choose, tune
from headprune.pipeline.store import read_json, write_json
from headprune.results.jobs import JOBS
from headprune.training.trainer import DivergedError

MAGNITUDE = {"name": "magnitude"}
FISHER = {"name": "fisher"}
DSP = {"name": "dsp", "updates": 3, "options": {"cooldown": 0.5}}
L0 = {"name": "l0", "mode": "continued", "updates": 2, "trials": 0, "coefficients": [0.001, 1]}
TUNING = {"trials": 2, "seeds": [101], "budgets": [8, 5]}
TRIALS = ("tune_score", "tune_gates")


@pytest.fixture
def tuned(start: Callable[..., Any]) -> Callable[..., Any]:
    """`tuned(*methods, name=…, **changes)`: a run whose unpruned models of seeds 1 and 101 are there."""

    def tuned(*methods: dict[str, Any], **changes: Any) -> Any:
        found = start(list(methods), **({"tuning": TUNING} | changes))
        folder = found.plan.folder / "dense" / "tiny"
        for end in (".pt", ".json"):
            shutil.copyfile(folder / f"s1{end}", folder / f"s101{end}")
        return found

    return tuned


def compute(found: Any, *kinds: str, **which: Any) -> list[Record]:
    """Runs the jobs of these kinds as a call of Snakemake would; their receipts."""
    jobs = [job for job in found.plan.jobs if job.kind in kinds]
    jobs = [job for job in jobs if all(getattr(job, key) == value for key, value in which.items())]
    assert jobs
    for job in jobs:
        run(job.kind, specification(found.plan, job), found.plan.run.receipt(job.name))
    return [read_json(found.plan.run.receipt(job.name)) for job in jobs]


def trial(found: Any, label: str, number: int, budget: int, seed: int = 101) -> Record:
    record: Record = read_json(found.plan.run.trial_of_tuning("tiny", label, number, budget, seed))
    return record


@pytest.mark.parametrize(("entry", "kind"), [(FISHER, "score"), (DSP, "gates"), (L0 | {"budgets": [8, 5]}, "search")])
def test_a_trial_is_a_cell_of_its_seed(tuned: Callable[..., Any], entry: dict[str, Any], kind: str) -> None:
    """Equal loss, heads, signature and cost as the cell of an untuned profile that reports the seed of the tuning."""
    found = tuned(entry)
    compute(found, *TRIALS)
    (label,) = found.plan.grid.tuned_for("tiny")
    options = found.plan.grid.trials(label)[1]
    own = {**entry.get("options", {}), **options}
    cells = tuned(entry | {"options": own}, name="cells", seeds=[101], tuning=None)
    compute(cells, kind)
    cost: list[int] = []
    for cell in cells.plan.grid.cells_of("tiny", label, 101):
        record, tried = cells.record(cell), trial(found, label, 1, cell.budget)
        assert tried["signature"] == record["signature"]
        assert tried["heads_kept"] == len(record["mask"])
        assert tried["loss"] == pytest.approx(math.log(record["perplexity"]), rel=1e-12)
        runs = tried["runs"].values()
        assert sum(each["updates"] for each in runs) == record["prune_updates"]
        assert sum(each["forward"] for each in runs) == record["prune_forward_sentences"]
        assert sum(each["backward"] for each in runs) == record["prune_backward_sentences"]
        cost.append(len(runs))
    assert cost == {"score": [1, 1], "gates": [1, 1], "search": [2, 2]}[kind]


def test_the_best_trial_decides_the_cells_and_no_other(tuned: Callable[..., Any]) -> None:
    """A choice changes the options and signatures of the cells of its entry; the others are kept."""
    found = tuned(MAGNITUDE, FISHER, batch="method")
    compute(found, *TRIALS)
    compute(found, "choose")
    compute(found, "score")
    before = {label: [found.record(cell) for cell in found.cells(label)] for label in ("magnitude", "fisher")}
    losses = read_json(found.plan.run.choice("tiny", "magnitude"))["losses"]
    assert losses == [
        pytest.approx(sum(trial(found, "magnitude", number, k)["loss"] for k in (8, 5)) / 2) for number in (0, 1)
    ]
    other = 1 - losses.index(min(losses))
    path = found.plan.run.trial_of_tuning("tiny", "magnitude", other, 8, 101)
    write_json(path, read_json(path) | {"loss": 0.0})
    compute(found, "choose")
    assert read_json(found.plan.run.choice("tiny", "magnitude"))["trial"] == other
    written = {cell: (found.path(cell) / "pruned.json").stat().st_mtime_ns for cell in found.cells("fisher")}
    compute(found, "score")
    assert {cell: (found.path(cell) / "pruned.json").stat().st_mtime_ns for cell in written} == written
    for cell, old in zip(found.cells("magnitude"), before["magnitude"], strict=True):
        identity = read_json(found.path(cell) / "identity.json")
        assert identity["method"].get("options", {}) == found.plan.grid.trials("magnitude")[other]
        assert found.record(cell)["signature"] != old["signature"]


def test_own_values_give_the_cells_of_an_untuned_entry(tuned: Callable[..., Any]) -> None:
    """The first trial won: signatures are those of a profile without tuning."""
    found = tuned(MAGNITUDE)
    compute(found, *TRIALS)
    for budget in (8, 5):
        path = found.plan.run.trial_of_tuning("tiny", "magnitude", 0, budget, 101)
        write_json(path, read_json(path) | {"loss": 0.0})
    compute(found, "choose")
    compute(found, "score")
    plain = tuned(MAGNITUDE, name="plain", tuning=None)
    compute(plain, "score")
    for cell in found.cells("magnitude"):
        assert found.record(cell)["signature"] == plain.record(cell)["signature"]


def failing(*numbers: int) -> Callable[..., float]:
    """The loss of trials, of which these have none at K = 5."""
    whole = tune.loss

    def loss(context: Any, model: Any, pruning: Any) -> float:
        if context.told["trial"] in numbers and pruning.mask.count == 5:
            raise DivergedError("no finite loss")
        return whole(context, model, pruning)

    return loss


def test_a_trial_that_fails_is_a_row_and_is_not_chosen(
    tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tuned(MAGNITUDE)
    compute(first, *TRIALS)
    best = compute(first, "choose")[0]["trial"]
    monkeypatch.setattr(tune, "loss", failing(best))
    found = tuned(MAGNITUDE, name="again")
    compute(found, *TRIALS)
    assert compute(found, "choose")[0]["trial"] == 1 - best
    assert [failure.what for failure in failures(found.plan.folder) if failure.status == "diverged"] == [
        f"trial tuning/tiny/magnitude/t{best}/k5-s101"
    ]
    table = tuning_of(found).set_index(["trial", "budget"])
    assert table.loc[(best, 5), ["status", "reason"]].tolist() == ["diverged", "DivergedError: no finite loss"]
    assert table["status"].value_counts().to_dict() == {"ok": 3, "diverged": 1}
    assert table["chosen"].to_dict() == {(number, k): number != best for number in (0, 1) for k in (5, 8)}


def test_where_all_fail_the_own_values_stand_and_it_is_said(
    tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "loss", failing(0, 1))
    found = tuned(MAGNITUDE)
    compute(found, *TRIALS)
    (receipt,) = compute(found, "choose")
    assert (receipt["status"], receipt["trial"], receipt["options"]) == ("ok", 0, {})
    compute(found, "score")
    table = tuning_of(found)
    assert not table["chosen"].any()
    cells = pd.read_parquet(found.plan.folder / "cells.parquet")
    told = cells[cells["metric"] == "tuning_updates"]["reason"]
    assert set(told) == {"all 2 trials failed, its own values stand: DivergedError: no finite loss"}


def test_a_mask_too_far_from_its_budget_is_not_judged(tuned: Callable[..., Any]) -> None:
    """One training for K = 11 and K = 0: its mask is far from one of them, and must not win by its heads."""
    found = tuned(L0 | {"coefficients": [1e-8]}, tuning=TUNING | {"budgets": [11, 0]})
    compute(found, *TRIALS)
    records = [(budget, trial(found, "l0", number, budget)) for number in (0, 1) for budget in (11, 0)]
    far = [(budget, record) for budget, record in records if abs(record["heads_kept"] - budget) > 1]
    assert far
    assert all((record["status"] == "failed") == ((budget, record) in far) for budget, record in records)
    budget, record = far[0]
    assert record["reason"] == f"keeps {record['heads_kept']} heads, too far from K = {budget} to be judged"
    assert record["runs"], "what it cost counts all the same"


def test_what_the_tuning_cost_stands_in_the_cells(tuned: Callable[..., Any]) -> None:
    """3 updates a training, 2 budgets, 2 trials; a search serves its budgets by 2 trainings of 2 updates."""
    found = tuned(DSP, L0, MAGNITUDE | {"tuned": False})
    compute(found, *TRIALS)
    compute(found, "choose")
    compute(found, "gates")
    compute(found, "search")
    compute(found, "score")
    table = tuning_of(found)
    cells = pd.read_parquet(found.plan.folder / "cells.parquet")
    spent = cells[cells["metric"] == "tuning_updates"].groupby("method")["value"].unique()
    assert {method: list(values) for method, values in spent.items()} == {"dsp": [12.0], "l0": [8.0]}
    assert table.groupby("entry")["updates"].sum().to_dict() == {"dsp": 12, "l0": 8}
    for metric in ("forward_sentences", "backward_sentences"):
        of_cells = cells[cells["metric"] == f"tuning_{metric}"].groupby("method")["value"].first()
        assert of_cells.to_dict() == table.groupby("entry")[metric].sum().astype(float).to_dict()
    curves = pd.read_csv(found.plan.folder / "curves.csv")
    assert set(curves["seed"]) <= {1}, "nothing of the tuning's seeds is reported"


def test_trials_are_kept_and_a_lost_choice_is_made_again(tuned: Callable[..., Any]) -> None:
    found = tuned(MAGNITUDE)
    compute(found, *TRIALS)
    compute(found, "choose")
    compute(found, "score")
    assert list(Inventory(found.plan.folder).damages()) == []
    written = {path: path.stat().st_mtime_ns for path in found.plan.run.trials_of_tuning}
    compute(found, *TRIALS)
    compute(found, "choose")
    assert {path: path.stat().st_mtime_ns for path in found.plan.run.trials_of_tuning} == written
    choice = found.plan.run.choice("tiny", "magnitude")
    before = read_json(choice)
    choice.unlink()
    job = Job("score", "tiny", label="all-score", seed=1)
    spec = specification(found.plan, job)
    receipt = attempt(JOBS["score"], spec, Reporter(found.plan.folder, job.name))[1]
    assert (receipt["status"], "the tuning of magnitude missing" in receipt["reason"]) == ("failed", True)
    assert found.plan.run.receipt("choose/tiny/magnitude") in set(forget_failures(found.plan.folder))
    compute(found, "choose")
    assert read_json(choice) == before


def test_an_option_that_the_method_refuses_fails_its_trial_alone(tuned: Callable[..., Any]) -> None:
    found = tuned(MAGNITUDE)
    job = next(job for job in found.plan.jobs if job.kind == "tune_score" and job.trial == 1)
    spec = specification(found.plan, job) | {"options": {"norm": "none"}}
    receipt = attempt(JOBS[job.kind], spec, Reporter(found.plan.folder, job.name))[1]
    assert {row["status"] for row in receipt["cells"].values()} == {"failed"}
    assert all("option 'norm' is 'none'" in row["reason"] for row in receipt["cells"].values())


def test_the_test_set_is_sealed_for_trials(tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that asks for the test set ends without a loss."""
    found = tuned(MAGNITUDE)
    monkeypatch.setattr(tune, "loss", lambda context, *_: len(context.corpus.references("test")))
    receipts = compute(found, *TRIALS)
    rows = [row for receipt in receipts for row in receipt["cells"].values()]
    assert {row["status"] for row in rows} == {"failed"}
    assert all("test" in row["reason"] for row in rows)


@pytest.mark.parametrize(
    ("losses", "best"), [([2.0, 1.0, 3.0], 1), ([2.0, 2.0], 0), ([None, 5.0], 1), ([None, None], None), ([1.0], 0)]
)
def test_the_lowest_loss_wins_and_of_equal_ones_the_first(losses: list[float | None], best: int | None) -> None:
    assert choose.best_of(losses) == best


def tuning_of(found: Any) -> pd.DataFrame:
    """The rows of tuning.csv, collected."""
    collect(found.plan, lambda line: None)
    table = pd.read_csv(Path(found.plan.folder) / "tuning.csv")
    assert all(isinstance(json.loads(text), dict) for text in table["options"])
    return table
