"""The rest of a run: the schedule against closed forms, and the estimate against a simulated run of known times."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.config import load, read
from headprune.pipeline import estimate, progress
from headprune.pipeline.cells import Job
from headprune.pipeline.plan import Plan
from headprune.pipeline.remaining import JobState, Pace, makespan, seconds_left
from headprune.pipeline.store import write_json
from headprune.results.layout import RunFolder
from tests.found import Found, rows

QUICK = Path(__file__).parents[2] / "workflows" / "config" / "quick.yaml"
# Time over formula of a machine that trains slowly; preparing data, which comes first, is much quicker than expected.
FACTORS = {"data": 0.1, "dense": 2.5, "gates": 3.0, "search": 4.0, "score": 0.8, "test": 2.0, "speed": 0.6}
STEP = 5.0  # seconds between two looks at the simulated run


@pytest.mark.parametrize(
    ("parts", "seconds", "cores", "expected"),
    [
        ([], {}, 2, 0.0),
        ([JobState("test/a", 1)], {"test/a": 7.0}, 2, 7.0),
        ([JobState(f"test/{i}", 1) for i in range(4)], {f"test/{i}": 3.0 for i in range(4)}, 2, 6.0),
        ([JobState("test/b", 1, ("test/a",)), JobState("test/a", 1)], {"test/a": 3.0, "test/b": 4.0}, 8, 7.0),
        ([JobState("test/b", 1, ("test/done",))], {"test/b": 4.0}, 8, 4.0),
        ([JobState("speed/a", 1, threads=4), JobState("test/a", 1)], {"speed/a": 5.0, "test/a": 2.0}, 4, 7.0),
        ([JobState("gates/a", 1, threads=4)], {"gates/a": 5.0}, 2, 5.0),  # Snakemake scales threads down
        # the long one first: 5 beside 2 + 3; in the order given, 2 beside 3, then 5
        (
            [JobState("test/a", 1), JobState("test/b", 1), JobState("dense/a", 1)],
            {"test/a": 2, "test/b": 3, "dense/a": 5},
            2,
            5.0,
        ),
    ],
)
def test_schedules(parts: list[JobState], seconds: dict[str, float], cores: int, expected: float) -> None:
    assert makespan(parts, seconds, cores) == pytest.approx(expected)


@given(st.data(), st.integers(1, 4))
def test_no_schedule_is_shorter_than_its_work_and_its_longest_chain(data: st.DataObject, cores: int) -> None:
    """Graham 1966: a greedy one takes at most the work on all cores and the longest chain together."""
    number = data.draw(st.integers(1, 12))
    seconds = {f"test/{i}": data.draw(st.floats(0.1, 10)) for i in range(number)}
    parts, chain = [], dict[str, float]()
    for i, name in enumerate(seconds):
        needs = tuple(data.draw(st.sets(st.sampled_from([f"test/{j}" for j in range(i)])))) if i else ()
        parts.append(JobState(name, 1.0, needs))
        chain[name] = seconds[name] + max((chain[need] for need in needs), default=0.0)
    found, work, longest = makespan(parts, seconds, cores), sum(seconds.values()) / cores, max(chain.values())
    assert max(work, longest) <= found * (1 + 1e-9)
    assert found <= (work + longest) * (1 + 1e-9)


def test_a_kind_goes_by_its_own_jobs_then_by_others_like_it() -> None:
    pace = Pace.of([("dense", 20.0, 10.0), ("dense", 60.0, 20.0), ("test", 5.0, 10.0), ("data", 1.0, 100.0)])
    earlier = Pace.of([("speed", 7.0, 1.0), ("dense", 9.0, 1.0)])
    assert pace.ratio("dense", earlier) == pytest.approx(2.5)
    assert pace.ratio("gates", earlier) == pytest.approx(2.5)  # another training
    assert pace.ratio("score") == pytest.approx(0.5)
    assert pace.ratio("speed", earlier) == pytest.approx(7.0)  # an earlier run knows this very kind
    assert Pace.of([("dense", 30.0, 10.0)]).ratio("test") == pytest.approx(3.0)
    assert Pace.of([("data", 1.0, 100.0)]).ratio("dense") == pytest.approx(1.0)
    assert Pace().ratio("dense") == pytest.approx(1.0)


def test_a_running_job_tells_how_long_it_takes() -> None:
    running = JobState("dense/a", 100.0, fraction=0.25, elapsed=100.0)
    assert seconds_left([running], 2) == pytest.approx(300.0)
    assert seconds_left([running, JobState("gates/a", 50.0, ("dense/a",))], 2) == pytest.approx(300.0 + 4 * 50.0)
    hardly = JobState("dense/a", 100.0, fraction=0.01, elapsed=30.0)
    assert seconds_left([hardly], 2) == pytest.approx(70.0)
    late = JobState("search/a", 100.0, elapsed=500.0)
    assert 0 < seconds_left([late], 2) <= 100.0


class Simulated:
    """A run whose jobs take known times: its files as they are at any moment."""

    def __init__(self, plan: Plan, cores: int) -> None:
        self.plan, self.cores, self.now = plan, cores, 0.0
        noise = random.Random(1)
        self.took = {
            job: FACTORS[job.kind] * estimate.seconds(plan, job) * noise.uniform(0.8, 1.25) for job in plan.jobs
        }
        self.began: dict[Job, float] = {}
        self.ended: set[Job] = set()
        progress.start(plan, cores)

    def run(self) -> Iterator[float]:
        """The seconds that have gone by, at every look."""
        while len(self.ended) < len(self.plan.jobs):
            self._advance()
            yield self.now

    def _advance(self) -> None:
        self.now += STEP
        for job in [job for job in self.began if job not in self.ended]:
            elapsed = self.now - self.began[job]
            done = elapsed >= self.took[job]
            state = {"fraction": min(1.0, elapsed / self.took[job]), "elapsed": elapsed, "seconds": None}
            write_json(self.plan.run.state(job.name), state | ({"seconds": self.took[job]} if done else {}))
            if done:
                self._end(job)
        used = sum(estimate.threads(self.plan, job, self.cores) for job in self.began if job not in self.ended)
        for job in sorted(self.plan.jobs, key=lambda job: job.kind not in ("dense", "score", "search", "gates")):
            threads = estimate.threads(self.plan, job, self.cores)
            ready = job not in self.began and set(self.plan.needs(job)) <= self.ended
            if ready and used + threads <= self.cores:
                self.began[job] = self.now
                used += threads

    def _end(self, job: Job) -> None:
        self.ended.add(job)
        write_json(self.plan.folder / job.receipt, {"status": "ok"})
        name = {"test": "test.json"}.get(job.kind, "pruned.json")
        for cell in self.plan.cells_in(job) if job.kind not in ("data", "dense", "speed") else ():
            write_json(self.plan.folder / "cells" / cell.id / name, {"status": "ok"})


@rows(
    Found(
        "the quick profile on two cores that train 2.5 to 4 times slower than the formula says",
        wrong="0/64 cells after a third of the time, while the estimate rises from 9 to 30 minutes",
        right=2.0,
        source="the simulated run itself: the seconds that were left, this factor either way, up to its last tenth",
    )
)
def test_the_estimate_converges_and_cells_count_as_they_finish(found: Found, tmp_path: Path) -> None:
    plan = Plan(load({**read(QUICK), "results": str(tmp_path)}))
    simulated = Simulated(plan, cores=2)
    seen = []
    for now in simulated.run():
        overview = progress.overview(plan.folder)
        assert overview is not None
        seen.append((now, overview))
    total = simulated.now
    telling = min(simulated.began[job] + 0.15 * simulated.took[job] for job in plan.jobs if job.kind == "dense")
    most = [
        (now, overview.seconds_left / (total - now)) for now, overview in seen if telling + STEP < now < 0.9 * total
    ]
    assert len(most) > 200
    assert {now: factor for now, factor in most if abs(log2(factor)) > log2(found.right)} == {}
    third = next(overview for now, overview in seen if now > total / 3)
    assert third.cells_pruned > 0
    counts = [(overview.cells_pruned, overview.cells_tested) for _, overview in seen]
    assert counts == sorted(counts)
    assert counts[-1] == (52, 52)
    assert str(seen[-1][1]) == "52/52 cells pruned, 52 tested, 26/26 jobs, done"


def test_an_earlier_run_in_the_same_folder_tells_before_anything_has_ended(tmp_path: Path) -> None:
    first = Plan(load({**read(QUICK), "results": str(tmp_path)}))
    simulated = Simulated(first, cores=2)
    for _ in simulated.run():
        pass
    second = Plan(load({**read(QUICK), "results": str(tmp_path), "profile": "again"}))
    progress.start(second, 2)
    overview = progress.overview(second.folder)
    assert overview is not None
    assert overview.seconds_left == pytest.approx(simulated.now, rel=0.15)


def test_updates_of_one_of_many_trainings_are_no_part_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", -1.0)
    for job, expected in (("dense/tiny/s1", 0.5), ("gates/tiny/dsp/k4/s1", 0.5), ("search/tiny/l0/s1", 0.0)):
        reporter = progress.Reporter(tmp_path, job, before=3.0)
        reporter.update(5, 10, loss=1.0)
        state = progress._state(RunFolder(tmp_path).state(job))
        assert state["fraction"] == expected
        assert state["elapsed"] >= 3.0
    reporter.update(1, 4, loss=None)  # a cell of the search
    reporter.update(9, 10, loss=1.0)
    assert progress._state(RunFolder(tmp_path).state("search/tiny/l0/s1"))["fraction"] == 0.25
