"""The treatments of masks of other methods, against the masks, models and records they start from."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor

from headprune import removal
from headprune.evaluation import likelihood
from headprune.heads import HeadMask, HeadSpace
from headprune.pipeline.context import ModelContext
from headprune.pipeline.specification import specification
from headprune.pipeline.store import read_json, write_json
from headprune.results.provenance import file_sha256
from headprune.scoring.reconstruction import compensate_bias, context_moments
from headprune.tasks.translation import evaluation
from headprune.tasks.translation.corpus import TranslationCorpus
from headprune.treatments.matched_random import matched

Start = Callable[..., Any]
MaskOf = Callable[[Any], HeadMask]

MAGNITUDE = {"name": "magnitude"}
SPACE = HeadSpace.from_names(
    ["encoder.0.0", "encoder.0.1", "encoder.0.2", "cross.0.0", "cross.0.1", "cross.0.2", "decoder.0.0", "decoder.0.1"]
)
TAKEN = HeadMask(SPACE, (0, 1, 0, 1, 1, 0, 0, 0))  # of its modules one, two and none


def test_twins_have_as_many_heads_in_every_module() -> None:
    rng = torch.Generator().manual_seed(1)
    for keep in itertools.islice(itertools.product((0, 1), repeat=8), 0, 256, 7):
        mask = HeadMask(SPACE, keep)
        assert matched(mask, rng).per_module() == mask.per_module()


def test_twins_are_uniformly_random() -> None:
    """All 3 · 3 subsets there are, equally often: χ², p > 0.001 under a fixed seed."""
    rng = torch.Generator().manual_seed(2)
    counts = Counter(matched(TAKEN, rng).keep for _ in range(1800))
    assert len(counts) == 9
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_twins_of_a_run(start: Start, mask: MaskOf) -> None:
    """Two independent draws for every budget, on the weights of the unpruned model."""
    run = start([MAGNITUDE], [{"name": "matched_random", "draws": 2}])
    run.job("score", "all-score")
    receipt = run.job("treat", "magnitude+twin")
    assert {cell["status"] for cell in receipt["cells"].values()} == {"ok"}
    twins = {cell: mask(run.record(cell)) for cell in run.cells("magnitude+twin")}
    assert len(twins) == 4
    for cell, twin in twins.items():
        assert twin.per_module() == mask(run.record(cell.untreated)).per_module()
        assert_has_weights_of(run.dense, run.model(cell), twin)
    assert len({twin.keep for twin in twins.values()}) == 4  # of 8 and of 5 heads, each twice
    costs = ("prune_seconds", "prune_updates", "prune_forward_sentences")
    assert all(run.record(cell)[cost] == 0 for cell in twins for cost in costs)
    assert all(run.record(cell)["train_seconds"] == 7.5 for cell in twins)
    before = {cell: (run.path(cell) / "pruned.json").stat().st_mtime_ns for cell in twins}
    run.job("treat", "magnitude+twin")
    assert before == {cell: (run.path(cell) / "pruned.json").stat().st_mtime_ns for cell in twins}


def assert_has_weights_of(whole: Any, pruned: Any, mask: HeadMask) -> None:
    """Every head of `pruned` is that of `whole`."""
    state = pruned.state_dict()
    for name, kept in mask.kept_indices().items():
        side, attribute = {
            "encoder": ("encoder", "self_attn"),
            "cross": ("decoder", "encoder_attn"),
            "decoder": ("decoder", "self_attn"),
        }[name.split(".")[0]]
        key = f"{side}.layers.0.{attribute}.v_proj.weight"
        rows: Tensor = whole.state_dict()[key].unflatten(0, (4, -1))[list(kept)].flatten(0, 1)
        assert torch.equal(state[key], rows) if kept else key not in state


def test_biases_make_up_for_removed_heads(start: Start, mask: MaskOf) -> None:
    """The mask stays; biases alone change, by the mean output of the heads that went; 1e-6 in fp32."""
    run = start([MAGNITUDE], [{"name": "bias_compensation"}], budgets=[5])
    run.job("score", "all-score")
    run.job("treat", "magnitude+bc")
    (cell,) = run.cells("magnitude+bc")
    record, base = run.record(cell), run.record(cell.untreated)
    assert record["mask"] == base["mask"]
    assert record["masked_vs_removed_max_abs"] < 1e-5
    found, before = run.model(cell).state_dict(), run.model(cell.untreated).state_dict()
    changed = {key for key in found if not torch.equal(found[key], before[key])}
    dense, taken = run.dense, mask(base)
    spec = specification(run.plan, next(job for job in run.plan.jobs if job.kind == "treat"))
    batches = ModelContext.of(spec).batches()
    outputs = compensate_bias(dense, taken, context_moments(dense, batches))
    paths = {"encoder": "encoder.layers.0.self_attn", "cross": "decoder.layers.0.encoder_attn"}
    paths |= {"decoder": "decoder.layers.0.self_attn"}
    expected = {f"{paths[name.split('.')[0]]}.out_proj.bias": new.bias for name, new in outputs.items()}
    assert changed == set(expected)
    for key, bias in expected.items():
        torch.testing.assert_close(found[key], bias, rtol=0, atol=1e-6)
    sentences = sum(len(batch["target"]) for batch in batches)
    assert record["prune_forward_sentences"] - base["prune_forward_sentences"] == sentences == 30


def test_fine_tuning_changes_weights_and_no_heads(start: Start, mask: MaskOf) -> None:
    """With a teacher: from the pruned model, for as many updates as were asked for; the masked twin agrees (1e-5)."""
    treatment = {"name": "fine_tune", "updates": 3, "learning_rate": 0.01, "distillation": 0.5, "temperature": 2.0}
    run = start([MAGNITUDE], [treatment], budgets=[5])
    run.job("score", "all-score")
    receipt = run.job("retrain", "magnitude+ft", 5)
    (cell,) = run.cells("magnitude+ft")
    assert receipt["cells"][cell.id]["status"] == "ok", receipt
    record, base = run.record(cell), run.record(cell.untreated)
    assert record["mask"] == base["mask"]
    before, after = run.model(cell.untreated), run.model(cell)
    assert HeadSpace.of(after) == HeadSpace.of(before)
    assert HeadSpace.of(after).names == tuple(base["mask"])
    assert list(after.state_dict()) == list(before.state_dict())  # no teacher in it
    moved = [not torch.equal(after.state_dict()[key], value) for key, value in before.state_dict().items()]
    assert sum(moved) > len(moved) / 2
    largest = max((after.state_dict()[k] - v).abs().max().item() for k, v in before.state_dict().items())
    assert largest < 3 * 0.01 * 1.5  # Adam's steps: it started from these weights, not from new ones
    assert record["masked_vs_removed_max_abs"] < 1e-5
    assert record["prune_updates"] == base["prune_updates"] + 3
    assert record["train_seconds"] == base["train_seconds"]
    assert record["prune_seconds"] > base["prune_seconds"]
    validated = TranslationCorpus(run.plan.folder / "data" / "help").batches("valid", 4000)
    assert record["perplexity"] == pytest.approx(likelihood.perplexity(after, validated), rel=1e-6)


def test_the_unpruned_model_can_train_on(start: Start, mask: MaskOf) -> None:
    """The control of everything that trains on: as many further updates for all heads, at the budget N alone."""
    treatment = {"name": "fine_tune", "of": ["unpruned", "magnitude"], "updates": 3, "budgets": [5]}
    run = start([{"name": "unpruned"}, MAGNITUDE], [treatment])
    (cell,) = run.cells("unpruned+ft")
    assert cell.budget == cell.n_heads
    run.job("score", "all-score")
    receipt = run.job("retrain", "unpruned+ft", cell.budget)
    assert receipt["cells"][cell.id]["status"] == "ok", receipt
    record = run.record(cell)
    assert mask(record).count == cell.n_heads
    assert record["prune_updates"] == 3
    before, after = run.model(cell.untreated).state_dict(), run.model(cell).state_dict()
    assert sum(not torch.equal(after[key], value) for key, value in before.items()) > len(before) / 2


def test_from_scratch_takes_the_architecture_only(start: Start) -> None:
    """The weights of the unpruned model leave no trace: the same mask of another one gives the same."""
    runs = [start([MAGNITUDE], [{"name": "from_scratch"}], f"run{w}", weights=w, budgets=[5]) for w in (1, 2)]
    words, states = "encoder.embed_tokens.weight", []
    assert not torch.equal(*(run.dense.state_dict()[words] for run in runs))
    (cell,) = runs[0].cells("magnitude+scratch")
    runs[0].job("score", "all-score")
    base = runs[0].record(cell.untreated)
    write_json(runs[1].path(cell.untreated) / "pruned.json", base)
    for run in runs:
        run.job("retrain", "magnitude+scratch", 5)
        record = run.record(cell)
        assert record["status"] == "ok", record
        assert record["mask"] == base["mask"]
        assert HeadSpace.of(run.model(cell)).names == tuple(base["mask"])
        assert (record["prune_updates"], record["prune_seconds"]) == (0, 0.0)
        assert record["train_seconds"] > 0
        assert record["masked_vs_removed_max_abs"] < 1e-5
        states.append(run.model(cell).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert not torch.equal(states[0][words], runs[0].dense.state_dict()[words])


def test_twins_from_scratch_have_the_architecture_and_other_initial_weights(start: Start, mask: MaskOf) -> None:
    """Two draws, each with the counts of the mask, none with the weights of the model that the mask was found in."""
    treatments = [{"name": "scratch_twin", "draws": 2}, {"name": "from_scratch"}]
    run = start([MAGNITUDE], treatments, budgets=[5])
    run.job("score", "all-score")
    receipt = run.job("retrain", "magnitude+scratch_twin", 5)
    assert {cell["status"] for cell in receipt["cells"].values()} == {"ok"}, receipt
    run.job("retrain", "magnitude+scratch", 5)
    (scratch,) = run.cells("magnitude+scratch")
    twins = run.cells("magnitude+scratch_twin")
    found = [mask(run.record(cell)) for cell in (scratch, *twins)]
    assert len(found) == len({each.keep for each in found}) == 3
    assert all(each.per_module() == found[0].per_module() for each in found)
    shapes = [Counter(tuple(value.shape) for value in run.model(cell).state_dict().values()) for cell in twins]
    assert shapes[0] == shapes[1] == Counter(tuple(v.shape) for v in run.model(scratch).state_dict().values())
    words = "encoder.embed_tokens.weight"
    assert not torch.equal(run.model(twins[0]).state_dict()[words], run.dense.state_dict()[words])
    assert [run.record(cell)["prune_updates"] for cell in twins] == [0, 0]


def test_a_mask_that_was_not_found_cannot_be_treated(start: Start) -> None:
    """The treated cell says why; once the mask is there, it is made."""
    run = start([MAGNITUDE], [{"name": "matched_random"}], budgets=[5])
    (cell,) = run.cells("magnitude+twin")
    failed = {"signature": "0123", "status": "diverged", "reason": "DivergedError: loss is nan"}
    write_json(run.path(cell.untreated) / "pruned.json", failed)
    found = run.job("treat", "magnitude+twin")["cells"][cell.id]
    assert found["status"] == "failed"
    assert "pruning diverged: DivergedError: loss is nan" in found["reason"]
    (run.path(cell.untreated) / "pruned.json").unlink()
    run.job("score", "all-score")
    assert run.job("treat", "magnitude+twin")["cells"][cell.id]["status"] == "ok"


@pytest.mark.parametrize("distillation", [0.5, 0.0])
def test_a_teacher_whose_training_failed_is_told_as_that(start: Start, distillation: float) -> None:
    """Trainings without a teacher need no unpruned model."""
    treatment = {"name": "fine_tune", "updates": 3, "distillation": distillation}
    run = start([MAGNITUDE], [treatment], budgets=[5])
    run.job("score", "all-score")
    dense = run.plan.folder / "dense" / "tiny" / "s1.json"
    write_json(dense, {"status": "diverged", "reason": "DivergedError: loss is nan"})
    dense.with_suffix(".pt").unlink()
    (cell,) = run.cells("magnitude+ft")
    found = run.job("retrain", "magnitude+ft", 5)["cells"][cell.id]
    reason = "UpstreamError: training of the unpruned model diverged: DivergedError: loss is nan"
    assert (found["status"], found["reason"]) == (("failed", reason) if distillation else ("ok", ""))


def test_a_model_whose_outputs_are_not_numbers_has_failed_cells(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the searches, which refuse them on their own."""
    monkeypatch.setattr(evaluation, "generate", lambda *arguments: {})
    run = start([MAGNITUDE])
    model, path = run.dense, run.plan.folder / "dense" / "tiny" / "s1.pt"
    with torch.no_grad():
        model.decoder.layers[0].final_layer_norm.weight[0] = float("nan")
    removal.save(model, path)
    write_json(path.with_suffix(".json"), read_json(path.with_suffix(".json")) | {"sha256": file_sha256(path)})
    run.job("score", "all-score")
    for cell in run.cells("magnitude"):
        record = run.record(cell)
        assert record["status"] == "failed" and "perplexity" not in record
        assert "is NaN: weights or outputs of the model are not finite" in record["reason"]
