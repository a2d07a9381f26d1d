"""Training through fairseq's own trainer: against stock fairseq, resumed, frozen, settled before it selects."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from headprune import removal
from headprune.config import Architecture, Training
from headprune.heads import Scope
from headprune.models import compat
from headprune.tasks.translation.arguments import arguments
from headprune.training import trainer
from headprune.training.arguments import GateRun, distillation_arguments, gate_arguments
from headprune.training.digests import model_digest
from headprune.training.trainer import DivergedError, configuration, train

ARCHITECTURE = Architecture(width=32, feed_forward=32, encoder_layers=1, decoder_layers=1, heads=2, dropout=0.1)
N = ARCHITECTURE.n_heads


def settings(**changes) -> Training:
    values = {"updates": 12, "max_tokens": 300, "learning_rate": 0.005, "warmup": 4, "schedule": "linear"}
    return Training(**values | changes)


def argv(corpus, gates: GateRun | None = None, **changes) -> list[str]:
    training = settings(**changes)
    extra = gate_arguments(gates, training.updates) if gates else []
    return [*arguments(corpus.binarised, corpus.pair, ARCHITECTURE, training), *extra]


def dsp(**changes) -> GateRun:
    values = {"method": "dsp", "options": {"cooldown": 0.5}, "budget": 2, "seed": 7, "learning_rate": 0.2}
    return GateRun(**values | {"cooldown": 6, "pipelined": False} | changes)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if "gate_method" not in name}


def assert_equal(first, second) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_unpruned_training_is_that_of_stock_fairseq_bit_for_bit(trainable, tmp_path):
    stock = argv(trainable, steps="fairseq")
    ours = train(stock, tmp_path / "ours", seed=3)
    for own, theirs in (
        ("headprune_transformer", "transformer"),
        ("gated_adam", "adam"),
        ("gated_label_smoothed_cross_entropy", "label_smoothed_cross_entropy"),
    ):
        stock[stock.index(own)] = theirs
    stock += ["--save-dir", str(tmp_path / "stock"), "--seed", "3", "--no-epoch-checkpoints", "--num-workers", "0"]
    compat.reset_process_state()
    import fairseq_cli.train

    fairseq_cli.train.main(configuration(stock))
    state = torch.load(tmp_path / "stock" / "checkpoint_best.pt", weights_only=True)
    assert_equal(weights(ours.model), state["model"])


def test_validation_sees_every_sentence(prepared):
    cfg = configuration(argv(prepared))
    assert cfg.dataset.required_batch_size_multiple == 1
    iterator = prepared.task.get_batch_iterator(
        prepared.dataset("valid"), max_tokens=977, required_batch_size_multiple=cfg.dataset.required_batch_size_multiple
    )
    batches = iterator.next_epoch_itr(shuffle=False)
    assert sum(batch["nsentences"] for batch in batches) == 463


@pytest.mark.parametrize("gates", [None, dsp(), dsp(pipelined=True)], ids=["dense", "joint", "pipelined"])
def test_a_killed_run_ends_like_an_undisturbed_one(trainable, tmp_path, gates, trained_path):
    start = trained_path if gates and gates.pipelined else None
    whole = train(argv(trainable, gates), tmp_path / "whole", 1, start, checkpoint_every=4)

    def kill(update, total, loss):
        if update >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(argv(trainable, gates), tmp_path / "killed", 1, start, 4, on_progress=kill)
    assert (tmp_path / "killed" / "checkpoint_last.pt").exists()
    resumed = train(argv(trainable, gates), tmp_path / "killed", 1, start, checkpoint_every=4)
    assert_equal(weights(whole.model), weights(resumed.model))
    assert whole.mask == resumed.mask
    assert whole.terms == resumed.terms
    assert [p for p in whole.curve if p["split"] == "valid"] == [p for p in resumed.curve if p["split"] == "valid"]


def test_runs_of_one_process_do_not_influence_each_other(trainable, tmp_path):
    first = train(argv(trainable), tmp_path / "a", seed=1)
    train(argv(trainable, dsp()), tmp_path / "b", seed=2)
    again = train(argv(trainable), tmp_path / "c", seed=1)
    assert_equal(weights(first.model), weights(again.model))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_digests_of_a_frozen_model_stay(trainable, tmp_path, trained_path, precision):
    """In half precision, those of the weights as they are rounded."""
    trained = train(argv(trainable, dsp(pipelined=True), precision=precision), tmp_path / "run", 1, start=trained_path)
    assert trained.terms.initial_weights == model_digest(trained.model)
    before = removal.load(trained_path)
    start = before.bfloat16() if precision == "bf16" else before
    assert trained.terms.initial_weights == model_digest(start)


def test_pipelined_training_leaves_the_model_alone(trainable, tmp_path, trained_path):
    trained = train(argv(trainable, dsp(pipelined=True)), tmp_path / "run", 1, start=trained_path)
    assert_equal(weights(removal.load(trained_path)), weights(trained.model))
    assert trained.mask is not None
    assert trained.mask.count == 2


def test_continued_training_moves_the_weights_of_the_model(trainable, tmp_path, trained_path):
    """They move from those it was given: no weight is farther than Adam's steps reach, 12 times the peak rate."""
    trained = train(argv(trainable, dsp(), learning_rate=0.001), tmp_path / "run", 1, start=trained_path)
    before, after = weights(removal.load(trained_path)), weights(trained.model)
    assert before.keys() == after.keys()
    moved = {name: (after[name] - before[name]).abs().max().item() for name in before}
    assert sum(distance > 0 for distance in moved.values()) > len(moved) / 2
    assert max(moved.values()) < 12 * 0.001 * 1.5
    assert trained.mask is not None
    assert trained.mask.count == 2


def test_gates_of_a_scope_are_trained_alone(trainable, tmp_path, trained_path):
    """Two of three modules have gates; the method knows no other heads, the weights stand still."""
    scope = Scope(("encoder", "decoder"), 1)
    trained = train(argv(trainable, dsp(pipelined=True, scope=scope, budget=2)), tmp_path / "run", 1, trained_path)
    assert_equal(weights(removal.load(trained_path)), weights(trained.model))
    assert trained.gates is not None
    assert trained.gates.space.modules == ("encoder.0", "decoder.0")
    assert trained.mask is not None
    assert trained.mask.per_module() == {"encoder.0": 1, "decoder.0": 1}
    assert trained.gates.scope == scope


def test_distillation_goes_through_the_trainer(trainable, tmp_path, trained_path):
    """The criterion is found by its arguments, the checkpoint has no teacher, and validation has no part in it: after
    no step at all (learning rate 1e-30) its loss is that of an ordinary training."""
    curves = []
    for name, extra in (("plain", []), ("distilled", distillation_arguments(trained_path, 0.7, 2.0))):
        arguments = [*argv(trainable, learning_rate=1e-30, updates=3), *extra]
        trained = train(arguments, tmp_path / name, 1, start=trained_path)
        assert_equal(weights(removal.load(trained_path)), weights(trained.model))
        curves.append([point for point in trained.curve if point["split"] == "valid"])
    assert curves[0]
    assert curves[0] == curves[1]
    cfg = configuration([*argv(trainable), *distillation_arguments(trained_path, 0.7, 2.0)]).criterion
    found = (cfg._name, cfg.teacher, cfg.distillation, cfg.distillation_temperature, cfg.label_smoothing)
    assert found == ("distilled_label_smoothed_cross_entropy", str(trained_path), 0.7, 2.0, 0.1)


def test_joint_training_starts_from_the_same_weights_and_data_as_dense(trainable, tmp_path):
    """With K = N every gate is 1 up to rounding: joint training is then the dense one, apart from rounding."""
    dense = train(argv(trainable, updates=3), tmp_path / "dense", seed=5)
    gates = dsp(budget=N, cooldown=0, options={"start": 1e-8, "cooldown": 0.0})
    joint = train(argv(trainable, gates, updates=3), tmp_path / "joint", seed=5)
    assert joint.mask is not None
    assert joint.mask.count == N
    for name, value in weights(dense.model).items():
        torch.testing.assert_close(value, weights(joint.model)[name], atol=2e-3, rtol=0)


def test_equal_terms_can_be_read_off_the_digests(trainable, tmp_path):
    """One seed: another method, another budget, another penalty. Another seed changes both digests."""
    l0 = GateRun("l0", {}, N, seed=3, learning_rate=0.1, cooldown=0, pipelined=False)
    early = {"cooldown": 0, "options": {"cooldown": 0.0}}
    cases = {"dense": None, "dsp": dsp(**early), "other": dsp(budget=3, seed=9, **early), "l0": l0}
    found = {
        name: train(argv(trainable, gates, updates=3), tmp_path / name, seed=5).terms for name, gates in cases.items()
    }
    assert all(terms == found["dense"] for terms in found.values())
    assert len(found["dense"].initial_weights) == len(found["dense"].data_order) == 16
    other = train(argv(trainable, updates=3), tmp_path / "seed", seed=6).terms
    assert other.initial_weights != found["dense"].initial_weights
    assert other.data_order != found["dense"].data_order
    longer = train(argv(trainable, updates=4), tmp_path / "longer", seed=5).terms
    assert longer.initial_weights == found["dense"].initial_weights
    assert longer.data_order != found["dense"].data_order


def test_no_checkpoint_is_selected_before_the_gates_have_settled(trainable, tmp_path):
    trained = train(argv(trainable, dsp(cooldown=9)), tmp_path / "run", 1, checkpoint_every=2)
    validated = [point["update"] for point in trained.curve if point["split"] == "valid"]
    assert validated
    assert min(validated) >= 9


def test_gates_move_fast_and_weights_follow_their_schedule(trainable, tmp_path):
    """Adam's first steps have the size of the learning rate: 0.2 a step for the logits, whatever the warm-up."""
    cfg = configuration(argv(trainable, dsp(), updates=3, learning_rate=1e-4, warmup=3))
    assert cfg.optimizer.gate_lr == pytest.approx(0.2)
    seen = []

    def remember(update, total, loss):
        state = torch.load(tmp_path / "run" / "checkpoint_last.pt", weights_only=True)
        seen.append(state["last_optimizer_state"]["param_groups"])

    train(argv(trainable, dsp(cooldown=0), updates=6, warmup=3), tmp_path / "run", 1, None, 2, _from_second(remember))
    for groups in seen:
        weights_group, gates_group = groups
        assert gates_group["lr"] == pytest.approx(0.2)
        assert gates_group["weight_decay"] == 0
        assert weights_group["lr"] < 0.01
    assert seen


def _from_second(function):
    calls = []

    def wrapped(update, total, loss):
        calls.append(update)
        if len(calls) > 1:
            function(update, total, loss)

    return wrapped


def test_divergence_is_told_apart(trainable, tmp_path):
    with pytest.raises(DivergedError):
        train(argv(trainable, learning_rate=1e30, warmup=0, updates=8), tmp_path / "run", seed=1)


@pytest.mark.parametrize(("labels", "limit"), [(3, 20.0), (0, 4 * 13.0)], ids=["three labels", "8,192 words"])
def test_a_loss_explodes_far_above_that_of_guessing(tmp_path, labels, limit):
    """Four times log2 of the answers, but 20 bits at least."""
    (tmp_path / "dict.txt").write_text("".join(f"word{number} 1\n" for number in range(8192)), encoding="utf-8")
    task, optimization = Namespace(num_classes=labels, data=str(tmp_path)), Namespace(max_update=5)
    curve = trainer._Curve(tmp_path / "curve.jsonl", Namespace(task=task, optimization=optimization), None)
    point = {"split": "train", "update": 1}
    curve.check(point | {"nll_loss": limit - 0.1})
    with pytest.raises(DivergedError, match="far above that of guessing"):
        curve.check(point | {"nll_loss": limit + 0.1})


def test_bf16_trains_with_gates_in_full_precision(trainable, tmp_path):
    trained = train(argv(trainable, dsp(), precision="bf16", updates=8), tmp_path / "run", seed=1)
    assert trained.mask is not None
    assert trained.mask.count == 2
    assert all(torch.isfinite(value).all() for value in weights(trained.model).values())


@pytest.fixture(scope="module")
def trained_path(trainable, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dense")
    removal.save(train(argv(trainable), folder / "run", seed=1).model, folder / "dense.pt")
    return folder / "dense.pt"
