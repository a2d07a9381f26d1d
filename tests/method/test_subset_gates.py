"""Gate methods that differ from dsp in sampler and gradient: what they learn, keep, share with it, and remember."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch

from headprune.heads import HeadSpace
from headprune.method import Progress, load_methods
from headprune.relaxations import (
    gumbel,
    imle_target,
    marginal_sample,
    projected_sample,
    simple_sample,
    sum_of_gamma,
    temperature,
    top_k,
)

METHODS = load_methods()
NAMES = ("simple", "sst", "imle", "capped_simplex")
SOFT = ("sst", "capped_simplex")
SPACE = HeadSpace.from_names(f"encoder.{layer}.{head}" for layer in range(6) for head in range(4))
BUDGETS = (0, 1, 5, 23, 24)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(name: str, budget: int = 5, **options: Any) -> Any:
    return METHODS[name].method(SPACE, budget, METHODS[name].options(options), rng(1))


@pytest.mark.parametrize("name", NAMES)
def test_they_start_where_dsp_starts(name: str) -> None:
    """The same logits of the same seed, the same modes; and no option of dsp's is called otherwise."""
    assert torch.equal(make(name).logits, make("dsp").logits)
    assert METHODS[name].method.modes == METHODS["dsp"].method.modes
    shared = {item.name for item in fields(METHODS["dsp"].method.Options)}
    own = {item.name: item for item in fields(METHODS[name].method.Options)}
    assert own["learning_rate"].default == 0.2
    assert set(own) == shared if name in SOFT else "learning_rate" in own


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_gates_sum_to_the_budget(name: str, budget: int) -> None:
    """Within 1e-9, in [0, 1], at every update; hard ones are zeros and ones."""
    method = make(name, budget)
    for update in (0, 5, 20, 60, 100):
        gates = method.sample(Progress(update, 100, rng(update)))
        assert abs(gates.sum().item() - budget) < 1e-9
        assert gates.min() >= 0
        assert gates.max() <= 1 + 1e-12
        if name not in SOFT or update >= 23:
            assert torch.equal(gates, gates.round())


@pytest.mark.parametrize("name", NAMES)
def test_they_keep_their_largest_logits(name: str) -> None:
    method = make(name)
    with torch.no_grad():
        method.logits.copy_(torch.randn(24, generator=rng(3)).double())
    for budget in BUDGETS:
        assert list(method.keep(budget).keep) == top_k(method.logits, budget).tolist()


@pytest.mark.parametrize("name", [*NAMES, "imle adaptive", "imle sum_of_gamma"])
def test_they_learn_which_heads_help(name: str) -> None:
    """A loss that wants five particular heads open and all others closed: gradient descent finds them."""
    name, _, variant = name.partition(" ")
    options: dict[str, Any] = {"adaptive": {"share": 0.3}, "sum_of_gamma": {"noise": "sum_of_gamma"}}.get(variant, {})
    options |= {"start": 10.0, "cooldown": 1.0} if name in SOFT else {}
    method, wanted = make(name, **options), [2, 3, 11, 17, 23]
    optimiser = torch.optim.Adam(method.parameters(), lr=0.2)
    for update in range(150):
        gates = method.sample(Progress(update, 150, rng(update)))
        optimiser.zero_grad()
        (gates.sum() - 2 * gates[wanted].sum()).backward()
        optimiser.step()
    assert [i for i, keep in enumerate(method.keep(5).keep) if keep] == wanted


def test_simple_draws_from_the_generator_of_the_progress() -> None:
    method = make("simple")
    assert torch.equal(method.sample(Progress(3, 100, rng(7))), simple_sample(method.logits, 5, rng(7)))
    assert method.cooldown(1000) == 0


@pytest.mark.parametrize("update", [0, 10, 50])
def test_relaxed_gates_follow_the_temperature(update: int) -> None:
    """Bit for bit those of the pure functions at the scheduled temperature, sst with the noise that dsp would draw."""
    options, tau = {"start": 2.0, "end": 1e-2, "cooldown": 0.5}, temperature(update, 2.0, 1e-2, 50)
    sst, capped = make("sst", **options), make("capped_simplex", **options)
    assert sst.scheduled(update, 100) == capped.scheduled(update, 100) == tau
    assert sst.cooldown(1000) == capped.cooldown(1000) == 500
    expected = marginal_sample(sst.logits, 5, tau, gumbel((24,), rng(7)))
    assert torch.equal(sst.sample(Progress(update, 100, rng(7))), expected)
    expected = projected_sample(capped.logits, 5, tau)
    assert torch.equal(capped.sample(Progress(update, 100, rng(7))), expected)


@pytest.mark.parametrize("noise", ["gumbel", "sum_of_gamma"])
def test_imle_masks_perturbed_logits_and_moves_towards_its_target(noise: str) -> None:
    """With the same noise forward and backward; relative 1e-12."""
    method = make("imle", noise=noise, strength=2.0)
    gates = method.sample(Progress(3, 100, rng(7)))
    drawn = gumbel((24,), rng(7)) if noise == "gumbel" else sum_of_gamma((24,), 5, rng(7))
    scores = method.logits.detach() + drawn
    assert torch.equal(gates, top_k(scores, 5))
    pull = torch.randn(24, generator=rng(4), dtype=torch.float64)
    (gates * pull).sum().backward()
    target, inverse = imle_target(scores, pull, 5, 2.0)
    torch.testing.assert_close(method.logits.grad, (gates - target).detach() * inverse, rtol=1e-12, atol=0)


@pytest.mark.parametrize("start", [0.01, 100.0])
def test_the_strength_of_imle_adapts_to_the_share_asked_for(start: float) -> None:
    """Started far below and above: in the last 500 of 1,500 passes 40 % of the kept heads are exchanged, within 5."""
    method, seen = make("imle", budget=10, strength=start, share=0.4), []
    pull = torch.randn(24, generator=rng(4), dtype=torch.float64)
    adapt = method._adapt
    method._adapt = lambda share: (seen.append(share), adapt(share))
    for update in range(1500):
        (method.sample(Progress(update, 1500, rng(update))) * pull).sum().backward()
    assert abs(sum(seen[-500:]) / 500 - 0.4) < 0.05


def test_the_strength_is_part_of_the_state_and_stays_unless_asked_to_adapt() -> None:
    fixed, adaptive = make("imle"), make("imle", share=0.2)
    for method in (fixed, adaptive):
        (method.sample(Progress(0, 10, rng(1))) * torch.arange(24)).sum().backward()
    assert fixed.strength == 1
    assert adaptive.strength != 1
    resumed = make("imle", share=0.2)
    resumed.load_state_dict(adaptive.state_dict())
    assert resumed.strength == adaptive.strength
    assert resumed.exchanged == adaptive.exchanged


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sst", {"start": 0.0}, "must be positive"),
        ("sst", {"cooldown": 1.5}, "'cooldown' is 1.5"),
        ("capped_simplex", {"end": -1.0}, "must be positive"),
        ("capped_simplex", {"cooldown": -0.5}, "'cooldown' is -0.5"),
        ("imle", {"strength": 0.0}, "'strength' is 0.0"),
        ("imle", {"share": 1.0}, "'share' is 1.0"),
        ("imle", {"noise": "gamma"}, "'noise' is 'gamma'; available: gumbel, sum_of_gamma"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        METHODS[name].options(options)
