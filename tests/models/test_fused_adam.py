"""Adam with one call for all tensors against fairseq's own, and gradients scaled and clipped together."""

from __future__ import annotations

import copy
from argparse import Namespace
from typing import Any

import headprune.models.compat  # noqa: F401

import pytest
import torch
from torch import nn

from headprune.models.optimisers import FusedAdam, GatedAdam

SHAPES = [(3, 4), (5,), (2, 2, 2)]


def configuration(fused: bool, **changes: Any) -> Namespace:
    defaults = {"lr": [0.01], "adam_betas": "(0.9, 0.98)", "adam_eps": 1e-4, "weight_decay": 0.1, "use_old_adam": True}
    defaults |= {"fp16_adam_stats": False, "tpu": False, "gate_lr": 0.2, "gate_clip_norm": 1.0, "fused": fused}
    return Namespace(**defaults | changes)


def parameters(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    """Weights of several shapes and, last, gates in double precision."""
    generator = torch.Generator().manual_seed(0)
    made = [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)) for shape in SHAPES]
    gates = nn.Parameter(torch.randn(6, generator=generator, dtype=torch.float64))
    gates.param_group = "gates"  # type: ignore[attr-defined]
    return [*made, gates]


def pull(members: list[nn.Parameter], seed: int, without: int | None = None) -> None:
    """Gradients for all, or for all but one."""
    generator = torch.Generator().manual_seed(seed)
    for number, parameter in enumerate(members):
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.dtype)
        parameter.grad = None if number == without else drawn


def steps(optimiser: GatedAdam, members: list[nn.Parameter], numbers: range) -> None:
    """Updates as fairseq's trainer makes them, but not clipped in double precision; every third lacks a gradient."""
    for number in numbers:
        pull(members, number, without=number % 4 if number % 3 == 0 else None)
        optimiser.set_lr(0.01 / (number + 1))
        optimiser.multiply_grads(0.5)
        if members[0].dtype == torch.float32:
            optimiser.clip_grad_norm(1.0)
        optimiser.step()


def test_steps_are_those_of_fairseqs_adam_in_double_precision() -> None:
    """Within 1e-12 after 20 updates: also with an ε that matters, and where tensors have made unequal steps."""
    trained = []
    for fused in (True, False):
        members = parameters()
        optimiser = GatedAdam(configuration(fused), members)
        assert isinstance(optimiser.optimizer, FusedAdam) == fused
        steps(optimiser, members, range(20))
        trained.append(members)
    for one, other in zip(*trained, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_state_is_fairseqs_and_is_resumed_bit_for_bit() -> None:
    whole = parameters(torch.float32)
    first = GatedAdam(configuration(True), whole)
    steps(first, whole, range(5))
    resumed = parameters(torch.float32)
    for parameter, value in zip(resumed, whole, strict=True):
        parameter.data.copy_(value.data)
    second = GatedAdam(configuration(True), resumed)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    state = first.state_dict()["state"]
    assert set(state[0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert all(isinstance(each["step"], int) for each in state.values())
    steps(first, whole, range(5, 9))
    steps(second, resumed, range(5, 9))
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_half_precision_takes_fairseqs_own_way() -> None:
    trained = []
    for fused in (True, False):
        members = parameters(torch.bfloat16)
        optimiser = GatedAdam(configuration(fused), members)
        pull(members, 1)
        optimiser.step()
        trained.append(members)
    assert all(torch.equal(one, other) for one, other in zip(*trained, strict=True))


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_gradients_are_scaled_and_clipped_as_fairseq_does(factor: float, max_norm: float) -> None:
    """Norms and gradients of weights and gates, relative 1e-6; of gates, those that are not finite count as 0."""
    found, norms = [], []
    for fused in (True, False):
        members = parameters(torch.float32)
        pull(members, 3, without=1)
        members[3].grad[2] = torch.nan  # type: ignore[index]
        optimiser = GatedAdam(configuration(fused), members)
        optimiser.multiply_grads(factor)
        norms.append(optimiser.clip_grad_norm(max_norm))
        found.append([p.grad for p in members if p.grad is not None])
    assert norms[0].item() == pytest.approx(norms[1].item(), rel=1e-6)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_a_step_without_clipping_scales_too() -> None:
    trained = []
    for fused in (True, False):
        members = parameters()
        pull(members, 4)
        optimiser = GatedAdam(configuration(fused), members)
        optimiser.multiply_grads(0.5)
        optimiser.multiply_grads(0.5)
        optimiser.step()
        trained.append(members)
    for one, other in zip(*trained, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_gradients_that_are_not_finite_are_seen() -> None:
    members = parameters(torch.float32)
    pull(members, 3)
    members[0].grad[0, 0] = torch.inf  # type: ignore[index]
    assert not torch.isfinite(GatedAdam(configuration(True), members).clip_grad_norm(1.0))
