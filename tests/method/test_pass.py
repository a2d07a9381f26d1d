"""PASS: a penalty that is zero at masks of K ones alone and grows until it is met, and heads that are opened again."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from headprune.heads import HeadSpace
from headprune.method import Progress, load_methods

PASS = load_methods()["pass"]
SPACE = HeadSpace.from_names(f"encoder.{layer}.{head}" for layer in range(6) for head in range(4))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(budget: int = 5, **options: Any) -> Any:
    return PASS.method(SPACE, budget, PASS.options(options), rng(1))


def penalty_of(log_alpha: Tensor, budget: int) -> Tensor:
    return sys.modules[PASS.method.__module__].binary_penalty(log_alpha, budget)


@pytest.mark.parametrize("budget", [0, 1, 3, 6])
def test_the_penalty_is_its_closed_form(budget: int) -> None:
    """docs/theory/hard-concrete.md#distribution head by head, relative 1e-9."""
    log_alpha = torch.tensor([-3.0, -1.0, 0.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    shift = 0.33 * math.log(11)
    closed = [1 / (1 + math.exp(alpha + shift)) for alpha in log_alpha.tolist()]
    whole = [1 / (1 + math.exp(-(alpha - shift))) for alpha in log_alpha.tolist()]
    expected = 6 - sum(closed) - sum(whole) + abs(6 - budget - sum(closed)) + abs(budget - sum(whole))
    assert penalty_of(log_alpha, budget).item() == pytest.approx(expected, rel=1e-9)


def test_the_penalty_vanishes_at_masks_of_k_ones() -> None:
    """Within what clipping of the probabilities leaves, 1e-4; another count costs two for each head."""
    log_alpha = torch.tensor([20.0] * 5 + [-20.0] * 19, dtype=torch.float64)
    assert penalty_of(log_alpha, 5).item() == pytest.approx(0, abs=1e-4)
    for budget in (0, 3, 8, 24):
        assert penalty_of(log_alpha, budget).item() == pytest.approx(2 * abs(budget - 5), abs=1e-4)


def test_the_penalty_doubles_from_epoch_to_epoch_until_the_count_is_met() -> None:
    """An epoch is a tenth of the updates; micro-batches of one update begin it once."""
    method, weights = make(coefficient=0.5, epochs=10, reopen=0.0), []
    for update in range(100):
        if update == 45:
            with torch.no_grad():
                method.logits.copy_(torch.tensor([5.0] * 5 + [-5.0] * 19) - method.offset)
        for micro in (1, 2):
            method.sample(Progress(update, 100, rng(micro)))
        weights.append(method.weight.item())
    assert weights == [0.5 * 2 ** min(update // 10, 4) for update in range(100)]
    assert method.penalty(Progress(99, 100, rng(1))).item() == pytest.approx(
        8 * penalty_of(method.log_alpha, 5).item(), rel=1e-12
    )


def test_closed_heads_are_opened_with_a_falling_probability() -> None:
    """23 of 24 are closed when an epoch ends: the share that is opened is 0.8 · 0.5^e, over 400 starts within 3 %; an
    open head is only clamped. The parameters stay the optimiser's."""
    opened = torch.zeros(4)
    for seed in range(400):
        method = make(epochs=5, reopen=0.8, decay=0.5)
        for epoch in range(1, 5):
            with torch.no_grad():
                method.logits.fill_(-7)
                method.logits[0] = 9
                method.logits -= method.offset
            before = method.logits.detach().clone()
            method.sample(Progress(epoch, 5, rng(10 * seed + epoch)))
            values = method.log_alpha.detach()
            torch.testing.assert_close(values.abs(), torch.full((24,), 5.0).double(), rtol=0, atol=1e-9)
            assert torch.equal(method.logits, before)
            assert values[0] > 0
            opened[epoch - 1] += (values[1:] > 0).sum() / 23 / 400
    torch.testing.assert_close(opened, torch.tensor([0.8, 0.4, 0.2, 0.1]), rtol=0, atol=0.03)


@pytest.mark.parametrize("budget", [3, 12])
def test_a_training_ends_at_a_mask_of_k_ones(budget: int) -> None:
    """Without any help of a loss but that of preferring some heads; the gates of the last passes are binary."""
    method, slope = make(budget, coefficient=1e-3), torch.linspace(-1, 1, 24, dtype=torch.float64)
    optimiser = torch.optim.Adam(method.parameters(), lr=0.2)
    for update in range(1200):
        progress = Progress(update, 1200, rng(update))
        loss = (0.1 * slope * method.sample(progress)).sum() + method.penalty(progress)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    gates = method.sample(Progress(1199, 1200, rng(5))).round()
    assert gates.sum() == budget
    assert gates.tolist() == list(method.keep(budget).keep)
    assert (method.log_alpha < 0).sum() == 24 - budget


def test_the_epoch_and_the_penalty_are_part_of_the_state() -> None:
    method, resumed = make(epochs=4), make(epochs=4)
    for update in range(3):
        method.sample(Progress(update, 4, rng(update)))
    resumed.load_state_dict(method.state_dict())
    assert torch.equal(method.sample(Progress(3, 4, rng(3))), resumed.sample(Progress(3, 4, rng(3))))
    assert (resumed.epoch, resumed.weight) == (3, method.weight)
    assert resumed.cooldown(1000) == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coefficient": -1.0}, "'coefficient' is -1.0"),
        ({"epochs": 0}, "'epochs' is 0"),
        ({"reopen": 1.5}, "'reopen' is 1.5"),
        ({"decay": -0.1}, "'decay' is -0.1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PASS.options(options)
