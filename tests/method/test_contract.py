"""The contracts, on every file of methods/; then what is particular to each method."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from headprune.gates import set_mask
from headprune.heads import HeadSpace, attention_points
from headprune.importance import head_importance
from headprune.method import Entry, GateMethod, Progress, Pruning, ScoreMethod, load_methods

METHODS = load_methods()
SCORES = [entry for entry in METHODS.values() if entry.kind == "score"]
GATES = [entry for entry in METHODS.values() if entry.kind == "gate"]
BUDGETS = (0, 1, 2, 5, 12, 23, 24)  # N = 24

Build = Callable[..., Any]
Batch = dict[str, Any]

# every score method with its defaults, and with options that change how it goes about
VARIANTS = [(entry, {}) for entry in SCORES] + [
    (METHODS["gradient_importance"], {"iterative": True, "step": 5}),
    (METHODS["gradient_importance"], {"estimator": "signed", "per_module": False}),
    (METHODS["magnitude"], {"norm": "product", "per_module": True}),
]
variants = pytest.mark.parametrize(("entry", "options"), VARIANTS, ids=[f"{e.name}{o or ''}" for e, o in VARIANTS])
DETERMINISTIC = {
    "capped_simplex",
    "movement",
    "ste",
}  # gate methods whose samples hold no random numbers, with default options
gate_methods = pytest.mark.parametrize("entry", GATES, ids=[entry.name for entry in GATES])


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=3) for seed in (1, 2)]


@pytest.fixture(scope="session")
def space(build: Build) -> HeadSpace:
    return HeadSpace.of(build())


@variants
def test_masks_have_exactly_k_ones_and_are_nested_if_cut_from_a_ranking(
    build: Build, batches: list[Batch], entry: Entry, options: dict[str, Any]
) -> None:
    model = build()
    found = entry.method(entry.options(options)).masks(model, batches, BUDGETS, rng(1))
    assert list(found) == list(BUDGETS)
    masks = {budget: Pruning.of(what).mask for budget, what in found.items()}
    for budget, mask in masks.items():
        assert mask.count == budget
        assert mask.space == HeadSpace.of(model)
    names = [set(mask.names()) for mask in masks.values()]
    if entry.method.masks is ScoreMethod.masks:  # cuts of one ranking
        assert all(smaller < larger for smaller, larger in itertools.pairwise(names))


@variants
def test_one_seed_gives_one_set_of_masks(
    build: Build, batches: list[Batch], entry: Entry, options: dict[str, Any]
) -> None:
    first, second = (entry.method(entry.options(options)).masks(build(), batches, BUDGETS, rng(1)) for _ in range(2))
    assert all(Pruning.of(first[budget]).mask == Pruning.of(second[budget]).mask for budget in BUDGETS)


@variants
def test_model_is_left_whole_and_open(
    build: Build,
    batches: list[Batch],
    logits: Callable[[Any, Batch], Tensor],
    unchanged: Callable[[Any], Any],
    entry: Entry,
    options: dict[str, Any],
) -> None:
    """Weights byte for byte, no gradient, same mode; all gates open: the logits are the stock model's, bit for bit."""
    model = build()
    with unchanged(model):
        entry.method(entry.options(options)).masks(model, batches, BUDGETS, rng(1))
    assert torch.equal(logits(model, batches[0]), logits(build(stock=True), batches[0]))


def make(entry: Entry, space: HeadSpace, budget: int, seed: int = 1, **options: Any) -> GateMethod:
    return entry.method(space, budget, entry.options(options), rng(seed))


@gate_methods
@pytest.mark.parametrize("budget", BUDGETS)
def test_gates_keep_exactly_the_budget(entry: Entry, space: HeadSpace, budget: int) -> None:
    """The budget is that of the training, N for a method that trains once for all; or they say that they do not."""
    method = make(entry, space, budget if entry.method.per_budget else len(space))
    mask = method.keep(method.budget)
    assert mask.count == method.budget or not method.exact
    assert mask.space == space


@gate_methods
@pytest.mark.parametrize("budget", BUDGETS)
def test_gates_are_finite_and_differentiable(entry: Entry, space: HeadSpace, budget: int) -> None:
    """They are so for every budget, from the first update to the last: pipelined stages differentiate nothing else."""
    method = make(entry, space, budget)
    for update in (0, 10, 50, 100):
        gates = method.sample(Progress(update, 100, rng(update)))
        assert gates.shape == (24,)
        assert torch.isfinite(gates).all()
        parameters = list(method.parameters())
        assert gates.requires_grad == bool(parameters)
        if parameters:
            method.zero_grad()
            (gates.square().sum() + method.penalty(Progress(update, 100, rng(update)))).backward()
            assert all(torch.isfinite(p.grad).all() for p in parameters)


@gate_methods
def test_gates_depend_on_progress_and_its_generator_only(entry: Entry, space: HeadSpace) -> None:
    first, second = (make(entry, space, 5).sample(Progress(3, 100, rng(7))) for _ in range(2))
    assert torch.equal(first, second)
    other = make(entry, space, 5).sample(Progress(3, 100, rng(8)))
    assert torch.equal(first, other) == (entry.name in DETERMINISTIC)


@gate_methods
@pytest.mark.parametrize("budget", [-1, 25, 2.0])
def test_gates_refuse_impossible_budgets(entry: Entry, space: HeadSpace, budget: Any) -> None:
    with pytest.raises(ValueError, match="budget"):
        make(entry, space, budget)


@gate_methods
@pytest.mark.parametrize("cast", ["half", "bfloat16", "float", "double"])
def test_gate_parameters_keep_type_and_value(build: Build, space: HeadSpace, entry: Entry, cast: str) -> None:
    """The model may compute in half precision; logits spread over hundreds would lose their order in it."""
    method = make(entry, space, 5)
    parameters = list(method.parameters())
    before = [p.detach().clone() for p in parameters]
    holder = torch.nn.ModuleList([method, torch.nn.Linear(2, 2)])
    getattr(holder, cast)()
    assert holder[1].weight.dtype == {"half": torch.float16}.get(cast, getattr(torch, cast, None))
    for parameter, value in zip(method.parameters(), before, strict=True):
        assert parameter.dtype == torch.float64
        assert torch.equal(parameter, value)
        assert parameter.param_group == "gates"
    assert all(a is b for a, b in zip(parameters, method.parameters(), strict=True))


@gate_methods
def test_gates_settle_before_the_end(entry: Entry, space: HeadSpace) -> None:
    assert all(0 <= make(entry, space, 5).cooldown(total) <= total for total in (1, 10, 1000))
    assert isinstance(make(entry, space, 5).cooldown(100), int)


@gate_methods
def test_penalty_is_a_scalar(entry: Entry, space: HeadSpace) -> None:
    assert torch.as_tensor(make(entry, space, 5).penalty(Progress(0, 10, rng(1)))).shape == ()


@gate_methods
def test_gate_methods_with_parameters_have_a_learning_rate(entry: Entry, space: HeadSpace) -> None:
    trained = any(True for _ in make(entry, space, 5).parameters())
    assert getattr(entry.options({}), "learning_rate", 0) > 0 if trained else entry.name == "drophead"


# random


def test_random_draws_differ_between_seeds(build: Build) -> None:
    model = build()
    method = METHODS["random"].method()
    assert len({method.rank(model, [], rng(seed)).removal for seed in range(20)}) == 20


def test_random_keeps_every_head_equally_often(build: Build) -> None:
    """Chi-square over 600 draws of 6 of 24 heads, corrected for drawing without replacement."""
    model, method, draws, kept, n = build(), METHODS["random"].method(), 600, 6, 24
    found = sum(np.array(method.masks(model, [], [kept], rng(seed))[kept].keep) for seed in range(draws))
    share = kept / n
    statistic = ((found - draws * share) ** 2).sum() / (draws * share * (1 - share)) * (n - 1) / n
    assert 0.001 < scipy.stats.chi2.sf(statistic, n - 1) < 0.999


# unpruned


def test_unpruned_takes_no_part_in_the_grid_of_budgets(build: Build) -> None:
    entry = METHODS["unpruned"]
    assert not entry.method.prunes
    assert all(other.method.prunes for other in SCORES if other is not entry)
    assert entry.method().masks(build(), [], [24], rng(1))[24].count == 24


# magnitude


def weights_of(attention: Any, head: int) -> tuple[np.ndarray, ...]:
    rows = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
    q, k, v = (getattr(attention, f"{name}_proj").weight[rows].detach().double().numpy() for name in "qkv")
    return q, k, v, attention.out_proj.weight[:, rows].detach().double().numpy()


@pytest.mark.parametrize("norm", ["blocks", "product"])
def test_magnitude_equals_the_norms_head_by_head(build: Build, norm: str) -> None:
    """numpy, relative 1e-6; and no batch is looked at."""
    model, entry = build(), METHODS["magnitude"]
    found = entry.method(entry.options({"norm": norm})).scores(model, [], rng(1))
    expected = []
    for point in attention_points(model):
        for head in range(4):
            q, k, v, o = weights_of(point.module, head)
            together = math.sqrt(sum((block**2).sum() for block in (q, k, v, o)))
            expected.append(together if norm == "blocks" else np.linalg.norm(o @ v))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_magnitude_per_module_compares_within_modules(build: Build) -> None:
    entry = METHODS["magnitude"]
    raw = entry.method(entry.options({})).scores(build(), [], rng(1)).double().view(6, 4).numpy()
    found = entry.method(entry.options({"per_module": True})).scores(build(), [], rng(1)).view(6, 4).numpy()
    np.testing.assert_allclose(found, raw / np.sqrt((raw**2).sum(1, keepdims=True)), rtol=1e-6)


# gradient_importance


def removal_by_hand(
    model: Any, batches: list[Batch], step: int | None, estimator: str, per_module: bool
) -> tuple[int, ...]:
    """docs/theory/importance.md#iterative as a loop: estimate, normalise among the living, remove the lowest, again."""
    space, removal = HeadSpace.of(model), []
    alive = list(range(24))
    while alive:
        set_mask(model, space.keep(alive))
        raw = head_importance(model, batches, estimator).tolist()  # type: ignore[arg-type]
        norms = [math.sqrt(sum(raw[h] ** 2 for h in alive if space.module_of[h] == m)) for m in range(6)]
        scores = [raw[h] / (norms[space.module_of[h]] + 1e-20) if per_module else raw[h] for h in range(24)]
        lowest = sorted(alive, key=lambda h: (scores[h], raw[h], -h))[: step or 24]
        removal += lowest
        alive = [head for head in alive if head not in lowest]
    return tuple(removal)


@pytest.mark.parametrize(
    ("step", "estimator"),
    [(step, name) for step in (None, 5) for name in ("example", "position", "batch", "signed")] + [(1, "example")],
)
def test_gradient_importance_equals_the_loop(
    build: Build, batches: list[Batch], step: int | None, estimator: str
) -> None:
    entry, per_module = METHODS["gradient_importance"], estimator != "position"
    options = {"estimator": estimator, "per_module": per_module, "iterative": step is not None, "step": step or 4}
    found = entry.method(entry.options(options)).rank(build(), batches, rng(1))
    assert found.removal == removal_by_hand(build(), batches, step, estimator, per_module)


def test_one_shot_is_iterative_in_one_step(build: Build, batches: list[Batch]) -> None:
    entry = METHODS["gradient_importance"]
    one_shot = entry.method(entry.options({})).rank(build(), batches, rng(1))
    in_one = entry.method(entry.options({"iterative": True, "step": 24})).rank(build(), batches, rng(1))
    again = entry.method(entry.options({"iterative": True, "step": 1})).rank(build(), batches, rng(1))
    assert one_shot == in_one
    assert again != one_shot


def test_every_module_keeps_its_last_head_to_the_end(build: Build, batches: list[Batch]) -> None:
    """docs/theory/importance.md#iterative: the last survivor has normalised score 1, the largest there is, if pruned
    heads count 0."""
    entry, model = METHODS["gradient_importance"], build()
    ranking = entry.method(entry.options({"iterative": True, "step": 1})).rank(model, batches, rng(1))
    last = [ranking.space.module_of[head] for head in ranking.removal[-6:]]
    assert sorted(last) == list(range(6))
    raws = []
    for left in range(6, 0, -1):  # among them, the order is that of the raw scores
        set_mask(model, ranking.mask(left))
        raw = head_importance(model, batches)
        raws.append(raw[list(ranking.removal[-left:])])
    assert all(scores.argmin() == 0 for scores in raws)


def test_gradient_importance_does_not_see_how_examples_are_batched(
    build: Build, make_batch: Callable[..., Batch], rebatch: Callable[..., list[Batch]]
) -> None:
    entry, batch = METHODS["gradient_importance"], make_batch(seed=1, size=6)
    method = entry.method(entry.options({}))
    rankings = {method.rank(build(), rebatch(batch, size), rng(1)).removal for size in (1, 4, 6)}
    assert len(rankings) == 1


# dsp

DSP = METHODS["dsp"]


@pytest.mark.parametrize("budget", BUDGETS)
def test_dsp_gates_sum_to_the_budget(space: HeadSpace, budget: int) -> None:
    for start in (0.1, 1000.0):
        method = make(DSP, space, budget, start=start)
        for update in (0, 5, 20, 60, 100):
            gates = method.sample(Progress(update, 100, rng(update)))
            assert abs(gates.sum().item() - budget) < 1e-9
            assert gates.dtype == torch.float64


def test_dsp_keeps_its_largest_logits(space: HeadSpace) -> None:
    method = make(DSP, space, 5)
    with torch.no_grad():
        method.logits.copy_(torch.randn(24, generator=rng(3)).double())
    for budget in BUDGETS:
        kept = sorted(method.logits.argsort(descending=True)[:budget].tolist())
        assert [i for i, keep in enumerate(method.keep(budget).keep) if keep] == kept


def test_dsp_learns_which_heads_help(space: HeadSpace) -> None:
    """A loss that wants five particular heads open and all others closed: gradient descent finds them."""
    method, wanted = make(DSP, space, 5, start=1.0, cooldown=1.0), [2, 3, 11, 17, 23]
    optimiser = torch.optim.Adam(method.parameters(), lr=0.2)
    for update in range(100):
        gates = method.sample(Progress(update, 100, rng(update)))
        optimiser.zero_grad()
        (gates.sum() - 2 * gates[wanted].sum()).backward()
        optimiser.step()
    assert [i for i, keep in enumerate(method.keep(5).keep) if keep] == wanted


def test_dsp_gates_are_hard_after_the_cooldown(space: HeadSpace) -> None:
    method = make(DSP, space, 5, cooldown=0.4)
    assert method.cooldown(100) == 40
    assert make(DSP, space, 5).cooldown(1000) == 230
    assert make(DSP, space, 5, cooldown=0.0).cooldown(1000) == 0
    hard = method.sample(Progress(40, 100, rng(1)))
    assert sorted(hard.tolist()) == [0.0] * 19 + [1.0] * 5


def test_dsp_starts_within_the_glorot_bound(space: HeadSpace) -> None:
    """docs/theory/subset-sampling.md#initialisation: U(-b, b) with b = sqrt(6 / (modules + heads a module));
    Kolmogorov-Smirnov over 100 starts."""
    bound = math.sqrt(6 / (6 + 4))
    logits = torch.cat([make(DSP, space, 5, seed).logits.detach() for seed in range(100)])
    assert logits.abs().max() < bound
    assert scipy.stats.kstest(logits.numpy(), "uniform", args=(-bound, 2 * bound)).pvalue > 0.01
    assert torch.equal(make(DSP, space, 5, 1).logits, make(DSP, space, 9, 1).logits)
