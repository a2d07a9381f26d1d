"""The order of taking turns, and the ratios that come of it, by a clock that is set by hand."""

from __future__ import annotations

import pytest
from interleaved import Quartiles, take_turns


class Clock:
    """Stands still but where it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_candidates_take_turns_forwards_and_backwards_and_ratios_are_of_one_round() -> None:
    """The machine becomes slower by every call; the warm-up does not count."""
    clock, calls = Clock(), []

    def candidate(name: str, seconds: float):
        def run() -> None:
            calls.append(name)
            clock.now += seconds * len(calls)

        return run

    candidates = {"a": candidate("a", 1.0), "b": candidate("b", 3.0)}
    times = take_turns(candidates, rounds=2, warmup=2, wall=clock, processor=clock)
    assert "".join(calls) == "abba" * 2
    assert times["a"].wall == times["a"].processor == [5.0, 8.0]
    assert times["b"].wall == [18.0, 21.0]
    ratios = times["b"].ratios(times["a"])
    assert ratios.median == pytest.approx((18 / 5 + 21 / 8) / 2)
    assert times["a"].ratios(times["a"], processor=True) == Quartiles(1.0, 1.0, 1.0)


def test_quartiles_of_one_value_and_of_five() -> None:
    assert Quartiles.of([2.0]) == Quartiles(2.0, 2.0, 2.0)
    assert Quartiles.of([5.0, 1.0, 4.0, 2.0, 3.0]) == Quartiles(2.0, 3.0, 4.0)
