"""Ablation scores and near-oracle searches against loops over masks, one forward pass each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from fairseq.data import Dictionary
from model_families import classifier, for_classifier, for_language_model, language_model

from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadMask, HeadSpace, Scope
from headprune.importance import example_losses
from headprune.method import Ranking, load_methods
from headprune.scoring.masked_losses import spread_examples

METHODS = load_methods()
SEARCHES = pytest.mark.parametrize(
    ("name", "options"),
    [("greedy", {}), ("greedy", {"step": 3}), ("evolutionary", {"population": 6, "generations": 3})],
    ids=["greedy", "greedy-step-3", "evolutionary"],
)
SMALL = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}  # N = 6

Build = Callable[..., Any]
Batch = dict[str, Any]


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(name: str, options: dict[str, Any] | None = None, scope: Scope | None = None) -> Any:
    entry = METHODS[name]
    return entry.method(entry.options(options or {}), scope)


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=3) for seed in (1, 2)]


def loss_of(model: Any, batches: list[Batch], kept: Iterable[int]) -> float:
    """Nats per target token when only these heads are kept."""
    set_mask(model, HeadSpace.of(model).keep(kept))
    with torch.no_grad():
        total = sum(example_losses(model, batch).double().sum().item() for batch in batches)
    clear_mask(model)
    return total / sum(int(batch["target"].ne(1).sum()) for batch in batches)


def kept_by(mask: HeadMask) -> list[int]:
    return [i for i, keep in enumerate(mask.keep) if keep]


# drop_one, keep_one


@pytest.mark.parametrize("sentences", [0, 4])
def test_drop_one_is_what_the_loss_rises_by(build: Build, batches: list[Batch], sentences: int) -> None:
    """Absolute 1e-5 nats, in fp32."""
    model, data = build(), spread_examples(batches, sentences)
    found = make("drop_one", {"sentences": sentences}).scores(model, batches, rng(1))
    full = loss_of(model, data, range(24))
    expected = [loss_of(model, data, set(range(24)) - {head}) - full for head in range(24)]
    assert found.tolist() == pytest.approx(expected, rel=0, abs=1e-5)
    assert max(expected) > 1e-3


@pytest.mark.parametrize("sentences", [0, 4])
def test_keep_one_is_the_loss_with_its_module_reduced_to_it(build: Build, batches: list[Batch], sentences: int) -> None:
    model, data = build(), spread_examples(batches, sentences)
    found = make("keep_one", {"sentences": sentences}).scores(model, batches, rng(1))
    for head in range(24):
        others = {h for h in range(24) if h // 4 == head // 4} - {head}
        expected = -loss_of(model, data, set(range(24)) - others)
        assert found[head].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["drop_one", "keep_one", "greedy", "evolutionary"])
def test_a_negative_number_of_sentences_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="sentences"):
        METHODS[name].options({"sentences": -1})


# greedy and evolutionary search


def greedy_by_hand(model: Any, batches: list[Batch], step: int) -> list[int]:
    alive, removal = list(range(len(HeadSpace.of(model)))), []
    while alive:
        losses = {head: loss_of(model, batches, set(alive) - {head}) for head in alive}
        taken = sorted(alive, key=lambda head: losses[head])[:step]
        removal += taken
        alive = [head for head in alive if head not in taken]
    return removal


@pytest.mark.parametrize(("step", "sentences"), [(1, 0), (1, 4), (2, 256)])
def test_greedy_equals_the_loop(build: Build, batches: list[Batch], step: int, sentences: int) -> None:
    for seed in (1, 2):
        model = build(seed, **SMALL)
        found = make("greedy", {"step": step, "sentences": sentences}).rank(model, batches, rng(1))
        assert list(found.removal) == greedy_by_hand(model, spread_examples(batches, sentences), step)


@SEARCHES
def test_searches_are_never_worse_than_importance(
    build: Build, batches: list[Batch], name: str, options: dict[str, Any]
) -> None:
    """The selection loss is no higher than with both forms of one-shot importance, at every budget; relative 1e-6."""
    budgets = (3, 8, 16)
    for seed in (1, 2):
        model = build(seed)
        found = make(name, {"sentences": 4, **options}).masks(model, batches, budgets, rng(seed))
        data = spread_examples(batches, 4)
        for per_module in (True, False):
            other = make("gradient_importance", {"per_module": per_module}).masks(model, batches, budgets, rng(1))
            for budget in budgets:
                ours, theirs = (loss_of(model, data, kept_by(masks[budget])) for masks in (found, other))
                assert ours <= theirs * (1 + 1e-6)


def test_greedy_takes_the_better_mask_whoever_found_it(build: Build, batches: list[Batch]) -> None:
    """Misled at every step, it gives the better mask of importance."""
    model, method = build(), make("greedy")
    worst = tuple(reversed(make("gradient_importance").rank(model, batches, rng(1)).removal))
    method.rank = lambda *_: Ranking(HeadSpace.of(model), worst)
    found = method.masks(model, batches, (6, 12), rng(1))
    for budget in (6, 12):
        masks = [
            make("gradient_importance", {"per_module": normal}).masks(model, batches, [budget], rng(1))[budget]
            for normal in (True, False)
        ]
        assert found[budget] == min(masks, key=lambda mask: loss_of(model, batches, kept_by(mask)))


@pytest.mark.parametrize("budget", [1, 2, 3, 4, 5])
def test_evolution_finds_the_optimum_of_a_small_model(build: Build, batches: list[Batch], budget: int) -> None:
    """Against all subsets of 6 heads, relative 1e-6; greedy lies between it and importance."""
    model = build(**SMALL)
    subsets = itertools.combinations(range(6), budget)
    best = min(loss_of(model, batches, kept) for kept in subsets)
    found = make("evolutionary").masks(model, batches, [budget], rng(1))[budget]
    assert loss_of(model, batches, kept_by(found)) == pytest.approx(best, rel=1e-6)
    greedy = make("greedy").masks(model, batches, [budget], rng(1))[budget]
    assert loss_of(model, batches, kept_by(greedy)) >= best * (1 - 1e-6)


def test_evolution_improves_on_its_first_generation(build: Build, batches: list[Batch]) -> None:
    model = build()
    losses = [
        loss_of(model, batches, kept_by(make("evolutionary", options).masks(model, batches, [8], rng(1))[8]))
        for options in ({"generations": 0}, {"generations": 15})
    ]
    assert losses[1] < losses[0] - 1e-4


def test_evolution_measures_no_mask_twice(build: Build, batches: list[Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    """And at most population × (generations + 1) of them; none for the budgets without a choice."""
    method = make("evolutionary", {"population": 8, "generations": 6})
    names, measured = method.masks.__func__.__globals__, []
    measure = names["masked_losses"]

    def counting(model: Any, batches: Any, masks: torch.Tensor) -> torch.Tensor:
        measured.extend(map(tuple, masks.tolist()))
        return measure(model, batches, masks)

    monkeypatch.setitem(names, "masked_losses", counting)
    method.masks(build(**SMALL), batches, [0, 6], rng(1))
    assert not measured
    method.masks(build(), batches, [5], rng(1))
    assert len(set(measured)) == len(measured) <= 8 * 7
    assert all(sum(mask) == 5 for mask in measured)


def test_other_budgets_do_not_change_a_mask(build: Build, batches: list[Batch]) -> None:
    options = {"population": 4, "generations": 2}
    alone = make("evolutionary", options).masks(build(), batches, [7], rng(3))
    among = make("evolutionary", options).masks(build(), batches, [3, 7, 20], rng(3))
    assert alone[7] == among[7]
    assert all(mask.count == budget for budget, mask in among.items())
    assert among == make("evolutionary", options).masks(build(), batches, [3, 7, 20], rng(3))


@SEARCHES
@pytest.mark.parametrize(
    "scope",
    [Scope(("encoder", "decoder")), Scope(min_per_module=1), Scope(("cross",), min_per_module=2)],
    ids=["types", "minimum", "both"],
)
def test_searches_stay_within_the_scope(
    build: Build, batches: list[Batch], name: str, options: dict[str, Any], scope: Scope
) -> None:
    model = build()
    least = scope.smallest(HeadSpace.of(model))
    budgets = (least, (least + 24) // 2, 23, 24)
    masks = make(name, {"sentences": 2, **options}, scope).masks(model, batches, budgets, rng(1))
    for budget, mask in masks.items():
        assert mask.count == budget
        assert scope.allows(mask)
    with pytest.raises(ValueError, match="scope protects"):
        make(name, {"sentences": 2, **options}, scope).masks(model, batches, [least - 1], rng(1))


@pytest.mark.parametrize("step", [1, 4])
def test_greedy_steps_remove_only_what_may_go(build: Build, batches: list[Batch], step: int) -> None:
    """The first 18 steps of the ranking need no correction by the cut, with one head protected in each of 6 modules."""
    model, scope = build(), Scope(min_per_module=1)
    removal = make("greedy", {"step": step, "sentences": 2}, scope).rank(model, batches, rng(1)).removal
    assert scope.order(HeadSpace.of(model), removal[:18]) == removal[:18]


@SEARCHES
def test_searches_leave_the_model_as_it_was(
    build: Build, batches: list[Batch], unchanged: Callable[[Any], Any], name: str, options: dict[str, Any]
) -> None:
    model = build()
    with unchanged(model):
        make(name, {"sentences": 2, **options}).masks(model, batches, [5, 12], rng(1))
    assert all(m.gate is None for m in model.modules() if hasattr(m, "gate"))


def test_bad_options_are_refused() -> None:
    bad = {"greedy": {"step": 0}, "evolutionary": {"population": 1}}
    for name, options in [*bad.items(), ("evolutionary", {"crossover": 1.5}), ("evolutionary", {"generations": -1})]:
        with pytest.raises(ValueError, match=next(iter(options))):
            METHODS[name].options(options)


@pytest.mark.parametrize("name", ["drop_one", "keep_one", "greedy", "evolutionary", "confidence", "entropy"])
@pytest.mark.parametrize("labels", [False, True], ids=["decoder-only", "classifier"])
def test_other_models_are_pruned_too(
    dictionary: Dictionary, batches: list[Batch], unchanged: Callable[[Any], Any], name: str, labels: bool
) -> None:
    model = (classifier if labels else language_model)(dictionary)
    batches = [(for_classifier if labels else for_language_model)(batch) for batch in batches]
    options = {"population": 4, "generations": 2} if name == "evolutionary" else {}
    with unchanged(model):
        masks = make(name, options).masks(model, batches, range(9), rng(1))
    assert [mask.count for mask in masks.values()] == list(range(9))
    assert all(m.gate is None for m in model.modules() if hasattr(m, "gate"))
