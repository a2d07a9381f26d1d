"""The seconds that are left of a run, by what its jobs took so far and by the order in which the rest can run.

A formula says what a job takes on some machine (`estimate`). The ratio of time to formula is this machine's; it differs
between kinds of jobs, so that a kind's own jobs tell of it first, running ones included.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from headprune.results.jobs import JOBS

TELLING = 0.1  # of a running job: less of it says little about the whole


@dataclass(frozen=True)
class JobState:
    """A job, and where it stands.

    :param formula: seconds of one core that `estimate` gives it
    :param needs: names of the jobs that it waits for
    :param fraction: of it that is done
    :param elapsed: seconds since it began, or that it took; 0: it has not begun
    """

    name: str
    formula: float
    needs: tuple[str, ...] = ()
    threads: int = 1
    done: bool = False
    fraction: float = 0.0
    elapsed: float = 0.0

    @property
    def kind(self) -> str:
        return self.name.split("/")[0]

    @property
    def whole(self) -> float | None:
        """Seconds that it takes by what is known of itself; None if that is too little."""
        if self.done:
            return self.elapsed or None
        return self.elapsed / self.fraction if self.fraction >= TELLING else None


@dataclass
class Pace:
    """Time over formula: the median by kind of job, by group of kinds where a kind has none, of all where a group has
    none. The preparation of data tells of nothing else."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, timed: Iterable[tuple[str, float, float]]) -> Pace:
        """:param timed: kind, seconds and formula of jobs"""
        pace = cls()
        for kind, seconds, formula in timed:
            for key in {kind, _group(kind), "" if kind != "data" else kind}:
                pace.values[key].append(seconds / formula)
        return pace

    def ratio(self, kind: str, earlier: Pace | None = None) -> float:
        """:param earlier: of other runs; they count where this one does not know the kind, or its group"""
        known = [(self, kind)] + ([(earlier, kind)] if earlier else [])
        known += [(self, _group(kind))] + ([(earlier, _group(kind))] if earlier else []) + [(self, "")]
        return next((median(pace.values[key]) for pace, key in known if pace.values.get(key)), 1.0)


def seconds_left(parts: Sequence[JobState], cores: int, earlier: Pace | None = None) -> float:
    """Seconds by the clock until the last job has ended.

    :param cores: that the run has
    """
    timed = [(part.kind, part.whole, part.formula) for part in parts if part.formula > 0]
    pace = Pace.of((kind, whole, formula) for kind, whole, formula in timed if whole is not None)
    left = {part.name: _left(part, pace.ratio(part.kind, earlier)) for part in parts if not part.done}
    return makespan([part for part in parts if not part.done], left, cores)


def _left(part: JobState, ratio: float) -> float:
    expected = part.formula * ratio
    if part.whole is not None:
        return part.whole - part.elapsed
    return max(expected - part.elapsed, expected / 10)  # it takes longer than it should: nobody knows how much


def makespan(parts: Sequence[JobState], seconds: Mapping[str, float], cores: int) -> float:
    """The time that jobs take on so many cores when each starts as soon as it can, those of higher priority first.

    :param seconds: by name of a job; what a job needs beyond these is done
    """
    waiting = {part.name: {need for need in part.needs if need in seconds} for part in parts}
    followers = defaultdict[str, list[str]](list)
    for name, needs in waiting.items():
        for need in needs:
            followers[need].append(name)
    order = {p.name: (p.elapsed == 0, -_priority(p.kind), i) for i, p in enumerate(parts)}
    threads = {part.name: min(part.threads, cores) for part in parts}
    ready = [(order[name], name) for name, needs in waiting.items() if not needs]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now, free = 0.0, cores
    while ready or running:
        too_wide = []
        while ready and free > 0:
            key, name = heapq.heappop(ready)
            if threads[name] > free:
                too_wide.append((key, name))
                continue
            free -= threads[name]
            heapq.heappush(running, (now + seconds[name], name))
        for item in too_wide:
            heapq.heappush(ready, item)
        now, ended = heapq.heappop(running)
        free += threads[ended]
        for name in followers[ended]:
            waiting[name].discard(ended)
            if not waiting[name]:
                heapq.heappush(ready, (order[name], name))
    return now


def _group(kind: str) -> str:
    return f"group:{JOBS[kind].pace if kind in JOBS else 'cells'}"  # notes of other versions know other kinds


def _priority(kind: str) -> int:
    return JOBS[kind].priority if kind in JOBS else 0
