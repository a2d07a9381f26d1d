"""Speed of models that come later: beside the unpruned one, in its terms; what is measured already stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from headprune.pipeline.cells import Cell
from headprune.pipeline.stages import speed_rounds as rounds
from headprune.pipeline.store import read_json, write_json
from headprune.timing import Timing

Start = Callable[..., Any]


def cell(method: str, arm: str = "", treatment: str = "") -> Cell:
    return Cell("tiny", method, arm, 0, 4, 1, 12, treatment)


UNPRUNED, TREATED, A, B = cell("unpruned"), cell("unpruned", treatment="ft"), cell("a"), cell("b", "x")


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ([], [TREATED, A, UNPRUNED, B]),
        ([TREATED, A, UNPRUNED, B], []),
        ([TREATED, A, UNPRUNED], [UNPRUNED, B]),
        ([TREATED, UNPRUNED], [UNPRUNED, A, B]),
        ([TREATED, A, B], [TREATED, A, UNPRUNED, B]),
    ],
)
def test_who_is_measured(kept: list[Cell], expected: list[Cell]) -> None:
    assert rounds.to_measure([TREATED, A, UNPRUNED, B], {one.id: {} for one in kept}) == expected


def test_without_an_unpruned_model_all_are_measured_in_one_round() -> None:
    assert rounds.to_measure([A, B], {A.id: {}}) == [A, B]
    assert rounds.to_measure([A, B], {A.id: {}, B.id: {}}) == []


def test_a_later_round_is_given_in_terms_of_the_first() -> None:
    """The machine is twice as slow in the later round; what counts is 12 against 20 ms there: 60 %."""
    first = {"latency_ms": {"median": 10.0}, "throughput": {"median": 400.0}}
    again = {"latency_ms": Timing(20.0, 19.0, 22.0), "throughput": Timing(200.0, 190.0, 210.0)}
    model = {"latency_ms": Timing(12.0, 11.0, 14.0), "throughput": Timing(300.0, 290.0, 310.0)}
    found = rounds.in_terms_of(first, again, model)
    rest = {"rounds": 0, "disturbed": 0}
    assert found["latency_ms"] == pytest.approx({"median": 6.0, "q25": 5.5, "q75": 7.0} | rest)
    assert found["throughput"] == pytest.approx({"median": 600.0, "q25": 580.0, "q75": 620.0} | rest)
    assert found["scale"] == pytest.approx({"latency_ms": 0.5, "throughput": 2.0})
    assert found["measured"]["latency_ms"] == {"median": 12.0, "q25": 11.0, "q75": 14.0} | rest


def test_a_method_more_leaves_the_speed_of_the_others(start: Start) -> None:
    """A changed option, or a method more, measured the speed of all cells again."""
    methods = [{"name": "unpruned"}, {"name": "magnitude"}]
    settings = {"speed": {"sentences": 1, "repeats": 2, "most_repeats": 2, "batch_size": 4}}
    run = start(methods, **settings)
    run.job("score", "all-score")
    run.job("speed", "")
    paths = {c.id: run.path(c) / "speed.json" for c in run.plan.cells}
    unpruned = next(path for name, path in paths.items() if "unpruned" in name)
    slowed = read_json(unpruned)
    for metric, factor in (("latency_ms", 100.0), ("throughput", 0.01)):  # a first round on a machine that was busy
        slowed[metric] = {key: value * factor for key, value in slowed[metric].items()}
    write_json(unpruned, slowed)
    before = {name: path.read_bytes() for name, path in paths.items()}
    more = start([*methods, {"name": "random"}], **settings)
    more.job("score", "all-score")
    more.job("speed", "")
    assert {name: path.read_bytes() for name, path in paths.items()} == before
    for new in more.cells("random"):
        record = read_json(more.path(new) / "speed.json")
        scale = record["scale"]["latency_ms"]
        assert record["latency_ms"]["median"] == pytest.approx(scale * record["measured"]["latency_ms"]["median"])
        assert 20 < scale < 500  # by how much the unpruned model was quicker in the second round
    stamp = {name: path.stat().st_mtime_ns for name, path in paths.items()}
    more.job("speed", "")
    assert {name: path.stat().st_mtime_ns for name, path in paths.items()} == stamp


def test_another_way_to_measure_measures_all(start: Start) -> None:
    methods = [{"name": "unpruned"}, {"name": "magnitude"}]
    run = start(methods, speed={"sentences": 1, "repeats": 1, "most_repeats": 1, "batch_size": 4})
    run.job("score", "all-score")
    run.job("speed", "")
    again = start(methods, speed={"sentences": 1, "repeats": 2, "most_repeats": 2, "batch_size": 4})
    before = {c.id: read_json(run.path(c) / "speed.json")["signature"] for c in run.plan.cells}
    again.job("speed", "")
    after = {c.id: read_json(run.path(c) / "speed.json") for c in run.plan.cells}
    assert all(after[name]["signature"] != signature for name, signature in before.items())
    assert not any("scale" in record for record in after.values())
