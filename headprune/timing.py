"""Times of models in pairs with a reference, in rounds that go on until they decide.

Every model is run twice between two runs of the reference, A B B A, neighbours sharing an A, so that a slow minute hits
both; what is told of a model is its ratio to the reference in the same pair. Pairs during which other programs kept the
machine busy are repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import psutil

BUSY = 0.1  # of the machine's cores; other programs that take more disturb what is measured
Rates = tuple[float, float]  # a latency, and a throughput


class Rounds(Protocol):
    """The number of rounds.

    :ivar repeats: rounds at least
    :ivar most_repeats: rounds at most, or `repeats` if that is more
    :ivar spread: distance of the quartiles of a ratio from its median, as a share of it, at which it is decided
    """

    @property
    def repeats(self) -> int: ...
    @property
    def most_repeats(self) -> int: ...
    @property
    def spread(self) -> float: ...


@dataclass(frozen=True)
class Timing:
    """Median and quartiles over rounds, and what they rest on."""

    median: float
    q25: float
    q75: float
    rounds: int = 0
    disturbed: int = 0  # rounds that other programs disturbed; they count only where too few others are left

    @classmethod
    def of(cls, values: Sequence[float], disturbed: int = 0) -> Timing:
        """The median and quartiles of values, in their unit."""
        q25, median, q75 = np.quantile(np.asarray(values), (0.25, 0.5, 0.75))
        return cls(float(median), float(q25), float(q75), len(values), disturbed)

    def times(self, factor: float) -> Timing:
        """The same in another unit."""
        return Timing(self.median * factor, self.q25 * factor, self.q75 * factor, self.rounds, self.disturbed)

    def within(self, spread: float) -> bool:
        """True if both quartiles are as near to the median as this share of it."""
        return max(self.median - self.q25, self.q75 - self.median) <= spread * self.median


@dataclass(frozen=True)
class OneRun:
    """One run of a model."""

    rates: Rates
    wall: float  # seconds
    others: float  # seconds of processor time that other programs took meanwhile


@dataclass(frozen=True)
class PairedRun:
    """A model between two runs of the reference."""

    ratios: Rates  # of the model to the reference
    disturbed: bool

    @classmethod
    def of(cls, before: OneRun, model: tuple[OneRun, OneRun], after: OneRun) -> PairedRun:
        runs = (before, *model, after)
        latency = sum(run.rates[0] for run in model) / (before.rates[0] + after.rates[0])
        slowness = [1 / run.rates[1] for run in runs]
        throughput = (slowness[0] + slowness[3]) / (slowness[1] + slowness[2])
        return cls((latency, throughput), _disturbed(runs))


def in_turn(models: Mapping[str, Any], run: Callable[[Any], Rates], rounds: Rounds) -> dict[str, tuple[Timing, Timing]]:
    """Latency and throughput of every model; the first is the reference of the others.

    A model leaves the rounds once both of its ratios are decided. All are run once before anything counts.

    :param run: latency and throughput of a model
    :returns: by name; of a model but the first, its ratios times the medians of the reference
    """
    if not models:
        return {}
    reference, *others = models
    pairs: dict[str, list[PairedRun]] = {name: [] for name in others}
    for model in models.values():
        run(model)
    own: list[OneRun] = []
    for number in range(max(rounds.repeats, rounds.most_repeats)):
        pending = [name for name, found in pairs.items() if not decided(found, rounds)]
        if number >= rounds.repeats and not pending:
            break
        own.append(_timed(run, models[reference]))
        for name in pending[:: -1 if number % 2 else 1]:
            model = _timed(run, models[name]), _timed(run, models[name])
            own.append(_timed(run, models[reference]))
            pairs[name].append(PairedRun.of(own[-2], model, own[-1]))
    counted, disturbed = _counted(own, [_disturbed([one]) for one in own], rounds.repeats)
    base = [Timing.of([one.rates[metric] for one in counted], disturbed) for metric in (0, 1)]
    found = {reference: (base[0], base[1])}
    for name, of_model in pairs.items():
        latency, throughput = ratios(of_model, rounds.repeats)
        found[name] = latency.times(base[0].median), throughput.times(base[1].median)
    return found


def decided(pairs: Sequence[PairedRun], rounds: Rounds) -> bool:
    """True if enough undisturbed pairs agree on both ratios."""
    calm = sum(not pair.disturbed for pair in pairs)
    return calm >= rounds.repeats and all(each.within(rounds.spread) for each in ratios(pairs, rounds.repeats))


def ratios(pairs: Sequence[PairedRun], least: int) -> tuple[Timing, Timing]:
    """The ratios of latency and of throughput, of the undisturbed pairs, or of all where fewer than `least` are."""
    counted, disturbed = _counted(pairs, [pair.disturbed for pair in pairs], least)
    latency, throughput = (Timing.of([pair.ratios[metric] for pair in counted], disturbed) for metric in (0, 1))
    return latency, throughput


def _counted(values: Sequence[Any], disturbed: Sequence[bool], least: int) -> tuple[list[Any], int]:
    """The values to count, and the number of those that were disturbed."""
    calm = [value for value, bad in zip(values, disturbed, strict=True) if not bad]
    return (calm if len(calm) >= least else list(values)), sum(disturbed)


def _timed(run: Callable[[Any], Rates], model: Any) -> OneRun:
    start, before = time.perf_counter(), _elsewhere()
    rates = run(model)
    return OneRun(rates, time.perf_counter() - start, _elsewhere() - before)


def _elsewhere() -> float:
    """Seconds of processor time that the machine has spent on anything but this process."""
    spent = psutil.cpu_times()
    return sum(spent) - spent.idle - getattr(spent, "iowait", 0.0) - time.process_time()


def _disturbed(runs: Sequence[OneRun]) -> bool:
    cores = psutil.cpu_count() or 1
    return sum(run.others for run in runs) > BUSY * cores * sum(run.wall for run in runs)
