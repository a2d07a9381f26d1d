"""Trials of methods: the defaults first, then a sequence that is the same every time, all of it in the spaces."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from headprune.importance import ESTIMATORS
from headprune.method import Choices, Entry, Integers, LogUniform, NoOptions, Uniform, load_methods, option
from headprune.method.tuning import space_of, trials

METHODS = load_methods()
methods = pytest.mark.parametrize("entry", METHODS.values(), ids=METHODS.keys())


@dataclass(frozen=True)
class Made:
    rate: float = option(0.1, "a rate", space=LogUniform(0.001, 10))
    untouched: float = option(0.1, "a number without a space")
    share: float = option(0.5, "a share", space=Uniform(0, 1))
    layers: int = option(2, "a number of them", space=Integers(1, 4))
    flag: bool = option(False, "a flag")
    other: bool = option(False, "a flag that makes another method", tuned=False)
    word: str = option("a", "a choice", choices=("a", "b", "c"))
    some: str = option(
        "a", "a choice, of which two are worth while", choices=("a", "b", "c"), space=Choices(("a", "c"))
    )
    price: float = option(1.0, "a coefficient", space=Uniform(0, 1))


class Numbers:
    Options = Made
    coefficient = "price"


class Flags:
    @dataclass(frozen=True)
    class Options:
        one: bool = option(False, "a flag")
        other: bool = option(True, "a flag")


class Nothing:
    Options = NoOptions


def test_the_space_of_a_method() -> None:
    space = space_of(Numbers)
    assert list(space) == ["rate", "share", "layers", "flag", "word", "some"]
    assert space["flag"] == Choices((False, True))
    assert space["word"] == Choices(("a", "b", "c"))
    assert space["some"] == Choices(("a", "c"))
    assert list(space_of(Numbers, fixed={"flag", "rate"})) == ["share", "layers", "word", "some"]
    assert space_of(Nothing) == {}


@given(st.integers(1, 70), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_trials_are_as_many_as_asked_for_and_in_the_space(count: int, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the sequence warns of counts that are no powers of two
        found = trials(Numbers, count, seed)
    assert len(found) == count
    assert found[0] == {}
    for trial in found[1:]:
        assert list(trial) == list(space_of(Numbers))
        assert all(trial[name] in space for name, space in space_of(Numbers).items())
    assert found == trials(Numbers, count, seed)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([Numbers, Flags, Nothing]))
@settings(max_examples=25, deadline=None)
def test_a_longer_list_begins_with_the_shorter_one(one: int, other: int, method: type) -> None:
    shorter, longer = sorted([trials(method, one, 3), trials(method, other, 3)], key=len)
    assert longer[: len(shorter)] == shorter


def test_other_seeds_draw_others() -> None:
    lists = [trials(Numbers, 4, seed) for seed in range(5)]
    assert all(one[1:] != other[1:] for one, other in pairwise(lists))


def test_shares_of_a_sequence_spread_evenly() -> None:
    """Every 2^-m of an axis has one of 2^m points of a Sobol sequence; independent numbers leave gaps."""
    drawn = [trial["share"] for trial in trials(Numbers, 33, seed=5)[1:]]
    assert sorted(int(32 * share) for share in drawn) == list(range(32))
    points = [[trial["share"], trial["layers"] / 4 - 0.125] for trial in trials(Numbers, 65, seed=5)[1:]]
    assert qmc.discrepancy(points) < 0.01


def test_no_trial_is_twice() -> None:
    assert trials(Nothing, 5, seed=1) == [{}]
    found = trials(Flags, 9, seed=1)
    assert found[0] == {}
    values = [(trial.get("one", False), trial.get("other", True)) for trial in found]
    assert sorted(values) == [(False, False), (False, True), (True, False), (True, True)]


def test_at_least_one_trial() -> None:
    with pytest.raises(ValueError, match="0 trials: there must be at least 1"):
        trials(Numbers, 0, seed=1)


@methods
def test_methods_take_their_trials(entry: Entry) -> None:
    for item in fields(entry.method.Options):  # type: ignore[attr-defined]
        space = item.metadata["space"]
        assert space is None or item.default in space
    for trial in trials(entry.method, 64, seed=1):
        entry.options(trial)


@methods
def test_methods_leave_out_costs_and_what_is_searched_over(entry: Entry) -> None:
    costs = {"sentences", "population", "generations", "step", "iterative", "at_k"}
    assert not costs & set(space_of(entry.method))
    options = {item.name: item.metadata["space"] for item in fields(entry.method.Options)}  # type: ignore[attr-defined]
    assert options.get(getattr(entry.method, "coefficient", "")) is None


def test_every_estimator_is_a_choice() -> None:
    """The method's file spells them out, so that it can be read without being run."""
    assert space_of(METHODS["gradient_importance"].method)["estimator"] == Choices(ESTIMATORS)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (option(5.0, "a number", space=Uniform(0, 1)), "option 'p' is 5.0 unless given, which its space lacks: 0 to 1"),
        (option("d", "a choice", choices=("a", "b")), "option 'p' is 'd' unless given, which its space lacks: a, b"),
    ],
)
def test_a_default_outside_of_its_space_is_refused(field: Any, words: str) -> None:
    options = dataclass(frozen=True)(type("Options", (), {"p": field, "__annotations__": {"p": Any}}))
    with pytest.raises(ValueError, match=f"method 'mine': {words}"):
        Entry("mine", "score", type("Mine", (), {"Options": options}), "", Path("mine.py"))
