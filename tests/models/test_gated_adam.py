"""Model and gates step, are clipped and resume as groups of their own."""

from __future__ import annotations

import copy
from argparse import Namespace
from typing import Any

import pytest
import torch
from fairseq.optim.fp16_optimizer import FP16Optimizer
from omegaconf import OmegaConf
from torch import nn

from headprune.models.optimisers import GatedAdam


def configuration(**changes: Any) -> Namespace:
    defaults = {"lr": [0.01], "adam_betas": "(0.9, 0.98)", "adam_eps": 1e-8, "weight_decay": 0.1, "use_old_adam": True}
    defaults |= {"fp16_adam_stats": False, "tpu": False, "gate_lr": 0.2, "gate_clip_norm": 1.0}
    return Namespace(**defaults | changes)


def two_groups() -> tuple[nn.Parameter, nn.Parameter]:
    torch.manual_seed(0)
    weight, gate = nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(3, dtype=torch.float64))
    gate.param_group = "gates"  # type: ignore[attr-defined]
    return weight, gate


@pytest.mark.parametrize("schedule", ["constant", "model"])
def test_each_group_steps_as_its_own_adam(schedule: str) -> None:
    """Against torch's AdamW with weight decay for weights, and Adam for gates, at a constant rate or one that has the
    same share of its peak as that of the weights; relative 1e-5."""
    weight, gate = two_groups()
    ours = GatedAdam(configuration(gate_schedule=schedule), [weight, gate])
    weight_twin, gate_twin = (nn.Parameter(p.detach().clone()) for p in (weight, gate))
    theirs = [
        torch.optim.AdamW([weight_twin], betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1),
        torch.optim.Adam([gate_twin], lr=0.2, betas=(0.9, 0.98), eps=1e-8),
    ]
    for step in range(20):
        rate = 0.01 / (step + 1)
        ours.set_lr(rate)
        theirs[0].param_groups[0]["lr"] = rate
        theirs[1].param_groups[0]["lr"] = 0.2 / (step + 1) if schedule == "model" else 0.2
        assert ours.get_lr() == rate
        for parameter, twin in ((weight, weight_twin), (gate, gate_twin)):
            parameter.grad = torch.randn_like(parameter)
            twin.grad = parameter.grad.clone()
        ours.step()
        for optimiser in theirs:
            optimiser.step()
    torch.testing.assert_close(weight, weight_twin, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gate, gate_twin, rtol=1e-5, atol=1e-6)


def test_gates_are_clipped_apart() -> None:
    weight, gate = two_groups()
    optimiser = GatedAdam(configuration(gate_clip_norm=2.0), [weight, gate])
    weight.grad, gate.grad = torch.full((4,), 3.0), torch.full((3,), 100.0, dtype=torch.float64)
    assert optimiser.clip_grad_norm(1.5).item() == pytest.approx(6.0)
    assert weight.grad.norm().item() == pytest.approx(1.5, rel=1e-5)
    assert gate.grad.norm().item() == pytest.approx(2.0, rel=1e-5)
    weight.grad, gate.grad = torch.full((4,), 3.0), torch.full((3,), 0.1, dtype=torch.float64)
    assert optimiser.clip_grad_norm(0.0).item() == pytest.approx(6.0)
    assert torch.equal(weight.grad, torch.full((4,), 3.0))
    assert gate.grad.norm().item() == pytest.approx(0.1 * 3**0.5)


def test_norm_is_aggregated_as_fairseq_wants_it() -> None:
    weight, gate = two_groups()
    optimiser = GatedAdam(configuration(), [weight, gate])
    weight.grad, gate.grad = torch.full((4,), 3.0), torch.ones(3, dtype=torch.float64)
    assert optimiser.clip_grad_norm(0.0, lambda norm: 2 * norm).item() == pytest.approx(12.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_bad_gate_gradients_count_zero_and_bad_weight_gradients_are_seen(bad: float) -> None:
    weight, gate = two_groups()
    optimiser = GatedAdam(configuration(), [weight, gate])
    weight.grad, gate.grad = torch.ones(4), torch.tensor([bad, 0.6, 0.8 * 0.5], dtype=torch.float64)
    assert optimiser.clip_grad_norm(0.0).item() == pytest.approx(2.0)
    assert gate.grad.tolist() == [0.0, 0.6, 0.4]
    before = gate.detach().clone()
    optimiser.step()
    assert torch.isfinite(gate).all()
    assert gate[0] == before[0]
    weight.grad[1] = bad
    assert not torch.isfinite(optimiser.clip_grad_norm(0.0))


def test_gates_alone_and_weights_alone() -> None:
    for parameter, norm, rate in zip(two_groups(), (2.0, 3**0.5), (0.01, 0.2), strict=True):
        optimiser = GatedAdam(configuration(), [parameter])
        assert len(optimiser.param_groups) == 1
        optimiser.set_lr(0.01)
        assert optimiser.get_lr() == rate
        parameter.grad = torch.ones_like(parameter)
        found = optimiser.clip_grad_norm(0.0)
        assert found.item() == pytest.approx(norm)
        assert found.dtype == torch.float32
        optimiser.step()


def test_optimiser_state_is_resumed() -> None:
    """Another optimiser with the saved state goes on bit for bit, the groups keeping their rates."""

    def step(optimiser: GatedAdam, parameters: tuple[nn.Parameter, ...], seed: int) -> None:
        torch.manual_seed(seed)
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        optimiser.set_lr(0.003)
        optimiser.step()

    whole = two_groups()
    first = GatedAdam(configuration(), whole)
    step(first, whole, 1)
    resumed = two_groups()
    for parameter, value in zip(resumed, whole, strict=True):
        parameter.data.copy_(value.data)
    second = GatedAdam(configuration(), resumed)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    step(first, whole, 2)
    step(second, resumed, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    assert [group["lr"] for group in second.param_groups] == [0.003, 0.2]
    assert [group["weight_decay"] for group in second.param_groups] == [0.1, 0.0]


@pytest.mark.parametrize("fused", [False, True])
def test_half_precision_clips_in_the_same_units(fused: bool) -> None:
    """Gradients of a summed loss of 1,000 tokens, scaled and clipped by fairseq's bf16 optimiser and by ours alone:
    relative 1e-6, with gradients that bf16 holds exactly. Both groups are above their norms.
    """
    precise, half = (two_groups() for _ in range(2))
    for ours in (precise, half):
        for parameter in ours:
            parameter.data = parameter.data.bfloat16().to(parameter.dtype)
    weight = nn.Parameter(half[0].data.bfloat16())
    cfg = OmegaConf.create(
        {
            "common": {"bf16": True, "fp16_scale_window": 1},
            "optimizer": {"_name": "gated_adam", **vars(configuration(gate_clip_norm=0.5)), "fused": fused},
            "optimization": {"update_freq": [1]},
        }
    )
    wrapped = FP16Optimizer.build_optimizer(cfg, [weight, half[1]])
    plain = GatedAdam(configuration(gate_clip_norm=0.5, fused=fused), precise)
    for optimiser, parameters in ((plain, precise), (wrapped, (weight, half[1]))):
        for parameter, gradient in zip(parameters, ([4096.0, 0.0, -2048.0, 0.0], [512.0, 0.0, -256.0]), strict=True):
            parameter.grad = torch.tensor(gradient, dtype=parameter.dtype)
        if optimiser is wrapped:
            wrapped._needs_sync = True
        optimiser.multiply_grads(1 / 1000)
        assert optimiser.clip_grad_norm(1.5).item() == pytest.approx(20**0.5 * 1.024, rel=1e-6)
    for parameter, master in zip(precise, wrapped.fp32_params, strict=True):
        torch.testing.assert_close(master.grad, parameter.grad.float(), rtol=1e-6, atol=0)
    assert precise[1].grad.norm().item() == pytest.approx(0.5, rel=1e-5)
