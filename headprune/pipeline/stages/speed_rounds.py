"""Speed in rounds: models that are measured beside each other, in one process, compare; machines differ by the hour.

A model that was added, or has changed, is measured beside the unpruned one in a round of its own, and its times are
given as they would be in the first: multiplied by the ratio of the unpruned model's there. The others keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headprune.pipeline.cells import Cell
from headprune.timing import Timing

Record = Mapping[str, Any]
METRICS = ("latency_ms", "throughput")


def unpruned_of(cells: Sequence[Cell]) -> Cell | None:
    """The cell that tells rounds apart: all heads, nothing treated."""
    return next((cell for cell in cells if cell.method == "unpruned" and not cell.full_arm), None)


def to_measure(cells: Sequence[Cell], kept: Mapping[str, Record]) -> list[Cell]:
    """The cells of the next round: those that are not kept and the unpruned one; all, where that is not kept itself.

    :param kept: by cell, what was measured of the model that the cell has, on this machine
    """
    unpruned, missing = unpruned_of(cells), [cell for cell in cells if cell.id not in kept]
    if not missing:
        return []
    if unpruned is None or unpruned.id not in kept:
        return list(cells)
    return [unpruned, *missing]


def in_terms_of(first: Record, again: Mapping[str, Timing], measured: Mapping[str, Timing]) -> dict[str, Any]:
    """Times of a later round, as they would be in the first.

    :param first: what was measured of the unpruned model in the first round
    :param again: of the same model in the later round
    :param measured: of another model in the later round
    """
    found: dict[str, Any] = {"scale": {}, "measured": {}}
    for metric in METRICS:
        scale = first[metric]["median"] / again[metric].median
        found[metric] = vars(measured[metric].times(scale))
        found["scale"][metric], found["measured"][metric] = scale, vars(measured[metric])
    return found
