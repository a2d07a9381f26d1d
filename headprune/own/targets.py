"""Targets: pruning that is asked for by what it gives instead of by a number of heads, and found by bisection."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

SCALES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kMB]?)")


class UnreachableError(ValueError):
    """No number of heads that was tried gives what was asked for."""


@dataclass(frozen=True)
class TargetKind:
    """The kind of targets that an option asks for.

    :param quantity: the number that they look at, in words
    :param shown: its format
    :param least: the number of a target is larger than that
    :param at_most: whether the number of a pruned model stays below that of the target; else it is as large
    :param helped: whether removing heads helps: then the most heads that reach the target are looked for, else the
        fewest that stay within it
    """

    option: str
    quantity: str
    shown: str
    least: float
    at_most: bool
    helped: bool


KINDS = {
    "parameters": TargetKind("--parameters", "parameters", ",.0f", 0, at_most=True, helped=True),
    "speed_up": TargetKind("--speed-up", "speed-up, one by one", ".2f", 1, at_most=False, helped=True),
    "speed_up_in_batches": TargetKind(
        "--speed-up-in-batches", "speed-up, in batches", ".2f", 1, at_most=False, helped=True
    ),
    "lose_at_most": TargetKind("--lose-at-most", "loss", ".2f", -1, at_most=True, helped=False),
}


@dataclass(frozen=True)
class Target:
    """A target as the command line has it: `Target("parameters", "30M")`.

    :param name: a key of `KINDS`
    :raises ValueError: no number, or one that no pruning is needed for.
    """

    name: str
    text: str

    def __post_init__(self) -> None:
        if not self.value > self.kind.least:
            raise ValueError(f"{self}: it must be larger than {self.kind.least:g}")

    def __str__(self) -> str:
        return f"{self.kind.option} {self.text}"

    @property
    def kind(self) -> TargetKind:
        """The kind of the target."""
        return KINDS[self.name]

    @cached_property
    def value(self) -> float:
        """The number, that of `30M` being 30,000,000."""
        found = NUMBER.fullmatch(self.text)
        if found is None:
            raise ValueError(
                f"{self}: it is a number, such as 1.5, or with k, M or B for thousands, millions, billions"
            )
        return float(found[1]) * SCALES[found[2]]

    @property
    def timed(self) -> bool:
        """True if times are measured for it."""
        return self.name.startswith("speed_up")

    def met(self, number: float) -> bool:
        """Tells whether the number of a pruned model is what was asked for."""
        return number <= self.value if self.kind.at_most else number >= self.value

    def shown(self, number: float) -> str:
        """A number of its kind as text."""
        return f"{number:{self.kind.shown}}"


@dataclass(frozen=True)
class Reached:
    """The outcome of a search.

    :param heads_kept: the number of heads that meets the target
    :param number: its parameters, speed-up or loss
    :param beyond: the next number of heads, more or fewer, which does not meet it
    :param beyond_number: the number of that; None: it is the unpruned model, or there are no fewer heads
    """

    heads_kept: int
    number: float
    beyond: int
    beyond_number: float | None


def search(target: Target, total: int, whole: float, reached: Callable[[int], float]) -> Reached:
    """The pruning that a target asks for.

    :param total: N, the heads of the model
    :param whole: the number of the unpruned model
    :param reached: the number of the model that keeps so many heads, 0…N − 1; asked ⌈log₂(N + 1)⌉ + 1 times at most
    :raises UnreachableError: what was tried does not meet it; names the best.
    :raises ValueError: the unpruned model meets it.
    """
    numbers: dict[int, float] = {}

    def meets(budget: int) -> bool:
        numbers[budget] = reached(budget)
        return target.met(numbers[budget])

    if target.kind.helped:
        if target.met(whole):
            raise ValueError(f"{target}: the unpruned model has {target.shown(whole)} {target.kind.quantity}")
        if not meets(0):
            raise UnreachableError(f"{target} cannot be reached: {_best(target, numbers, total)}")
        kept = boundary(0, total, meets)
        return Reached(kept, numbers[kept], kept + 1, numbers.get(kept + 1))
    kept = boundary(total, -1, meets)
    if kept == total:
        raise UnreachableError(f"{target} cannot be reached by any of those tried: {_best(target, numbers, total)}")
    return Reached(kept, numbers[kept], kept - 1, numbers.get(kept - 1))


def _best(target: Target, numbers: dict[int, float], total: int) -> str:
    choose = min if target.kind.at_most else max
    heads = choose(numbers, key=lambda budget: numbers[budget])
    return f"the best is {heads} of {total} heads, {target.kind.quantity} {target.shown(numbers[heads])}"


def boundary(inside: int, outside: int, meets: Callable[[int], bool]) -> int:
    """Bisection: a number that meets a condition, whose neighbour towards `outside` does not.

    Where the condition changes once between the two it is the last that meets it; where it changes more often it is
    one of several.

    :param inside: a number that meets it, or counts as one
    :param outside: a number that does not, likewise; above or below
    :param meets: asked of numbers in between, each once
    """
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if meets(middle) else (inside, middle)
    return inside


def most_tried(total: int) -> int:
    """The number of heads that a search among `total` tries at most."""
    return math.ceil(math.log2(total + 1)) + 1
