"""The rows of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from interleaved import Quartiles, Times, take_turns


@dataclass(frozen=True)
class Settings:
    """The settings of the command line."""

    rounds: int = 30
    threads: int = 1
    seed: int = 1


@dataclass(frozen=True)
class Line:
    """One measured thing, beside a reference that took turns with it."""

    row: str
    what: str
    seconds: Quartiles
    processor_seconds: Quartiles
    reference: str = ""
    ratio: Quartiles | None = None  # of wall times in the same round
    processor_ratio: Quartiles | None = None
    target: float | None = None  # of the ratio
    note: str = ""

    def record(self) -> dict[str, Any]:
        return asdict(self)


def lines(
    row: str,
    times: Mapping[str, Times],
    reference: str = "",
    targets: Mapping[str, float] | None = None,
    notes: Mapping[str, str] | None = None,
    scale: float = 1.0,
) -> list[Line]:
    """A line for every candidate, the ratios to the one named `reference`.

    :param scale: what a call's seconds are multiplied by, such as 1 / repetitions
    """
    found = []
    for what, own in times.items():
        wall, processor = (Quartiles.of([scale * s for s in values]) for values in (own.wall, own.processor))
        line = Line(row, what, wall, processor, note=(notes or {}).get(what, ""))
        if reference and what != reference:
            other = times[reference]
            ratios = {"ratio": own.ratios(other), "processor_ratio": own.ratios(other, processor=True)}
            line = Line(**line.__dict__ | {"reference": reference, "target": (targets or {}).get(what)} | ratios)
        found.append(line)
    return found


def repeated(function: Callable[[], object], times: int) -> Callable[[], None]:
    """A call of which many calls of something short are made."""

    def run() -> None:
        for _ in range(times):
            function()

    return run


__all__ = ["Line", "Settings", "lines", "repeated", "take_turns"]
