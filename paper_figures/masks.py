"""The masks table: which masks may be pooled, and the order of the attention types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd
from common import CELL, Results, ResultsError, in_group, outcomes, quality_of

TYPES = ("encoder", "cross", "decoder")


def attention_types(found: Iterable[str]) -> list[str]:
    """The types that occur: encoder, cross, decoder, then any other by name."""
    names = set(found)
    return [kind for kind in TYPES if kind in names] + sorted(names - set(TYPES))


def usable_masks(results: Results) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Per group, the masks of the cells that have a result: the cells that the quality figures count.

    :raises ResultsError: a head stands twice in the mask of one cell
    """
    assert results.masks is not None
    twice = results.masks[results.masks.duplicated([*CELL, "head"])]
    if not twice.empty:
        cell = ", ".join(f"{key}={twice.iloc[0][key]}" for key in [*CELL, "head"])
        raise ResultsError(f"masks.parquet gives the same head more than once: {cell}")
    for group in results.groups():
        cells = in_group(results.cells, group)
        runs = outcomes(cells, quality_of(cells))
        completed = runs.loc[runs["status"] == "ok", CELL]
        yield group, in_group(results.masks, group).merge(completed, on=CELL)
