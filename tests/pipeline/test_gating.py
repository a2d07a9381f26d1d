"""Trainings that serve several budgets: each is done once, kept, shared between arms, and survives a kill.

The trainings are stand-ins, but in the last tests: log α falls with the penalty, so that the heads that are left are
known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch

from headprune import removal
from headprune.heads import HeadSpace
from headprune.method import load_methods
from headprune.method.search import BRACKET
from headprune.pipeline import collect, jobs
from headprune.pipeline.cells import Job
from headprune.pipeline.specification import specification
from headprune.pipeline.stages import search
from headprune.pipeline.store import read_json
from headprune.results.layout import RunFolder
from headprune.training.costs import Cost
from headprune.training.trainer import DivergedError, Trained

Start = Callable[..., Any]

L0 = {"name": "l0", "mode": "continued", "updates": 5, "trials": 3}
AT_K = L0 | {"arm": "at_k", "options": {"at_k": True}}
BUDGETS = [10, 6, 5]
ORDER = torch.tensor([5, 0, 11, 3, 8, 1, 10, 2, 6, 9, 4, 7])  # of the heads by log α


def left(penalty: float, heads: int = 12) -> int:
    """Heads with log α > 0 after a stand-in training: 12 at 1e-5, 8 at 1e-4, 3 at 1e-3, none at 1e-2."""
    return sum(value > 0 for value in log_alpha(penalty).tolist()[:heads])


def log_alpha(penalty: float) -> torch.Tensor:
    return ORDER - 5.5 - 5 * (math.log10(penalty) + 3.5)


class Trainings:
    """Stands in for `train_gates`; interrupts or fails on demand."""

    def __init__(self) -> None:
        self.penalties = list[float]()
        self.interrupt_at: int | None = None
        self.diverge_at = set[float]()

    def __call__(self, context: Any, arm: Any, run: Any, signature: str, reporter: Any) -> Trained:
        if self.interrupt_at == len(self.penalties):
            raise KeyboardInterrupt
        self.penalties.append(run.options["penalty"])
        if any(math.isclose(run.options["penalty"], c) for c in self.diverge_at):
            raise DivergedError("loss is nan")
        model = removal.load(context.checkpoint)
        entry = load_methods()[run.method]
        space = run.scope.subspace(HeadSpace.of(model))
        generator = torch.Generator().manual_seed(run.seed)
        gates = entry.method(space, run.budget, entry.options(run.options), generator, run.scope)
        with torch.no_grad():
            gates.log_alpha.copy_(log_alpha(run.options["penalty"])[: len(space)])
        curve = [{"split": "valid", "update": 5, "loss": 2.0, "nll_loss": 1.5}]
        return Trained(model, gates, curve, Cost(seconds=1.5, memory=100.0, forward=30, backward=20, updates=5))


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    stand_in = Trainings()
    monkeypatch.setattr(search, "train_gates", stand_in)
    return stand_in


def records(run: Any, label: str) -> dict[int, bytes]:
    """Records by budget. Times are among them: those of stand-in trainings are always the same."""
    return {cell.budget: (run.path(cell) / "pruned.json").read_bytes() for cell in run.cells(label)}


def test_a_search_trains_every_coefficient_once_and_reaches_its_budgets(start: Start, trainings: Trainings) -> None:
    run = start([L0], budgets=BUDGETS)
    receipt = run.job("search", "l0")
    assert {cell["status"] for cell in receipt["cells"].values()} == {"ok"}
    tried = [*BRACKET, 10**-4.5, 10**-3.5]  # for 10 and for 6; 5 is within one head of what 6 found
    assert trainings.penalties == pytest.approx(tried, rel=1e-12)
    found = {cell.budget: run.record(cell) for cell in run.cells("l0")}
    assert {budget: record["coefficient"] for budget, record in found.items()} == pytest.approx(
        {10: 10**-4.5, 6: 10**-3.5, 5: 10**-3.5}
    )
    names = HeadSpace.of(run.dense).names
    for record in found.values():
        values = log_alpha(record["coefficient"])
        assert record["mask"] == [name for name, value in zip(names, values, strict=True) if value > 0]
        assert record["masked_vs_removed_max_abs"] < 1e-5


def test_a_budget_pays_for_the_bracket_and_its_own_trials(start: Start, trainings: Trainings) -> None:
    run = start([L0], budgets=BUDGETS)
    run.job("search", "l0")
    for cell in run.cells("l0"):
        record = run.record(cell)
        assert len(record["trials"]) == len(set(record["trials"])) == 5
        assert record["prune_seconds"] == pytest.approx(5 * 1.5)
        assert (record["prune_forward_sentences"], record["prune_backward_sentences"]) == (150, 100)
        assert (record["prune_updates"], record["peak_memory_mib"]) == (25, 100.0)
        assert record["train_seconds"] == 7.5  # of the unpruned model
        known = [read_json(run.plan.run.trial("tiny", "l0", 1, trial)) for trial in record["trials"]]
        assert {trial["heads_kept"] for trial in known} == {left(trial["coefficient"]) for trial in known}


@pytest.mark.parametrize("budgets", [BUDGETS, [6], [6, 5]])
def test_under_a_cap_a_budget_searches_as_if_it_were_alone(
    start: Start, trainings: Trainings, budgets: list[int]
) -> None:
    """Five trainings of five updates: the bracket and one more, which is run once and counted by all that want it."""
    run = start([L0 | {"updates_cap": 29}], budgets=budgets)
    run.job("search", "l0")
    for cell in run.cells("l0"):
        record = run.record(cell)
        assert (len(record["trials"]), record["prune_updates"]) == (5, 25)
        assert record["coefficient"] == pytest.approx({10: 10**-4.5, 6: 10**-3.5, 5: 10**-3.5}[cell.budget])
    wanted = [10**-4.5] * (10 in budgets) + [10**-3.5]
    assert trainings.penalties == pytest.approx([*BRACKET, *wanted])


def test_under_a_small_cap_what_others_trained_is_not_looked_at(start: Start, trainings: Trainings) -> None:
    """Two trainings are the first two of the sweep. The entry without a cap has trained what would suit better."""
    run = start([L0, L0 | {"arm": "capped", "updates_cap": 10}], budgets=[6])
    run.job("search", "l0")
    count = len(trainings.penalties)
    run.job("search", "l0.capped")
    assert len(trainings.penalties) == count
    (free,), (capped,) = run.cells("l0"), run.cells("l0.capped")
    assert run.record(free)["coefficient"] == pytest.approx(10**-3.5)
    found = run.record(capped)
    assert (found["coefficient"], found["prune_updates"]) == (1e-4, 10)
    assert found["reason"] == "2 trainings came no nearer to K = 6"
    assert found["signature"] != run.record(free)["signature"]


def test_searching_again_trains_nothing_and_changes_nothing(start: Start, trainings: Trainings) -> None:
    run = start([L0], budgets=BUDGETS)
    first = run.job("search", "l0")
    before, count = records(run, "l0"), len(trainings.penalties)
    assert run.job("search", "l0") == first
    (run.path(run.cells("l0")[1]) / "pruned.json").unlink()  # one cell is lost: its training is not
    assert run.job("search", "l0") == first
    assert records(run, "l0") == before
    assert len(trainings.penalties) == count


def test_another_budget_reuses_what_was_trained(start: Start, trainings: Trainings) -> None:
    start([L0], budgets=BUDGETS).job("search", "l0")
    count = len(trainings.penalties)
    run = start([L0], budgets=[*BUDGETS, 3])
    run.job("search", "l0")
    assert len(trainings.penalties) == count
    assert len(run.record(run.cells("l0")[-1])["mask"]) == left(1e-3) == 3


def test_the_second_arm_reads_other_masks_off_the_same_trainings(start: Start, trainings: Trainings) -> None:
    run = start([L0, AT_K], budgets=BUDGETS)
    run.job("search", "l0")
    count = len(trainings.penalties)
    run.job("search", "l0.at_k")
    assert len(trainings.penalties) == count
    names = HeadSpace.of(run.dense).names
    for cell, other in zip(run.cells("l0.at_k"), run.cells("l0"), strict=True):
        record = run.record(cell)
        assert record["trials"] == run.record(other)["trials"]
        assert set(record["mask"]) == {names[i] for i in range(12) if ORDER[i] >= 12 - cell.budget}  # the top K
        assert len(record["mask"]) == cell.budget
    collect.collect(run.plan)
    trials = pd.read_csv(run.plan.folder / "trials.csv")
    assert len(trials) == count
    assert sorted(trials["coefficient"]) == pytest.approx(sorted(trainings.penalties))
    assert set(trials["label"]) == {"l0"}
    masks = pd.read_csv(run.plan.folder / "trial_masks.csv")
    assert set(masks.groupby("signature").size()) == {12}
    kept = masks.groupby("signature")["kept"].sum()
    assert kept[trials["signature"]].tolist() == trials["heads_kept"].tolist()
    curves = pd.read_csv(run.plan.folder / "curves.csv")
    assert set(curves["scheduled"]) == {"penalty"}
    assert sorted(curves["level"]) == pytest.approx(sorted(trials["coefficient"]))  # grown by the last update


@pytest.mark.parametrize("change", [{"updates": 6}, {"options": {"warmup": 0.5}}, {"min_per_module": 1}])
def test_an_arm_that_trains_otherwise_shares_nothing(
    start: Start, trainings: Trainings, change: dict[str, Any]
) -> None:
    run = start([L0, L0 | {"arm": "other"} | change], budgets=[8])
    run.job("search", "l0")
    count = len(trainings.penalties)
    run.job("search", "l0.other")
    assert len(trainings.penalties) == 2 * count
    own = [set(run.record(cell)["trials"]) for label in ("l0", "l0.other") for cell in run.cells(label)]
    assert not own[0] & own[1]


@pytest.mark.parametrize("killed_after", [3, 5])
def test_a_killed_search_ends_like_an_undisturbed_one(start: Start, trainings: Trainings, killed_after: int) -> None:
    """Byte for byte, without repeating what was trained."""
    whole = start([L0, AT_K], budgets=BUDGETS, name="whole")
    for label in ("l0", "l0.at_k"):
        whole.job("search", label)
    expected, trainings.penalties = trainings.penalties, []
    killed = start([L0, AT_K], budgets=BUDGETS, name="killed")
    trainings.interrupt_at = killed_after
    with pytest.raises(KeyboardInterrupt):
        killed.job("search", "l0")
    trainings.interrupt_at = None
    for label in ("l0", "l0.at_k"):
        killed.job("search", label)
        assert records(killed, label) == records(whole, label)
    assert trainings.penalties == expected


def test_a_training_that_diverges_is_an_unusable_point_of_the_search(start: Start, trainings: Trainings) -> None:
    """The search goes round it; it stands in the table of trainings with its reason."""
    run = start([L0], budgets=[8])
    trainings.diverge_at = {1e-3}
    (cell,) = run.job("search", "l0")["cells"].values()
    assert cell["status"] == "ok"
    assert trainings.penalties == [*BRACKET]
    record = run.record(run.cells("l0")[0])
    assert record["coefficient"] == 1e-4
    assert len(record["trials"]) == 4
    assert record["prune_updates"] == 15
    collect.collect(run.plan)
    trials = pd.read_csv(run.plan.folder / "trials.csv").set_index("coefficient")
    assert trials["status"].to_dict() == {c: "diverged" if c == 1e-3 else "ok" for c in BRACKET}
    assert trials.loc[1e-3, "reason"] == "DivergedError: loss is nan"
    assert trials.loc[1e-3, ["method", "label", "seed"]].tolist() == ["l0", "l0", 1]
    assert trials.loc[1e-3, ["heads_kept", "updates", "seconds"]].isna().all()


def test_where_all_trainings_diverge_the_cells_have(start: Start, trainings: Trainings) -> None:
    """And a later run tries again, repeating nothing that was trained."""
    run = start([L0], budgets=[8])
    trainings.diverge_at = {*BRACKET, 1e-6, 1e-7, 1e-8}
    receipt = run.job("search", "l0")
    (cell,) = receipt["cells"].values()
    assert (receipt["status"], cell["status"]) == ("ok", "diverged")
    assert "all 7 trainings of the gates diverged: DivergedError: loss is nan" in cell["reason"]
    assert trainings.penalties == pytest.approx([*BRACKET, 1e-6, 1e-7, 1e-8])
    trainings.diverge_at = set()
    trainings.penalties.clear()
    (cell,) = run.job("search", "l0")["cells"].values()
    assert cell["status"] == "ok"
    assert trainings.penalties == [*BRACKET]


def test_a_budget_counts_the_heads_outside_the_scope(start: Start, trainings: Trainings) -> None:
    """Gates on eight heads; the four of the decoder are kept and counted."""
    scoped = {"types": ["encoder", "cross"], "budgets": [10, 7]}
    run = start([L0 | scoped, AT_K | scoped])
    for label in ("l0", "l0.at_k"):
        run.job("search", label)
        for cell in run.cells(label):
            record = run.record(cell)
            assert abs(len(record["mask"]) - cell.budget) <= (0 if label == "l0.at_k" else 1)
            assert {f"decoder.0.{index}" for index in range(4)} <= set(record["mask"])
            for signature in record["trials"]:
                trial = read_json(run.plan.run.trial("tiny", "l0", 1, signature))
                assert trial["heads_kept"] == 4 + left(trial["coefficient"], heads=8)


# with fairseq's trainer


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Signatures of the trainings that are run."""
    signatures, train_gates = [], search.train_gates

    def counting(context: Any, arm: Any, run: Any, signature: str, reporter: Any) -> Any:
        signatures.append(signature)
        return train_gates(context, arm, run, signature, reporter)

    monkeypatch.setattr(search, "train_gates", counting)
    return signatures


def test_one_training_serves_all_budgets(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks nested by one ranking, the trained weights in all pruned models; again, nothing is trained."""
    trained = counted(monkeypatch)
    run = start([{"name": "drophead", "mode": "continued", "learning_rate": 0.001}])
    run.job("search", "drophead")
    run.job("search", "drophead")
    assert len(trained) == 1
    larger, smaller = run.cells("drophead")
    assert [len(run.record(cell)["mask"]) for cell in (larger, smaller)] == [8, 5]
    assert set(run.record(smaller)["mask"]) < set(run.record(larger)["mask"])
    words = [model.state_dict()["encoder.embed_tokens.weight"] for model in map(run.model, (larger, smaller))]
    assert torch.equal(*words)
    assert not torch.equal(words[0], run.dense.state_dict()["encoder.embed_tokens.weight"])
    for cell in (larger, smaller):
        record = run.record(cell)
        assert record["masked_vs_removed_max_abs"] < 1e-5
        assert (record["prune_updates"], record["coefficient"], len(record["trials"])) == (4, None, 1)


def test_gates_within_a_scope(start: Start) -> None:
    """One training per budget; K counts all heads, of which the encoder's alone may go."""
    run = start([{"name": "dsp", "updates": 3, "types": ["encoder"], "budgets": [9], "options": {"cooldown": 0.5}}])
    receipt = run.job("gates", "dsp", 9)
    (cell,) = run.cells("dsp")
    assert receipt["cells"][cell.id]["status"] == "ok"
    kept = run.record(cell)["mask"]
    assert len(kept) == 9
    assert sum(name.startswith("encoder") for name in kept) == 1
    dense, pruned = run.dense.state_dict(), run.model(cell).state_dict()
    same = [key for key in dense if dense[key].shape == pruned[key].shape]
    assert len(same) == len(dense) - 7  # three projections with their biases, and the weight of the fourth
    assert all(torch.equal(dense[key], pruned[key]) for key in same)  # pipelined: the weights stand still


def test_what_an_earlier_code_has_begun_goes_when_its_job_is_done(start: Start) -> None:
    """States of trainings of other signatures, which nobody goes on with; those of other jobs stay."""
    run = start([{"name": "magnitude"}], budgets=[8])
    job, place = Job("score", "tiny", label="all-score", seed=1), RunFolder(run.plan.folder)
    stale, other = place.training(job.name, "0123456789ab"), place.training(f"{job.name}-more", "0123456789ab")
    for folder in (stale, other):
        folder.mkdir(parents=True)
    jobs.run("score", specification(run.plan, job), run.plan.folder / job.receipt)
    assert read_json(run.plan.folder / job.receipt)["status"] == "ok"
    assert not stale.exists() and other.exists()
