"""Fisher information against finite differences, swaps against brute force, scales against their fit."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from headprune.gates import clear_mask, set_gates
from headprune.heads import HeadMask, HeadSpace, Scope
from headprune.importance import example_losses
from headprune.method import Pruning, Ranking, load_methods
from headprune.scoring.reconstruction import rescaled_gates, scale_heads

Build = Callable[..., Any]
Batch = dict[str, Any]
FISHER = load_methods()["fisher"]
swapped = sys.modules[FISHER.method.__module__].swapped
RNG = torch.Generator()


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=5) for seed in (1, 2)]


def method(scope: Scope | None = None, **options: Any) -> Any:
    return FISHER.method(FISHER.options(options), scope)


def slopes(model: Any, batch: Batch) -> np.ndarray:
    """Central differences of every example's loss in every gate (batch, N)."""
    step, columns = 1e-4, []
    with torch.no_grad():
        for position in range(24):
            ends = []
            for sign in (1, -1):
                gates = torch.ones(24, dtype=torch.float64)
                gates[position] += sign * step
                set_gates(model, gates)
                ends.append(example_losses(model, batch))
            columns.append((ends[0] - ends[1]) / (2 * step))
    clear_mask(model)
    return torch.stack(columns, 1).numpy()


@pytest.mark.usefixtures("exact_softmax")
def test_scores_are_mean_squares_of_gate_gradients(build: Build, batches: list[Batch]) -> None:
    """Finite differences in float64, relative 1e-5; in groups that straddle batches, of the mean of 4, 4 and 2."""
    model = build().double()
    gradients = np.concatenate([slopes(model, batch) for batch in batches])
    for group in (1, 4):
        means = np.stack([gradients[i : i + group].mean(0) for i in range(0, 10, group)])
        found = method(group=group).scores(model, batches, RNG)
        np.testing.assert_allclose(found, (means**2).mean(0), rtol=1e-5)


def loss(form: Tensor, heads: Any) -> float:
    """Σ of the form over all pairs of these heads."""
    return sum(form[i, j].item() for i in heads for j in heads)


@pytest.mark.parametrize("heads", [2, 4, 8])
def test_swaps_keep_counts_and_end_where_none_helps(heads: int) -> None:
    """Against all subsets: never worse than the start, at least as good as every single swap, and the optimum where
    one swap reaches every subset (one head removed, or all but one)."""
    generator, optimal, tried = torch.Generator().manual_seed(heads), 0, 0
    for _ in range(6):
        gradients = torch.randn(6, heads, generator=generator, dtype=torch.float64)
        form = gradients.t() @ gradients
        for count in range(heads + 1):
            start = form.diagonal().argsort()[:count].tolist()
            found = swapped(form, start)
            assert len(set(found)) == len(found) == count
            assert loss(form, found) <= loss(form, start) + 1e-9
            best = min(loss(form, subset) for subset in itertools.combinations(range(heads), count))
            reached = loss(form, found) <= best + 1e-9
            assert reached or 1 < count < heads - 1
            optimal, tried = optimal + reached, tried + 1
            for out, into in itertools.product(found, set(range(heads)) - set(found)):
                assert loss(form, found) <= loss(form, {*found, into} - {out}) + 1e-9
    assert optimal >= 0.8 * tried


def test_swaps_leave_a_diagonal_choice_alone() -> None:
    """Without off-diagonal terms the diagonal choice is optimal; ties are no reason to swap."""
    form = torch.diag(torch.tensor([3.0, 1.0, 2.0, 4.0], dtype=torch.float64))
    assert swapped(form, [1, 2]) == [1, 2]
    assert swapped(torch.ones(4, 4, dtype=torch.float64), [0, 3]) == [0, 3]
    assert swapped(torch.zeros(3, 3, dtype=torch.float64), [2]) == [2]


def test_swaps_take_heads_that_make_up_for_each_other() -> None:
    """Two heads of opposite gradients cost nothing together, though the diagonal prefers others."""
    gradients = torch.tensor([[2.0, -2.0, 1.0, 1.0]], dtype=torch.float64)
    assert swapped(gradients.t() @ gradients, [2, 3]) == [0, 1]


def test_rearrangement_keeps_the_counts_per_module(build: Build, batches: list[Batch]) -> None:
    """The counts stay at every budget, and the sum over each module's own block of F never rises; some masks change."""
    model = build()
    chosen = method(rescale=False)
    space, information = HeadSpace.of(model), chosen._information(model, batches)
    ranking = Ranking.by_score(space, information.diagonal())
    found = chosen.masks(model, batches, range(25), RNG)
    plain = method(rescale=False, rearrange=False).masks(model, batches, range(25), RNG)
    for budget, mask in found.items():
        assert isinstance(mask, HeadMask)
        assert plain[budget] == ranking.mask(budget)
        assert mask.count == budget
        assert mask.per_module() == plain[budget].per_module()
        for module in range(6):
            block = information[4 * module : 4 * module + 4, 4 * module : 4 * module + 4]
            removed = [[i for i in range(4) if not keep[4 * module + i]] for keep in (mask.keep, plain[budget].keep)]
            assert loss(block, removed[0]) <= loss(block, removed[1]) * (1 + 1e-9)
    assert any(mask != plain[budget] for budget, mask in found.items())


def test_scales_are_folded_into_the_output_projections(build: Build, batches: list[Batch]) -> None:
    """Column blocks of W_O times the fitted scale of their head; removed heads 0, biases as they were."""
    model = build()
    budgets = (0, 11, 24)
    found = method().masks(model, batches, budgets, RNG)
    masks = method(rescale=False).masks(model, batches, budgets, RNG)
    for budget, pruning in found.items():
        assert isinstance(pruning, Pruning)
        assert pruning.mask == masks[budget]
        assert pruning.mask.count == budget
        gates = rescaled_gates(model, pruning.mask, batches, 10.0)
        expected = scale_heads(model, gates)
        assert pruning.outputs.keys() == expected.keys()
        for name, output in pruning.outputs.items():
            assert torch.equal(output.weight, expected[name].weight)
    assert found[11].outputs
    assert not found[24].outputs and not found[0].outputs
    free, first = (method(limit=1e9, skip_first=skip).masks(model, batches, [11], RNG)[11] for skip in (False, True))
    assert "encoder.0" in free.outputs
    assert "encoder.0" not in first.outputs


def test_rank_is_that_of_the_diagonal(build: Build, batches: list[Batch]) -> None:
    model = build()
    scores = method().scores(model, batches, RNG)
    assert list(method().rank(model, batches, RNG).removal) == scores.argsort().tolist()


@pytest.mark.parametrize("options", [{"group": 0}, {"limit": 0.5}, {"limit": float("nan")}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        FISHER.options(options)


def test_no_examples_are_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="at least one example"):
        method().masks(build(), [], [12], RNG)
