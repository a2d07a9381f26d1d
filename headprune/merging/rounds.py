"""Speed that compares: that of the models of a seed which were measured in turn, in one round."""

from __future__ import annotations

import pandas as pd

from headprune.merging.parts import CELL
from headprune.results import SPEEDS

SEED = [*CELL[: CELL.index("method")], "seed"]
NOTE = (
    "speed of {} cells is left out: it was measured in another round than that of the unpruned model of their seed, "
    "and machines differ by the hour; a run of the whole profile measures all in one"
)


def of_one_round(cells: pd.DataFrame, owners: pd.Series) -> tuple[pd.DataFrame, list[str]]:
    """The cells without the speed of those whose part is not that of their seed's unpruned model, and a note if any.

    :param owners: by cell the number of its part
    """
    table = owners.rename("part").reset_index()
    unpruned = table[(table["method"] == "unpruned") & (table["arm"].fillna("") == "")]
    table = table.merge(unpruned[[*SEED, "part"]].rename(columns={"part": "round"}), on=SEED, how="left")
    apart = table[table["round"].notna() & (table["round"] != table["part"])].set_index(CELL).index
    rows = cells["metric"].isin(SPEEDS) & cells.set_index(CELL).index.isin(apart)
    without = cells[rows].drop_duplicates(CELL)
    return cells[~rows].reset_index(drop=True), [NOTE.format(len(without))] if len(without) else []
