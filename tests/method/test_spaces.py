"""Spaces of hyper-parameters: drawn values stay inside, rise with what they are drawn by, and reach both ends."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.method import Choices, Integers, LogUniform, Uniform

SHARES = st.floats(0, 1, exclude_max=True)
LAST = math.nextafter(1, 0)


def bounds(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Two different ones of the numbers, the smaller one first."""
    return st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted)


NUMBERS = st.one_of(
    bounds(st.floats(-1e12, 1e12)).map(lambda pair: Uniform(*pair)),
    bounds(st.floats(1e-12, 1e12)).map(lambda pair: LogUniform(*pair)),
    bounds(st.integers(-(10**9), 10**9)).map(lambda pair: Integers(*pair)),
    bounds(st.integers(1, 10**9)).map(lambda pair: Integers(*pair, log=True)),
)
CHOICES = st.lists(st.integers() | st.text(), min_size=2, unique=True).map(lambda values: Choices(tuple(values)))


@given(NUMBERS | CHOICES, SHARES)
def test_what_is_drawn_is_in_the_space(space: Any, share: float) -> None:
    assert space.at(share) in space


@given(NUMBERS, SHARES, SHARES)
def test_numbers_rise_with_the_share(space: Any, one: float, other: float) -> None:
    assert space.at(min(one, other)) <= space.at(max(one, other))


@given(NUMBERS)
def test_the_ends_are_reached(space: Any) -> None:
    assert space.low in space
    assert space.high in space
    width = space.high - space.low
    if isinstance(space, Integers):
        assert (space.at(0.0), space.at(LAST)) == (space.low, space.high)
        assert isinstance(space.at(0.5), int)
    else:
        for found, end in ((space.at(0.0), space.low), (space.at(LAST), space.high)):
            assert found == pytest.approx(end, rel=1e-5, abs=1e-12 * width)
        assert isinstance(space.at(0.5), float)


def test_every_choice_has_an_equal_part() -> None:
    space = Choices(("a", "b", "c"))
    assert [space.at(share) for share in (0.0, 0.33, 0.34, 0.66, 0.67, LAST)] == ["a", "a", "b", "b", "c", "c"]


def test_the_middle() -> None:
    assert Uniform(0, 5).at(0.5) == 2.5
    assert LogUniform(0.01, 100).at(0.5) == 1.0  # the geometric mean
    assert Integers(1, 4).at(0.5) == 3  # 1 and 2 are the lower half
    assert Integers(1, 15, log=True).at(0.5) == 4  # √16


def test_numbers_have_six_digits() -> None:
    """The digits in which exponential functions of two machines differ are cut off: trials are the same on both."""
    assert LogUniform(0.02, 2).at(1 / 3) == 0.0928318


@pytest.mark.parametrize("kind", [Uniform, LogUniform, Integers])
@pytest.mark.parametrize(("low", "high"), [(2, 1), (1, 1), (1, math.nan), (-math.inf, 1), (1, math.inf)])
def test_bounds_that_hold_nothing_are_refused(kind: Any, low: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"from {low} to {high}"):
        kind(low, high)


@pytest.mark.parametrize("low", [0, -1])
def test_a_logarithm_needs_positive_bounds(low: int) -> None:
    for make in (lambda: LogUniform(low, 1), lambda: Integers(low, 1, log=True)):
        with pytest.raises(ValueError, match="on a log scale: the bounds must be positive"):
            make()


def test_whole_numbers_and_choices_that_are_none() -> None:
    with pytest.raises(ValueError, match="the bounds must be whole"):
        Integers(1, 2.5)  # type: ignore[arg-type]
    for values in ((), ("a",), ("a", "b", "a")):
        with pytest.raises(ValueError, match="two or more, each once"):
            Choices(values)


@pytest.mark.parametrize("value", [True, "1", None, math.nan, 2.5, -1])
def test_what_is_no_number_of_a_space_is_not_in_it(value: object) -> None:
    assert value not in Uniform(0, 2)
    assert value not in Integers(0, 2)
    assert 1.0 not in Integers(0, 2)
    assert 1 in Uniform(0, 2)


def test_spaces_in_words() -> None:
    assert str(Uniform(0, 0.5)) == "0 to 0.5"
    assert str(LogUniform(1e-8, 2)) == "1e-08 to 2, log scale"
    assert str(Integers(1, 32)) == "whole numbers 1 to 32"
    assert str(Integers(1, 32, log=True)) == "whole numbers 1 to 32, log scale"
    assert str(Choices((False, True))) == "false, true"


def test_spaces_need_no_torch() -> None:
    code = "import sys, headprune.method.spaces; from headprune.method import Choices, option"
    code += "; assert not {'torch', 'scipy', 'numpy'} & set(sys.modules)"
    code += "; import headprune.method.tuning; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
