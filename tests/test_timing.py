"""Times in pairs: what a machine that slows down, or does other things, leaves of them. The clock is made up."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from headprune import timing
from headprune.timing import OneRun, PairedRun, Timing, decided, in_turn


@dataclass
class Limits:
    repeats: int = 3
    most_repeats: int = 8
    spread: float = 0.03


class Machine:
    """Runs of models that take `seconds`, on a machine whose pace is a function of the number of runs so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pace: Any = lambda run: 1.0, others: Any = lambda run: 0.0):
        self.pace, self.others, self.runs = pace, others, []
        self.now = self.elsewhere = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(timing, "_elsewhere", lambda: self.elsewhere)
        monkeypatch.setattr(timing.psutil, "cpu_count", lambda: 2)

    def __call__(self, seconds: float) -> tuple[float, float]:
        taken = seconds * self.pace(len(self.runs))
        self.now += taken
        self.elsewhere += taken * self.others(len(self.runs))
        self.runs.append(seconds)
        return 1000 * taken, 20 / taken


def test_a_machine_that_slows_down_steadily_changes_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """A B B A cancels what is linear in time: by hand, the ratio is exact in every pair."""
    machine = Machine(monkeypatch, pace=lambda run: 1 + 0.1 * run)
    found = in_turn({"unpruned": 1.0, "half": 0.5}, machine, Limits(most_repeats=3))
    base, half = found["unpruned"][0], found["half"][0]
    assert base.q75 > 1.2 * base.q25
    assert [half.median, half.q25, half.q75] == pytest.approx([0.5 * base.median] * 3, rel=1e-12)


def test_throughput_is_the_inverse_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_turn({"unpruned": 1.0, "half": 0.5}, Machine(monkeypatch), Limits())
    assert found["unpruned"][1].median == pytest.approx(20)
    assert found["half"][1].median == pytest.approx(40)


def test_a_model_that_is_decided_leaves_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """One model's times scatter by a half, the other's not at all."""
    noise = itertools.cycle(np.random.default_rng(1).uniform(0.5, 1.5, 64))
    machine = Machine(monkeypatch)

    def run(model: tuple[float, bool]) -> tuple[float, float]:
        return machine(model[0] * (next(noise) if model[1] else 1.0))

    found = in_turn({"unpruned": (1.0, False), "calm": (0.5, False), "wild": (0.5, True)}, run, Limits())
    assert found["calm"][0].rounds == 3
    assert found["wild"][0].rounds == 8
    assert not found["wild"][0].within(0.03)


def test_a_round_that_was_disturbed_is_repeated_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program takes a whole core during runs 2 to 5, in which everything takes twice as long for the model."""
    busy = range(2, 6)
    machine = Machine(
        monkeypatch, pace=lambda run: 3.0 if run in (3, 4) else 1.0, others=lambda run: 1.0 if run in busy else 0.0
    )
    found = in_turn({"unpruned": 1.0, "half": 0.5}, machine, Limits())["half"][0]
    assert (found.rounds, found.disturbed) == (3, 1)
    assert [found.q25, found.median, found.q75] == pytest.approx([500] * 3)


def test_where_all_rounds_are_disturbed_all_count_up_to_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_turn({"unpruned": 1.0, "half": 0.5}, Machine(monkeypatch, others=lambda run: 1.0), Limits())["half"][0]
    assert (found.rounds, found.disturbed) == (8, 8)
    assert found.median == pytest.approx(500)


def test_a_few_other_programs_do_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of two cores is a fifth of a core."""
    calm = Machine(monkeypatch, others=lambda run: 0.19)
    assert in_turn({"unpruned": 1.0, "half": 0.5}, calm, Limits())["half"][0].disturbed == 0
    loud = Machine(monkeypatch, others=lambda run: 0.21)
    assert in_turn({"unpruned": 1.0, "half": 0.5}, loud, Limits())["half"][0].disturbed == 8


def test_the_least_number_of_rounds_goes_before_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_turn({"unpruned": 1.0, "half": 0.5}, Machine(monkeypatch), Limits(repeats=5, most_repeats=2))
    assert found["half"][0].rounds == 5


def test_one_model_and_none(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    (latency, throughput) = in_turn({"unpruned": 1.0}, machine, Limits())["unpruned"]
    assert (latency.median, throughput.median, latency.rounds) == (1000, 20, 3)
    assert in_turn({}, machine, Limits()) == {}


@pytest.mark.parametrize(("wide", "expected"), [(0.02, True), (0.2, False)])
def test_a_pair_is_decided_by_both_ratios(wide: float, expected: bool) -> None:
    """Latencies agree; throughputs scatter."""
    pairs = [
        PairedRun.of(
            OneRun((10.0, 1.0), 1, 0),
            (OneRun((5.0, value), 1, 0), OneRun((5.0, value), 1, 0)),
            OneRun((10.0, 1.0), 1, 0),
        )
        for value in (2.0, 2.0 - wide, 2.0 + wide, 2.0 - 2 * wide, 2.0 + 2 * wide)
    ]
    assert decided(pairs, Limits()) == expected


def test_quartiles_are_those_of_numpy() -> None:
    values = [3.0, 1.0, 7.0, 5.0]
    found = Timing.of(values)
    assert [found.q25, found.median, found.q75] == list(np.quantile(values, [0.25, 0.5, 0.75]))
