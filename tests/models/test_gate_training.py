"""Gate methods in fairseq's trainer: what the model does with them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_gated_adam import configuration
from torch import Tensor

from headprune import removal
from headprune.gates import probing, set_gates, set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.importance import example_losses
from headprune.method import load_methods
from headprune.models.optimisers import GatedAdam
from tests.found import Found, rows

Build = Callable[..., Any]
Batch = dict[str, Any]
Logits = Callable[[Any, Batch], Tensor]
DSP = {"gate_method": "dsp", "gate_budget": 5, "gate_total_updates": 100, "gate_seed": 3}


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(seed=1, size=6)


def gates_of(model: Any) -> Tensor:
    """The gates that stand in the model (N,)."""
    return torch.cat([point.module.out_proj.gate for point in attention_points(model)], -1)


def drawn(model: Any, batch: Batch) -> Tensor:
    """The gates of one training forward."""
    model.train()(**batch["net_input"])
    return gates_of(model).detach().clone()


def hard_mask(model: Any) -> HeadMask:
    """The heads that are open in evaluation."""
    return HeadMask(HeadSpace.of(model), gates_of(model.eval()).ne(0).int())


def test_training_draws_gates_that_sum_to_the_budget(build: Build, batch: Batch) -> None:
    """Each update draws anew, and so does each forward pass of an update."""
    model = build(**DSP)
    draws = []
    for update in (0, 1, 2, 50, 99):
        model.set_num_updates(update)
        draws += [drawn(model, batch), drawn(model, batch)]
    assert all(abs(gates.sum().item() - 5) < 1e-9 for gates in draws)
    assert len({tuple(gates.tolist()) for gates in draws}) == 10


def test_a_resumed_run_draws_what_the_whole_run_draws(build: Build, batch: Batch) -> None:
    """Whatever came before: the draw is one of the seed, the update and the micro-batch."""
    whole = build(**DSP)
    for update in range(7):
        whole.set_num_updates(update)
        drawn(whole, batch)
    whole.set_num_updates(7)
    expected = [drawn(whole, batch), drawn(whole, batch)]
    resumed = build(**DSP)
    resumed.load_state_dict(whole.state_dict())
    resumed.set_num_updates(7)
    assert all(torch.equal(drawn(resumed, batch), gates) for gates in expected)
    other = build(**DSP | {"gate_seed": 4})
    other.load_state_dict(whole.state_dict())
    other.set_num_updates(7)
    assert not torch.equal(drawn(other, batch), expected[0])


def test_validation_between_updates_changes_no_draw(build: Build, batch: Batch) -> None:
    plain, validated = build(**DSP), build(**DSP)
    for model in (plain, validated):
        model.set_num_updates(3)
    validated.eval()(**batch["net_input"])
    assert torch.equal(drawn(plain, batch), drawn(validated, batch))


def test_drawing_gates_leaves_the_global_random_numbers_alone(build: Build, batch: Batch) -> None:
    """Truth 5: the same data order and dropout for every method."""
    after = []
    for arguments in (DSP, {}):
        model = build(**arguments).train()
        torch.manual_seed(1)
        model(**batch["net_input"])
        after.append(torch.rand(3))
    assert torch.equal(after[0], after[1])


@pytest.mark.parametrize("budget", [0, 5, 24])
def test_evaluation_uses_exactly_the_hard_mask(build: Build, batch: Batch, logits: Logits, budget: int) -> None:
    model = build(**DSP | {"gate_budget": budget})
    drawn(model, batch)
    model.eval()
    plain = build()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("gate_method.")})
    mask = model.gate_method.keep(budget)
    assert mask.count == budget
    set_mask(plain, mask)
    assert torch.equal(logits(model, batch), logits(plain, batch))


def test_the_hard_mask_is_set_on_eval_without_a_forward_pass(build: Build, batch: Batch) -> None:
    """Beam search calls encoder and decoder, never the model."""
    model = build(**DSP)
    drawn(model, batch)
    model.eval()
    assert gates_of(model).tolist() == list(model.gate_method.keep(5).keep)


def test_the_hard_mask_follows_the_logits(build: Build, batch: Batch) -> None:
    model = build(**DSP).eval()
    with torch.no_grad():
        model.gate_method.logits.copy_(-torch.arange(24.0))
        model(**batch["net_input"])
    assert gates_of(model).tolist() == [1.0] * 5 + [0.0] * 19


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("budget", [0, 5, 24])
def test_pipelined_trains_the_gates_only(build: Build, batch: Batch, pipelined: bool, budget: int) -> None:
    model = build(**DSP | {"gate_pipelined": pipelined, "gate_budget": budget}).train()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    everything = {name for name, _ in model.named_parameters()}
    assert trained == ({"gate_method.logits"} if pipelined else everything)
    assert [p.param_group for p in model.parameters() if hasattr(p, "param_group")] == ["gates"]
    model(**batch["net_input"])[0].square().mean().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (name in trained), name


def test_a_pipelined_update_leaves_the_weights_byte_identical(build: Build, batch: Batch) -> None:
    model = build(**DSP | {"gate_pipelined": True}).train()
    before = copy.deepcopy(model.state_dict())
    optimiser = GatedAdam(configuration(), [p for p in model.parameters() if p.requires_grad])
    for update in range(3):
        model.set_num_updates(update)
        optimiser.zero_grad()
        optimiser.backward(model(**batch["net_input"])[0].square().mean())
        optimiser.clip_grad_norm(0.0)
        optimiser.step()
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["gate_method.logits"]


def test_a_dense_checkpoint_starts_gates_afresh(build: Build) -> None:
    gated, dense = build(seed=1, **DSP), build(seed=2)
    fresh = gated.gate_method.logits.detach().clone()
    gated.load_state_dict(dense.state_dict())
    assert torch.equal(gated.gate_method.logits, fresh)
    loaded = gated.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in dense.state_dict().items())


def test_a_gated_checkpoint_loads_into_a_dense_model(build: Build, batch: Batch, logits: Logits) -> None:
    gated, dense = build(seed=1, **DSP), build(seed=2)
    dense.load_state_dict(gated.state_dict())
    assert torch.equal(logits(dense, batch), logits(build(seed=1), batch))


def test_a_gated_checkpoint_resumes_its_gates(build: Build, batch: Batch) -> None:
    first, second = build(seed=1, **DSP), build(seed=2, **DSP)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.gate_method.logits, second.gate_method.logits)
    assert first.gate_method.keep(5) == second.gate_method.keep(5)


def test_a_gated_model_is_saved_without_its_gates(build: Build, batch: Batch, logits: Logits, tmp_path: Path) -> None:
    removal.save(build(**DSP), tmp_path / "model.pt")
    loaded = removal.load(tmp_path / "model.pt")
    assert loaded.gate_method is None
    assert "gate_method.logits" not in loaded.state_dict()
    assert HeadSpace.of(loaded) == HeadSpace.of(build())


def test_gates_go_into_a_pruned_model(build: Build, batch: Batch) -> None:
    """`--keep-heads` first, then a gate method over the heads that are left."""
    model = build(**DSP | {"gate_budget": 2}, keep_heads='{"encoder.0": [1, 3], "cross.1": [], "decoder.0": [2]}')
    names = model.gate_method.space.names
    assert names == HeadSpace.of(model).names
    assert names[:2] == ("encoder.0.1", "encoder.0.3")
    assert len(names) == 24 - 2 - 4 - 3
    model.train()(**batch["net_input"])[0].sum().backward()
    assert model.gate_method.logits.grad is not None


def test_unknown_gate_methods_get_the_nearest(build: Build) -> None:
    """`fairseq-train --gate-method dps` does not go through the suite's configuration."""
    with pytest.raises(ValueError, match="unknown method 'dps'; did you mean 'dsp'"):
        build(**DSP | {"gate_method": "dps"})


@pytest.mark.parametrize("change", [{"gate_budget": 25}, {"gate_budget": -1}, {"gate_options": '{"strat": 1}'}])
def test_bad_gate_arguments_are_refused(build: Build, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="outside 0…24|did you mean 'start'"):
        build(**DSP | change)


CROSS = {"gate_types": "cross", "gate_budget": 3}  # 8 of 24 heads have gates


@pytest.mark.parametrize("types", ["cross", "encoder,decoder", "decoder"])
@pytest.mark.parametrize("method", ["dsp", "l0", "ste"])
def test_heads_outside_the_scope_have_no_gate(build: Build, batch: Batch, types: str, method: str) -> None:
    """Exactly 1 in every training forward, kept by the hard mask; the others are those of the method in their order."""
    model = build(**DSP | {"gate_method": method, "gate_types": types})
    space = HeadSpace.of(model)
    outside = torch.tensor([head.type not in types.split(",") for head in space])
    assert list(model.gate_method.space) == [head for head in space if head.type in types.split(",")]
    for update in (0, 50, 99):
        model.set_num_updates(update)
        gates = drawn(model, batch)
        assert (gates[outside] == 1).all()
        assert not (gates[~outside] == 1).all()
    hard = torch.tensor(hard_mask(model).keep)
    assert gates_of(model).tolist() == hard.tolist()
    assert hard[outside].all()
    assert hard[~outside].tolist() == list(model.gate_method.keep(5).keep)
    if model.gate_method.exact:
        assert hard[~outside].sum() == 5


def test_evaluation_under_a_scope_is_the_masked_model(build: Build, batch: Batch, logits: Logits) -> None:
    model = build(**DSP | CROSS).eval()
    with torch.no_grad():
        model.gate_method.logits.copy_(torch.tensor([3.0, -1, -2, -3, 2, -4, -5, 1]))
    plain = build()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("gate_method.")})
    kept = {"cross.0.0", "cross.1.0", "cross.1.3"}
    space = HeadSpace.of(plain)
    set_mask(plain, space.keep(i for i, h in enumerate(space) if h.type != "cross" or h.name in kept))
    assert torch.equal(logits(model, batch), logits(plain, batch))


@pytest.mark.parametrize("method", ["dsp", "l0", "ste", "movement", "lagrangian_l0"])
def test_every_module_keeps_its_minimum(build: Build, method: str) -> None:
    """Values in the order of the space, lowest in the first modules: without a minimum these would be emptied."""
    minimum = {"gate_method": method, "gate_budget": 8, "gate_min_per_module": 1}
    model, free = build(**DSP | minimum), build(**DSP | minimum | {"gate_min_per_module": 0})
    for each in (model, free):
        with torch.no_grad():
            for parameter in each.gate_method.parameters():
                if len(parameter) == 24:
                    parameter.copy_(torch.linspace(-3, 1.5, 24))
    assert min(hard_mask(model).per_module().values()) == 1
    assert min(hard_mask(free).per_module().values()) == 0
    last = {f"{name}.3" for name in model.gate_method.space.modules}
    assert last <= set(hard_mask(model).names())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gate_types": "crss"}, "types are encoder, cross, decoder; got 'crss'"),
        ({"gate_types": "cross", "gate_budget": 9}, "budget 9 is outside 0…8"),
        ({"gate_min_per_module": -1}, "must not be negative"),
    ],
)
def test_bad_scopes_are_refused(build: Build, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**DSP | change)


GATES = sorted(name for name, entry in load_methods().items() if entry.kind == "gate")


def in_training(build: Build, batch: Batch, name: str) -> Any:
    """A model after a training forward, whose graph is still there."""
    budget = 5 if load_methods()[name].method.per_budget else 24  # type: ignore[attr-defined]
    model = build(**DSP | {"gate_method": name, "gate_budget": budget}).train()
    model.set_num_updates(40)
    torch.manual_seed(1)
    (example_losses(model, batch).sum() + model.gate_penalty()).backward()
    return model


def unpickled(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


def reloaded(model: Any) -> Any:
    content = io.BytesIO()
    torch.save(model, content)
    content.seek(0)
    return torch.load(content, weights_only=False)


@rows(*(Found(name, "RuntimeError: not a leaf", "an equal model", "torch's copy protocol", name) for name in GATES))
@pytest.mark.parametrize("copier", [copy.deepcopy, unpickled, reloaded])
def test_a_model_can_be_copied_while_it_trains(
    build: Build, batch: Batch, logits: Logits, copier: Callable[[Any], Any], found: Found
) -> None:
    """The copy has the gates of the last forward, without their graph, and trains on as the original does."""
    model = in_training(build, batch, found.case)
    twin = copier(model)
    assert torch.equal(gates_of(twin), gates_of(model))
    assert not any(gate.requires_grad for gate in (p.module.out_proj.gate for p in attention_points(twin)))
    losses = []
    for each in (model, twin):
        torch.manual_seed(2)
        each.zero_grad()
        loss = example_losses(each, batch).sum() + each.gate_penalty()
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[1]
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert own.data_ptr() != other.data_ptr()
        assert getattr(own, "param_group", None) == getattr(other, "param_group", None)
        assert (own.grad is None) == (other.grad is None)
        assert own.grad is None or torch.equal(own.grad, other.grad)
    assert torch.equal(logits(model.eval(), batch), logits(twin.eval(), batch))


def test_a_copied_projection_leaves_the_gradient_of_the_original(build: Build, batch: Batch) -> None:
    """Between forward and backward, and under probes, which the copy does not keep."""
    model, gates = build(), torch.rand(24, requires_grad=True)
    set_gates(model, gates)
    loss = example_losses(model, batch).sum()
    twins = [copy.deepcopy(point.module.out_proj) for point in attention_points(model)]
    loss.backward()
    assert gates.grad is not None
    assert (gates.grad != 0).all()
    assert all(torch.equal(twin.gate, part) for twin, part in zip(twins, gates.detach().split(4), strict=True))
    with probing(model):
        model(**batch["net_input"])
        assert all(point.module.out_proj.probes is None for point in attention_points(copy.deepcopy(model)))
