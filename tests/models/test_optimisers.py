"""The two parameter groups, and LAMB by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from headprune.models.optimisers import GatedLamb, GatedLambConfig


def config(**changes) -> SimpleNamespace:
    values = {"lamb_betas": "(0.9, 0.999)", "lamb_eps": 1e-8, "weight_decay": 0.0, "gate_lr": 0.03, "lr": [0.01]}
    return SimpleNamespace(**values | {"gate_clip_norm": 1.0} | changes)


def gate(values: list[float]) -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))
    parameter.param_group = "gates"  # type: ignore[attr-defined]
    return parameter


def lamb(start, gradients, learning_rate, weight_decay=0.0):
    """The equations of Shim et al. as docs/theory/language-model-training.md#lamb gives them."""
    p, m, v = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for g in gradients:
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        update = m / (v.sqrt() + 1e-8) + weight_decay * p
        w, n = min(float(p.norm()), 10.0), float(update.norm())
        p = p - learning_rate * (w / (n + 1e-8) if w and n else 1.0) * update
    return p


@pytest.mark.parametrize("start", [[3.0, -4.0], [0.0, 0.0], [30.0, 40.0]], ids=["plain", "zero", "norm above 10"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lamb_steps_as_the_equations_say(start, weight_decay):
    weight, gates = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64)), gate([2.0] * 8)
    optimiser = GatedLamb(config(weight_decay=weight_decay), [weight, gates])
    optimiser.set_lr(0.01)
    steps = [torch.tensor([0.5, -1.0], dtype=torch.float64), torch.tensor([0.25, 2.0], dtype=torch.float64)]
    pulls = [torch.linspace(-1, 1, 8, dtype=torch.float64), torch.ones(8, dtype=torch.float64)]
    for step, pull in zip(steps, pulls, strict=True):
        weight.grad, gates.grad = step.clone(), pull.clone()
        optimiser.step()
    expected = lamb(torch.tensor(start, dtype=torch.float64), steps, 0.01, weight_decay)
    assert weight.detach().tolist() == pytest.approx(expected.tolist(), abs=1e-12)
    expected = lamb(torch.full((8,), 2.0, dtype=torch.float64), pulls, 0.03)  # own rate, never decayed
    assert gates.detach().tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_rates_are_read_as_fairseq_hands_them_on():
    """A configuration of omegaconf has a list of its own kind."""
    cfg = OmegaConf.structured(GatedLambConfig(lr=[0.25]))
    assert GatedLamb(cfg, [torch.nn.Parameter(torch.ones(2))]).get_lr() == 0.25


def test_a_gate_vector_moves_at_most_its_norm_times_the_rate():
    """α = 2 for 8 heads at the paper's rate of 1e-3: at most 0.0057 a step in norm, so that 2 → 0 takes a thousand."""
    gates = gate([2.0] * 8)
    optimiser = GatedLamb(config(gate_lr=1e-3), [gates])
    for _ in range(3):
        before = gates.detach().clone()
        gates.grad = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        optimiser.step()
        assert float((gates.detach() - before).norm()) <= 1e-3 * float(before.norm()) + 1e-12


def test_the_rate_of_the_schedule_is_that_of_the_weights():
    weight = torch.nn.Parameter(torch.ones(2))
    optimiser = GatedLamb(config(), [gate([1.0]), weight])
    optimiser.set_lr(0.5)
    assert optimiser.get_lr() == 0.5
    assert [group["lr"] for group in optimiser.param_groups] == [0.5, 0.03]
    weight.grad, optimiser.gates[0].grad = torch.tensor([30.0, 40.0]), torch.tensor([float("nan")]).double()
    assert float(optimiser.clip_grad_norm(5.0)) == pytest.approx(50.0)
    assert weight.grad.tolist() == pytest.approx([3.0, 4.0])
    assert optimiser.gates[0].grad.tolist() == [0.0]
