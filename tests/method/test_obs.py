"""Greedy removal with weight update against brute force by numpy's least squares."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from headprune.gates import set_mask
from headprune.heads import HeadSpace, Scope, attention_points
from headprune.method import Pruning, load_methods
from headprune.scoring.reconstruction import contexts

Build = Callable[..., Any]
Batch = dict[str, Any]
OBS = load_methods()["obs"]
RNG = torch.Generator()
TINY = 1e-9  # damping


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=12) for seed in (1, 2, 3)]


def method(scope: Scope | None = None, **options: Any) -> Any:
    return OBS.method(OBS.options(options), scope)


def least_error(rows: np.ndarray, weight: np.ndarray, removed: Iterable[int]) -> tuple[float, np.ndarray]:
    """The best output on the channels that are left: mean squared error and W_O, by numpy.linalg.lstsq."""
    gone = {8 * head + i for head in removed for i in range(8)}
    left = [channel for channel in range(32) if channel not in gone]
    new = np.zeros_like(weight)
    new[:, left] = np.linalg.lstsq(rows[:, left], rows @ weight.T, rcond=None)[0].T
    return float(((rows @ (weight - new).T) ** 2).sum(1).mean()), new


def calibration(model: Any, batches: list[Batch]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Contexts and W_O of every module, in head-space order."""
    seen = [contexts(model, batch) for batch in batches]
    return [
        (torch.cat([rows[p.name] for rows in seen]).numpy(), p.module.out_proj.weight.detach().double().numpy())
        for p in attention_points(model)
    ]


@pytest.mark.parametrize("per_module", [False, True])
def test_removal_is_greedy_in_the_reconstruction_error(build: Build, batches: list[Batch], per_module: bool) -> None:
    """Every step takes the head that raises the summed least-squares error of all modules least; per module, in
    fractions of its mean squared output."""
    model = build()
    data = calibration(model, batches)
    units = [((rows @ weight.T) ** 2).sum(1).mean() if per_module else 1.0 for rows, weight in data]
    removed: list[list[int]] = [[] for _ in data]
    order = []
    for _ in range(24):
        rises = {}
        for module, (rows, weight) in enumerate(data):
            now = least_error(rows, weight, removed[module])[0]
            for head in set(range(4)) - set(removed[module]):
                rise = least_error(rows, weight, [*removed[module], head])[0] - now
                rises[4 * module + head] = rise / units[module]
        order.append(min(rises, key=lambda head: rises[head]))
        removed[order[-1] // 4].append(order[-1] % 4)
    assert method(damping=TINY, per_module=per_module).rank(model, batches, RNG).removal == tuple(order)


def test_weights_are_those_of_least_squares_at_every_budget(build: Build, batches: list[Batch]) -> None:
    """numpy.linalg.lstsq on the kept channels, all removed heads of a module at once; absolute 1e-5 in float32."""
    model = build()
    data = calibration(model, batches)
    found = method(damping=TINY).masks(model, batches, range(25), RNG)
    for budget, pruning in found.items():
        assert isinstance(pruning, Pruning)
        assert pruning.mask.count == budget
        assert set(pruning.outputs) == {name for name, count in pruning.mask.per_module().items() if count < 4}
        for point, (rows, weight) in zip(attention_points(model), data, strict=True):
            if point.name in pruning.outputs:
                gone = set(range(4)) - set(pruning.mask.kept_indices()[point.name])
                new = pruning.outputs[point.name]
                np.testing.assert_allclose(new.weight, least_error(rows, weight, gone)[1], atol=1e-5)
                assert torch.equal(new.bias, point.module.out_proj.bias)


def total_error(data: list[tuple[np.ndarray, np.ndarray]], keep: Iterable[int]) -> float:
    """The summed least-squares errors of all modules under a mask, by numpy."""
    removed = np.array([not kept for kept in keep]).reshape(6, 4)
    return sum(
        least_error(rows, weight, np.flatnonzero(own))[0] for (rows, weight), own in zip(data, removed, strict=True)
    )


def test_no_exchange_of_two_heads_is_better(build: Build, batches: list[Batch]) -> None:
    """Held to numpy's least squares of all masks that differ in a pair; and never worse than the greedy mask, at every
    budget, better at some."""
    model = build()
    data, budgets = calibration(model, batches), range(1, 24)
    greedy = method(damping=TINY).masks(model, batches, budgets, RNG)
    found = method(damping=TINY, exchange=True).masks(model, batches, budgets, RNG)
    errors = {k: [total_error(data, each[k].mask.keep) for each in (greedy, found)] for k in budgets}
    assert all(after <= before * (1 + 1e-6) for before, after in errors.values())
    assert any(after < before * (1 - 1e-6) for before, after in errors.values())
    keep = list(found[8].mask.keep)
    for back in (head for head, kept in enumerate(keep) if not kept):
        for out in (head for head, kept in enumerate(keep) if kept):
            other = [int(head == back or (kept and head != out)) for head, kept in enumerate(keep)]
            assert total_error(data, other) >= errors[8][1] * (1 - 1e-6)


def test_exchanges_keep_budget_scope_and_weights_of_least_squares(build: Build, batches: list[Batch]) -> None:
    model = build()
    for scope in (Scope(), Scope(("cross", "encoder"), 0), Scope(min_per_module=1)):
        for budget, pruning in method(scope, exchange=True).masks(model, batches, range(18, 25), RNG).items():
            assert pruning.mask.count == budget
            assert scope.allows(pruning.mask)
            lost = {name for name, count in pruning.mask.per_module().items() if count < 4}
            assert set(pruning.outputs) == lost


def test_update_brings_the_pruned_outputs_back(
    build: Build, batches: list[Batch], logits: Callable[[Any, Batch], Tensor]
) -> None:
    """Logits of the model at its calibration data end nearer to the unpruned ones than under the mask alone."""
    model = build()
    whole = [logits(model, batch) for batch in batches]
    pruning = method().masks(model, batches, [16], RNG)[16]
    errors = []
    for outputs in ({}, pruning.outputs):
        pruned = copy.deepcopy(model)
        for point in attention_points(pruned):
            if point.name in outputs:
                point.module.out_proj.weight.data.copy_(outputs[point.name].weight)
        set_mask(pruned, pruning.mask)
        errors.append(sum(float((logits(pruned, b) - w).square().sum()) for b, w in zip(batches, whole, strict=True)))
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("scope", [Scope(("cross", "encoder"), 0), Scope(min_per_module=1)], ids=["types", "minimum"])
def test_scope_is_honoured(build: Build, batches: list[Batch], scope: Scope) -> None:
    """The greedy order goes on among what may be removed; costs are not those of another order."""
    model, smallest = build(), scope.smallest(HeadSpace.of(build()))
    found = method(scope).masks(model, batches, range(smallest, 25), RNG)
    assert all(pruning.mask.count == budget for budget, pruning in found.items())
    assert all(scope.allows(pruning.mask) for pruning in found.values())
    with pytest.raises(ValueError, match="protects"):
        method(scope).masks(model, batches, [smallest - 1], RNG)


def test_a_module_that_writes_nothing_goes_first(build: Build, batches: list[Batch]) -> None:
    model = build()
    model.decoder.layers[1].encoder_attn.v_proj.weight.data.zero_()
    model.decoder.layers[1].encoder_attn.v_proj.bias.data.zero_()
    for per_module in (False, True):
        ranking = method(per_module=per_module).rank(model, batches, RNG)
        assert {ranking.space.names[head] for head in ranking.removal[:4]} == {f"cross.1.{i}" for i in range(4)}


@pytest.mark.parametrize("damping", [0.0, -1.0, float("inf"), float("nan")])
def test_damping_must_be_positive(damping: float) -> None:
    with pytest.raises(ValueError, match="damping"):
        OBS.options({"damping": damping})
