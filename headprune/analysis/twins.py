"""The freedom of random twins: how many heads they share with the mask that they stand beside, of how many masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from headprune.analysis.tables import Line, split_arm
from headprune.statistics.freedom import expected_overlap, in_words, is_little, masks_with

TWIN = "twin"  # treatment: random heads, as many of every module as the mask keeps
TWINS = {TWIN: "", "scratch_twin": "scratch"}  # and the treatment of the masks that each is a twin of
_CELL = ["method", "base", "of", "budget", "seed"]


@dataclass(frozen=True)
class Freedom:
    """The freedom of the twins of one line and budget.

    :param shared: heads that twins share with their mask, mean over draws within seeds, then over seeds
    :param expected: the mean of that over all masks of the same counts, over seeds
    :param kept: heads that the mask keeps, mean over seeds
    :param masks: number of masks with the same counts; of the seed with the fewest
    """

    shared: float
    expected: float
    kept: float
    masks: int

    @property
    def little(self) -> bool:
        """True where no difference to such twins says anything (`headprune.statistics.freedom.is_little`)."""
        return is_little(self.expected, self.kept, self.masks)

    @property
    def overlap(self) -> str:
        """`twins share 7.4 of 16 heads on average`"""
        return f"twins share {self.shared:.1f} of {self.kept:.4g} heads on average"

    def __str__(self) -> str:
        if self.little:
            return f"too little freedom: {self.overlap}"
        return f"{self.overlap}, of {in_words(self.masks)} masks with these counts"


def twin_of(line: Line) -> Line:
    """The line of the random twins of a line, of masks as they were found or of their training from scratch."""
    base, treatment = split_arm(line[1])
    twin = {of: twin for twin, of in TWINS.items()}.get(treatment, f"{treatment}_{TWIN}")
    return line[0], f"{base}+{twin}"


def freedoms(masks: pd.DataFrame) -> dict[tuple[Line, int], Freedom]:
    """The freedom of all twins whose own mask is known, by their line and budget.

    :param masks: rows of masks.parquet of one (profile, track, dataset, model), with `line`
    """
    names = masks["arm"].map(split_arm)
    masks = masks.assign(base=names.str[0], of=names.str[1])
    own = masks[masks["of"].isin(TWINS.values())]
    twins = masks[masks["of"].isin(TWINS)].assign(of=lambda table: table["of"].map(TWINS))
    pairs = twins.merge(own[[*_CELL, "head", "kept"]], on=[*_CELL, "head"], suffixes=("", "_own"))
    pairs["shared"] = (pairs["kept"] > 0) & (pairs["kept_own"] > 0)
    found = {}
    for (method, line, budget), part in pairs.groupby(["method", "line", "budget"]):
        found[(str(method), str(line)), int(str(budget))] = _freedom(part)
    return found


def _freedom(pairs: pd.DataFrame) -> Freedom:
    """The freedom at one line and budget.

    :param pairs: a row per head and twin: seed, arm, type, layer, shared, kept_own
    """
    shared = pairs.groupby(["seed", "arm"])["shared"].sum().groupby("seed").mean().mean()
    counts = list(_counts(pairs))
    kept = [sum(k for k, _ in own) for own in counts]
    expected = [expected_overlap(own) for own in counts]
    return Freedom(
        float(shared), sum(expected) / len(counts), sum(kept) / len(counts), min(masks_with(own) for own in counts)
    )


def _counts(pairs: pd.DataFrame) -> Iterator[list[tuple[int, int]]]:
    """The heads kept and all heads of every module, one list for each mask that has twins."""
    for _, own in pairs.groupby(["seed", "base"]):
        one = own.drop_duplicates("head")
        yield [(int((m["kept_own"] > 0).sum()), len(m)) for _, m in one.groupby(["type", "layer"])]
