"""Head dropout: its schedule, its distribution, a trainer without gate parameters, and the ranking afterwards."""

from __future__ import annotations

import copy
import math
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import torch

from headprune.gates import clear_mask
from headprune.heads import HeadSpace, Scope, attention_points
from headprune.importance import head_importance
from headprune.method import Progress, load_methods
from headprune.models.criteria import GatedLabelSmoothedCrossEntropy
from headprune.models.optimisers import GatedAdam

METHODS = load_methods()
DROPHEAD = METHODS["drophead"]
FILE = sys.modules[DROPHEAD.method.__module__]  # the functions of the method's file
UNEVEN = HeadSpace.from_names([*(f"encoder.0.{h}" for h in range(4)), "cross.0.0", "cross.0.1", "decoder.0.0"])
ARGUMENTS = {"gate_method": "drophead", "gate_budget": 24, "gate_total_updates": 100, "gate_seed": 3}

Build = Callable[..., Any]
Batch = dict[str, Any]


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(space: HeadSpace, scope: Scope | None = None, **options: Any) -> Any:
    return DROPHEAD.method(space, len(space), DROPHEAD.options(options), rng(1), scope)


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=3) for seed in (1, 2)]


@pytest.mark.parametrize(
    ("valley", "rates"),
    [
        (0.5, [0.2, 0.16, 0.0, 0.16, 0.2]),
        (0.1, [0.2, 0.0, 0.2 * 4 / 9, 0.2 * 8 / 9, 0.2]),
        (0.0, [0.0, 0.02, 0.1, 0.18, 0.2]),
        (1.0, [0.2, 0.18, 0.1, 0.02, 0.0]),
    ],
)
def test_the_rate_has_the_shape_of_a_v(valley: float, rates: list[float]) -> None:
    found = [FILE.v_shape(fraction, 0.2, valley) for fraction in (0.0, 0.1, 0.5, 0.9, 1.0)]
    assert found == pytest.approx(rates, abs=1e-12)


@pytest.mark.parametrize("rate", [0.2, 0.7, 1.0])
def test_heads_are_kept_with_the_probability_of_the_formula(rate: float) -> None:
    """It is 1 − p + p^H / H at the first update, as the last head of a module stays; 4,000 draws, 4 standard errors."""
    method, draws, generator = make(UNEVEN, rate=rate, rescale=False), 4_000, rng(2)
    gates = torch.stack([method.sample(Progress(0, 100, generator)) for _ in range(draws)])
    assert set(gates.unique().tolist()) <= {0.0, 1.0}
    for start, size in ((0, 4), (4, 2), (6, 1)):
        module = gates[:, start : start + size]
        assert (module.sum(1) >= 1).all()
        p = 1 - rate + rate**size / size
        error = 4 * math.sqrt(p * (1 - p) / draws) + 1e-12
        assert (module.mean(0) - p).abs().max() < error


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
def test_survivors_make_up_for_the_dropped(rate: float) -> None:
    """The scale is H / survivors: the gates of every module sum to H, and survivors of a module are equal."""
    method = make(UNEVEN, rate=rate)
    for seed in range(200):
        for module in method.sample(Progress(0, 100, rng(seed))).split([4, 2, 1]):
            assert module.sum().item() == pytest.approx(len(module), rel=1e-12)
            assert len(set(module[module > 0].tolist())) == 1


def test_nothing_is_dropped_in_the_valley() -> None:
    method = make(UNEVEN, rate=1.0, valley=0.25)
    assert all(method.sample(Progress(25, 100, rng(seed))).tolist() == [1.0] * 7 for seed in range(20))


def test_training_needs_no_gate_parameters(build: Build, make_batch: Callable[..., Batch], task: Namespace) -> None:
    """Forward, criterion and optimiser of gate training work, every update drops other heads, and the weights move."""
    model, batch = build(**ARGUMENTS).train(), make_batch(seed=1, size=6)
    assert list(model.gate_method.parameters()) == []
    defaults = {"lr": [0.01], "adam_betas": "(0.9, 0.98)", "adam_eps": 1e-8, "weight_decay": 0.0, "use_old_adam": True}
    defaults |= {"fp16_adam_stats": False, "tpu": False, "gate_lr": 0.1, "gate_clip_norm": 1.0}
    optimiser = GatedAdam(Namespace(**defaults), model.parameters())
    assert [group["gates"] for group in optimiser.param_groups] == [False]
    before, draws = copy.deepcopy(model.state_dict()), set()
    for update in range(3):
        model.set_num_updates(update)
        optimiser.zero_grad()
        loss, size, _ = GatedLabelSmoothedCrossEntropy(task, False, 0.1)(model, batch)
        gates = torch.cat([point.module.out_proj.gate for point in attention_points(model)])
        draws.add(tuple(gates.tolist()))
        optimiser.backward(loss / size)
        assert torch.isfinite(optimiser.clip_grad_norm(1.0))
        optimiser.step()
    assert len(draws) == 3
    assert any(0.0 in draw for draw in draws)
    assert all(not torch.equal(value, before[name]) for name, value in model.state_dict().items() if "out_proj" in name)


def test_validation_and_the_saved_model_have_all_heads(
    build: Build, make_batch: Callable[..., Batch], logits: Callable[..., torch.Tensor]
) -> None:
    batch = make_batch(seed=1)
    assert torch.equal(logits(build(**ARGUMENTS), batch), logits(build(), batch))
    with pytest.raises(ValueError, match="no order of heads before `masks`"):
        make(UNEVEN).keep(3)


def test_the_ranking_is_gradient_importance(build: Build, batches: list[Batch], unchanged: Callable[..., Any]) -> None:
    model, budgets = build(), (0, 1, 5, 23, 24)
    method = make(HeadSpace.of(model))
    with unchanged(model):
        found = method.masks(model, batches, budgets, rng(1))
    entry = METHODS["gradient_importance"]
    assert found == entry.method(entry.options({})).masks(model, batches, budgets, rng(1))
    raw = make(HeadSpace.of(model), per_module=False).masks(model, batches, [5], rng(1))[5]
    scores = head_importance(model, batches)
    assert [i for i, keep in enumerate(raw.keep) if keep] == sorted(scores.argsort(descending=True)[:5].tolist())
    clear_mask(model)


def test_the_ranking_of_some_types_and_protected_heads(build: Build, batches: list[Batch]) -> None:
    """Over the heads that may go only: the order of the whole model, left to these; one of each module stays."""
    model, scope = build(), Scope(types=("cross", "decoder"), min_per_module=1)
    whole = HeadSpace.of(model)
    space = scope.subspace(whole)
    masks = make(space, scope).masks(model, batches, [4, 9, 16], rng(1))
    assert [mask.count for mask in masks.values()] == [4, 9, 16]
    assert all(mask.space == space and scope.allows(mask) for mask in masks.values())
    free = make(space, Scope(types=scope.types)).masks(model, batches, [9], rng(1))[9]
    entry = METHODS["gradient_importance"]
    ranking = entry.method(entry.options({})).rank(model, batches, rng(1)).removal
    order = [head for head in ranking if whole.heads[head].type != "encoder"]
    assert set(free.names()) == {whole.names[head] for head in order[-9:]}


def test_one_training_serves_all_budgets() -> None:
    assert not DROPHEAD.method.per_budget
    assert make(UNEVEN).cooldown(1000) == 1000
    assert set(DROPHEAD.method.modes) == {"joint", "continued"}
    assert set(DROPHEAD.training_options({})) == {"rate", "valley", "rescale"}


@pytest.mark.parametrize("options", [{"rate": 1.2}, {"valley": -0.1}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        DROPHEAD.options(options)
