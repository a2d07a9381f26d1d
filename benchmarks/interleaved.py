"""Times of things that take turns, so that a busy machine slows all alike, and their ratios."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]


def processor_time() -> float:
    """Seconds that this process, and those that it started and that have ended, have computed."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass(frozen=True)
class Quartiles:
    """The middle and the two quarters of a sample."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Quartiles:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))


@dataclass(frozen=True)
class Times:
    """Seconds of one candidate, an entry a round."""

    wall: list[float]
    processor: list[float]  # of the process and those it started

    def ratios(self, reference: Times, processor: bool = False) -> Quartiles:
        """Time over that of `reference` in the same round."""
        own, other = (times.processor if processor else times.wall for times in (self, reference))
        return Quartiles.of([one / two for one, two in zip(own, other, strict=True)])


def take_turns(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int = 2,
    wall: Clock = time.perf_counter,
    processor: Clock = processor_time,
) -> dict[str, Times]:
    """Runs every candidate once a round, every second round in reversed order (ABBA).

    :param warmup: rounds before the first that counts
    """
    times = {name: Times([], []) for name in candidates}
    for number in range(-warmup, rounds):
        for name in list(candidates)[:: -1 if number % 2 else 1]:
            start = wall(), processor()
            candidates[name]()
            taken = wall() - start[0], processor() - start[1]
            if number >= 0:
                times[name].wall.append(taken[0])
                times[name].processor.append(taken[1])
    return times
