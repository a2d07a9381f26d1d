"""Speed that compares: that of the models of a seed which were measured in turn, in one round."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from headprune.results.merging.parts import CELL, ResultsFolder
from headprune.results.schema import SPEEDS

SEED = [*CELL[: CELL.index("method")], "seed"]
NOTE = (
    "speed of {} cells is left out: it was measured in another round than that of the unpruned model of their seed, "
    "and machines differ by the hour; a run of the whole profile measures all in one"
)

Speed = frozenset[tuple[str, float]]


def of_one_round(
    cells: pd.DataFrame, parts: Sequence[ResultsFolder], owners: pd.Series
) -> tuple[pd.DataFrame, list[str]]:
    """The cells without the speed of those that were not measured beside the unpruned model that counts, and a note.

    They were where their part gives that model the same speed, to the last digit.

    :param owners: by cell the number of its part
    """
    known = [_of_unpruned(part.cells) for part in parts]
    table = owners.rename("part").reset_index()
    table["of_seed"] = list(table[SEED].itertuples(index=False, name=None))
    counts = table[_is_unpruned(table)].set_index("of_seed")["part"].to_dict()
    apart = [
        seed in counts and known[number].get(seed) != known[counts[seed]].get(seed)
        for seed, number in zip(table["of_seed"], table["part"], strict=True)
    ]
    others = table[apart].set_index(CELL).index
    rows = cells["metric"].isin(SPEEDS) & cells.set_index(CELL).index.isin(others)
    without = cells[rows].drop_duplicates(CELL)
    return cells[~rows].reset_index(drop=True), [NOTE.format(len(without))] if len(without) else []


def _of_unpruned(cells: pd.DataFrame) -> Mapping[Hashable, Speed]:
    """The speeds of the unpruned model, by seed of a model."""
    rows = cells[_is_unpruned(cells) & cells["metric"].isin(SPEEDS)]
    return {seed: frozenset(zip(own["metric"], own["value"], strict=True)) for seed, own in rows.groupby(SEED)}


def _is_unpruned(table: pd.DataFrame) -> pd.Series:
    return (table["method"] == "unpruned") & (table["arm"] == "")
