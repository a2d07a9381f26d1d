"""Straight-through gates: hard masks forward, the promised gradient backward, a mask that stands still on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from headprune.gates import clear_mask, set_gates
from headprune.heads import HeadSpace, Scope
from headprune.importance import example_losses
from headprune.method import GateMethod, Progress, load_methods
from headprune.relaxations import gumbel, subset_sample, temperature

STE = load_methods()["ste"]
BUDGETS = (0, 1, 5, 23, 24)
VARIANTS = ("plain", "st_gumbel", "st_relaxed")
SPACE = HeadSpace.from_names(f"encoder.{layer}.{head}" for layer in range(6) for head in range(4))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(budget: int, scope: Scope | None = None, **options: Any) -> Any:
    return STE.method(SPACE, budget, STE.options(options), rng(1), scope)


def by_hand(values: list[float], budget: int) -> list[float]:
    kept = sorted(range(len(values)), key=lambda i: (-values[i], i))[:budget]
    return [float(i in kept) for i in range(len(values))]


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4], ids=["ties", "usual", "far"])
def test_gates_are_exactly_the_top_k(budget: int, variant: str, scale: float) -> None:
    """Zeros and ones to the last bit, K of them, of ties the first; K = N is all ones (docs/theory/defects.md#d8)."""
    method = make(budget, variant=variant)
    with torch.no_grad():
        method.logits.copy_(scale * torch.randn(24, generator=rng(2), dtype=torch.float64))
    for update in (0, 10, 50, 100):
        noise = 0 if variant == "plain" else gumbel((24,), rng(update))
        expected = by_hand((method.logits.detach() + noise).tolist(), budget)
        assert method.sample(Progress(update, 100, rng(update))).tolist() == expected
        assert list(method.keep(budget).keep) == by_hand(method.logits.tolist(), budget)


@pytest.mark.parametrize("variant", ["plain", "st_gumbel"])
def test_the_gradient_of_the_gates_is_that_of_the_logits(variant: str) -> None:
    """dL/dw = dL/dm to the last bit, for closed heads as for open ones."""
    method = make(5, variant=variant)
    gates = method.sample(Progress(3, 100, rng(3)))
    pull = torch.randn(24, generator=rng(4), dtype=torch.float64)
    leaf = gates.detach().clone().requires_grad_()
    ((gates - 0.3) ** 2 * pull).sum().backward()
    ((leaf - 0.3) ** 2 * pull).sum().backward()
    assert torch.equal(method.logits.grad, leaf.grad)


@pytest.mark.parametrize("update", [0, 10, 50])
def test_relaxed_takes_the_gradient_of_the_subset_sample(update: int) -> None:
    """Same noise, same temperature: equal to the last bit; the mask is the sample's limit as the temperature falls."""
    method = make(5, variant="st_relaxed", start=2.0, end=1e-2, cooldown=0.5)
    pull = torch.randn(24, generator=rng(4), dtype=torch.float64)
    gates = method.sample(Progress(update, 100, rng(3)))
    (gates * pull).sum().backward()
    twin = method.logits.detach().clone().requires_grad_()
    noise = gumbel((24,), rng(3))
    (subset_sample(twin, 5, temperature(update, 2.0, 1e-2, 50), noise) * pull).sum().backward()
    assert torch.equal(method.logits.grad, twin.grad)
    assert gates.tolist() == subset_sample(twin, 5, 1e-8, noise).tolist()


@pytest.mark.usefixtures("exact_softmax")
def test_closed_heads_of_a_model_get_a_gradient(build: Callable[..., Any], make_batch: Callable[..., Any]) -> None:
    """docs/theory/subset-training.md#straight-through: 5 of 24 heads open; against central differences of the loss in
    float64, relative 1e-5."""
    model, batch = build().double(), make_batch(seed=1, size=4)
    method = STE.method(HeadSpace.of(model), 5, STE.options({}), rng(1))
    gates = method.sample(Progress(0, 100, rng(1)))
    set_gates(model, gates)
    example_losses(model, batch).sum().backward()
    assert (method.logits.grad != 0).all()
    for head in (0, 7, 13, 22):
        step = torch.zeros(24, dtype=torch.float64)
        step[head] = 1e-5
        losses = []
        for sign in (1, -1):
            set_gates(model, gates.detach() + sign * step)
            with torch.no_grad():
                losses.append(example_losses(model, batch).sum().item())
        difference = (losses[0] - losses[1]) / 2e-5
        assert method.logits.grad[head].item() == pytest.approx(difference, rel=1e-5)
    clear_mask(model)


@pytest.mark.parametrize("variant", VARIANTS)
def test_learns_which_heads_help(variant: str) -> None:
    """A loss that wants five particular heads open: gradient descent finds them."""
    method, wanted = make(5, variant=variant, start=1.0, cooldown=1.0), [2, 3, 11, 17, 23]
    optimiser = torch.optim.Adam(method.parameters(), lr=0.2)
    for update in range(150):
        gates = method.sample(Progress(update, 150, rng(update)))
        optimiser.zero_grad()
        (gates.sum() - 2 * gates[wanted].sum()).backward()
        optimiser.step()
    assert [i for i, keep in enumerate(method.keep(5).keep) if keep] == wanted


def driven(method: GateMethod, updates: range, total: int) -> None:
    """Adam, by a loss that turns the order of the logits round, the harder the higher a head ranks."""
    optimiser = torch.optim.Adam(method.parameters(), lr=0.2)
    slope = method.logits.detach().clone()  # type: ignore[union-attr, operator]
    for update in updates:
        optimiser.zero_grad()
        (method.sample(Progress(update, total, rng(update))) * slope).sum().backward()
        optimiser.step()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_frozen_mask_stands_still(variant: str) -> None:
    """The mask is one and the same from update 2 of 10 on, though momentum moves the logits on and changes their order;
    and it is part of the state."""
    method = make(12, variant=variant, freeze_last=0.8)
    driven(method, range(10), 10)
    assert method.frozen
    assert method.keep(12) == method.largest(method.settled, 12)
    assert method.largest(method.logits, 12) != method.keep(12)
    for update in (2, 5, 9):
        gates = method.sample(Progress(update, 10, rng(update)))
        assert gates.tolist() == list(method.keep(12).keep)
        (gates * torch.arange(24)).sum().backward()
        assert (method.logits.grad == 0).all()
        method.logits.grad = None
    resumed = make(12, variant=variant, freeze_last=0.8)
    resumed.load_state_dict(method.state_dict())
    assert resumed.keep(12) == method.keep(12)


def test_nothing_is_frozen_before_its_time() -> None:
    for fraction, first in ((0.0, None), (0.2, 80), (1.0, 0)):
        method = make(12, freeze_last=fraction)
        frozen = [update for update in range(101) if _frozen_after(method, update)]
        assert frozen == ([] if first is None else list(range(first, 101)))


def _frozen_after(method: Any, update: int) -> bool:
    method.sample(Progress(update, 100, rng(update)))
    return bool(method.frozen)


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_sees_the_mask_of_a_scope(variant: str) -> None:
    """Every sample keeps one head in each module where one is protected; without noise it is the final mask."""
    scope = Scope(min_per_module=1)
    method = make(7, scope, variant=variant)
    for update in range(20):
        gates = method.sample(Progress(update, 100, rng(update)))
        assert gates.sum() == 7
        assert (gates.view(6, 4).sum(1) >= 1).all()
        if variant == "plain":
            assert gates.tolist() == list(method.keep(7).keep)


def test_only_the_relaxed_variant_has_something_to_cool() -> None:
    cooldowns = {variant: make(5, variant=variant, cooldown=0.4).cooldown(1000) for variant in VARIANTS}
    assert cooldowns == {"plain": 0, "st_gumbel": 0, "st_relaxed": 400}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "gumbel"}, "'variant' is 'gumbel'; available: plain, st_gumbel, st_relaxed"),
        ({"freeze_last": 1.5}, "'freeze_last' is 1.5"),
        ({"cooldown": -0.1}, "'cooldown' is -0.1"),
        ({"start": 0.0}, "must be positive"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STE.options(options)
