"""Movement pruning: the score's gradient is gradient times weight of the output block, the budget falls on its ramp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from headprune.gates import GatedProjection, clear_mask, head_blocks, set_gates
from headprune.heads import HeadSpace, Scope, attention_points
from headprune.importance import example_losses
from headprune.method import Progress, load_methods

MOVEMENT = load_methods()["movement"]
SPACE = HeadSpace.from_names(f"encoder.{layer}.{head}" for layer in range(6) for head in range(4))
ONE_MODULE = HeadSpace.from_names(f"encoder.0.{head}" for head in range(4))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(budget: int, space: HeadSpace = SPACE, scope: Scope | None = None, **options: Any) -> Any:
    return MOVEMENT.method(space, budget, MOVEMENT.options(options), rng(1), scope)


def test_the_gradient_is_gradient_times_weight_of_the_output_block() -> None:
    """A toy attention, two of four heads closed: against a plain linear layer whose weight W′ is masked, the sum of
    dL/dW′ ⊙ W over a head's columns, float64, relative 1e-10; one step of descent from 0 gives minus that."""
    torch.manual_seed(0)
    context, target = torch.randn(3, 2, 12, dtype=torch.float64), torch.randn(3, 2, 8, dtype=torch.float64)
    output = nn.Linear(12, 8, dtype=torch.float64)
    method = make(2, ONE_MODULE, start=0.0, end=0.0)
    gated = GatedProjection.of(nn.Linear(12, 8, dtype=torch.float64), 4)
    gated.load_state_dict(output.state_dict())
    gated.gate = method.sample(Progress(0, 10, rng(1)))
    assert gated.gate.tolist() == [1, 1, 0, 0]
    (gated(context).tanh() - target).square().sum().backward()

    masked = (output.weight * torch.tensor([1.0, 0.0]).repeat_interleave(6)).detach().requires_grad_()
    (nn.functional.linear(context, masked, output.bias).tanh() - target).square().sum().backward()
    blocks = (masked.grad * output.weight.detach()).unflatten(1, (4, 3)).sum((0, 2))  # (4,)
    torch.testing.assert_close(method.scores.grad, blocks, rtol=1e-10, atol=1e-14)
    assert (blocks != 0).all()
    torch.optim.SGD(method.parameters(), lr=0.5).step()
    torch.testing.assert_close(method.scores.detach(), -0.5 * blocks, rtol=1e-10, atol=1e-14)


def test_in_a_model_whose_heads_are_all_open_it_is_that_of_its_own_weights(
    build: Callable[..., Any], make_batch: Callable[..., Any]
) -> None:
    """Σ W_O.grad ⊙ W_O of every head of a tiny Transformer; fp32, 1e-3 of the largest."""
    model, batch = build(), make_batch(seed=1, size=4)
    method = make(5, HeadSpace.of(model))
    set_gates(model, method.sample(Progress(0, 100, rng(1))))
    example_losses(model, batch).sum().backward()
    products = []
    for point in attention_points(model):
        gradient = point.module.out_proj.weight.grad.t().unflatten(0, (4, -1))  # (heads, head_dim, model)
        products.append((gradient * head_blocks(point.module)["o"]).sum((1, 2)))
    expected = torch.cat(products).double().detach()
    torch.testing.assert_close(method.scores.grad, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    clear_mask(model)


@pytest.mark.parametrize("budget", [0, 1, 5, 23, 24])
def test_the_budget_falls_from_all_heads_to_k(budget: int) -> None:
    """N up to `start`, K from `end` on, never rising, half-way (1/2)³ of the way left."""
    method = make(budget, start=0.2, end=0.6)
    counts = [int(method.sample(Progress(update, 100, rng(1))).sum()) for update in range(101)]
    assert counts[:21] == [24] * 21
    assert counts[60:] == [budget] * 41
    assert counts == sorted(counts, reverse=True)
    assert abs(counts[40] - (budget + (24 - budget) / 8)) <= 0.5
    assert method.cooldown(100) == 60


def test_gates_are_hard_and_their_gradient_reaches_closed_heads() -> None:
    method = make(5)
    gates = method.sample(Progress(90, 100, rng(1)))
    assert sorted(gates.tolist()) == [0.0] * 19 + [1.0] * 5
    assert gates.tolist() == list(method.keep(5).keep)
    pull = torch.randn(24, generator=rng(2), dtype=torch.float64)
    (gates * pull).sum().backward()
    assert torch.equal(method.scores.grad, pull)


def regression(rate: float, updates: int = 200) -> list[int]:
    """Eight "heads" of three weights each fit a target that needs heads 1, 4 and 6 only; all weights train along."""
    space = HeadSpace.from_names(f"encoder.{layer}.{head}" for layer in range(2) for head in range(4))
    context, wanted = torch.randn(200, 24, generator=rng(4), dtype=torch.float64), torch.zeros(24, dtype=torch.float64)
    for head in (1, 4, 6):
        wanted[3 * head : 3 * head + 3] = torch.tensor([2.0, -2.0, 2.0])
    weight = nn.Parameter(0.5 * torch.randn(24, generator=rng(5), dtype=torch.float64))
    method = make(3, space)
    optimiser = torch.optim.Adam([{"params": [weight], "lr": 0.02}, {"params": method.parameters(), "lr": rate}])
    for update in range(updates):
        gates = method.sample(Progress(update, updates, rng(update)))
        optimiser.zero_grad()
        (context @ (gates.repeat_interleave(3) * weight - wanted)).square().mean().backward()
        optimiser.step()
    return [i for i, keep in enumerate(method.keep(3).keep) if keep]


def test_heads_whose_weights_grow_are_kept_whatever_the_learning_rate() -> None:
    """The scores start at 0 and only their order counts: rates a thousandfold apart give the same mask."""
    assert regression(0.01) == [1, 4, 6] == regression(10.0)


def test_samples_honour_a_scope() -> None:
    method = make(6, scope=Scope(min_per_module=1))
    with torch.no_grad():
        method.scores.copy_(-torch.arange(24))
    for update in range(0, 101, 10):
        assert (method.sample(Progress(update, 100, rng(1))).view(6, 4).sum(1) >= 1).all()
    assert set(method.keep(6).per_module().values()) == {1}


def test_the_model_trains_along() -> None:
    assert set(MOVEMENT.method.modes) == {"joint", "continued"}


@pytest.mark.parametrize("options", [{"start": -0.1}, {"start": 0.8}, {"end": 1.1}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="0 ≤ start ≤ end ≤ 1"):
        MOVEMENT.options(options)
