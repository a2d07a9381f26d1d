"""The freedom of random twins: how many heads they share with the mask that they stand beside, of how many masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from headprune.analysis.tables import Line, split_arm
from headprune.statistics.freedom import are_too_few, are_too_near, expected_overlap, in_words, masks_with

TWIN = "twin"  # treatment: random heads, as many of every module as the mask keeps
TWINS = {TWIN: "", "scratch_twin": "scratch"}  # and the treatment of the masks that each is a twin of
_CELL = ["method", "base", "of", "budget", "seed"]
_POINT = ["method", "line", "budget"]


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
        """True where no difference to such twins says anything: they are too near to their mask, or too few."""
        return are_too_near(self.expected, self.kept) or are_too_few(self.masks)

    @property
    def overlap(self) -> str:
        """`twins share 7.4 of 16 heads on average`"""
        return f"twins share {self.shared:.1f} of {self.kept:.4g} heads on average"

    def __str__(self) -> str:
        if not self.little:
            return f"{self.overlap}, of {in_words(self.masks)} masks with these counts"
        near = [self.overlap] if are_too_near(self.expected, self.kept) else []
        few = [f"a seed's mask is one of {self.masks} with its counts"] if are_too_few(self.masks) else []
        return f"too little freedom: {' and '.join(near + few)}"


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
    draws = pairs.groupby([*_POINT, "seed", "arm"])["shared"].sum()
    shared = draws.groupby([*_POINT, "seed"]).mean().groupby(_POINT).mean()
    found = {}
    for (method, line, budget), masks_there in _counts(pairs).items():
        kept = [sum(k for k, _ in own) for own in masks_there]
        expected = [expected_overlap(own) for own in masks_there]
        found[(str(method), str(line)), int(str(budget))] = Freedom(
            float(shared[method, line, budget]),
            sum(expected) / len(expected),
            sum(kept) / len(kept),
            min(masks_with(own) for own in masks_there),
        )
    return found


def _counts(pairs: pd.DataFrame) -> dict[tuple[Any, ...], list[list[tuple[int, int]]]]:
    """The heads kept and all heads of every module, by line and budget one list for each mask that has twins.

    :param pairs: a row per head and twin: method, line, budget, seed, base, head, type, layer, kept_own
    """
    mask = [*_POINT, "seed", "base"]
    heads = pairs.drop_duplicates([*mask, "head"])
    modules = heads.assign(own=heads["kept_own"] > 0).groupby([*mask, "type", "layer"])["own"].agg(["sum", "size"])
    found: dict[tuple[Any, ...], dict[tuple[Any, ...], list[tuple[int, int]]]] = {}
    for place, kept, size in modules.itertuples():
        found.setdefault(place[:3], {}).setdefault(place[3:5], []).append((int(kept), int(size)))
    return {point: list(masks.values()) for point, masks in found.items()}
