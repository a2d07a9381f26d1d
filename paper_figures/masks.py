"""The masks table: which masks may be pooled, and the order of the attention types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from math import comb

import numpy as np
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


@cache
def expected_jaccard(n: int, k: int, other: int | None = None) -> float:
    """The expected index of two independent uniform sets of `k` and `other` of `n` heads (hypergeometric overlap)."""
    other = k if other is None else other
    if k + other == 0:
        return float("nan")
    ways = [(common, comb(k, common) * comb(n - k, other - common)) for common in range(min(k, other) + 1)]
    return sum(count * common / (k + other - common) for common, count in ways) / comb(n, other)


def agreements(masks: pd.DataFrame) -> pd.DataFrame:
    """The Jaccard index of pairs of runs at one K: of a method at different seeds, of two methods at the same seed.

    :param masks: of one group
    :returns: one row per pair: budget, method, line, other_method, other_line, between_seeds, jaccard (NaN where both
        keep nothing), heads (mean of both), n_heads
    """
    run = ["budget", "method", "line", "arm", "seed"]
    wide = masks.pivot_table(index=run, columns="head", values="kept", aggfunc="first", sort=True)
    tables = []
    for budget, own in wide.groupby(level="budget"):
        runs, kept = own.index.to_frame(index=False), own.to_numpy(dtype=float)  # (runs, heads)
        common, sizes = kept @ kept.T, kept.sum(axis=1)
        one, other = np.triu_indices(len(runs), 1)
        seeds, methods = runs["seed"].to_numpy(), (runs["method"] + "." + runs["line"]).to_numpy()
        wanted = (seeds[one] == seeds[other]) != (methods[one] == methods[other])
        one, other = one[wanted], other[wanted]
        union = sizes[one] + sizes[other] - common[one, other]
        with np.errstate(invalid="ignore"):
            found = {"jaccard": common[one, other] / union, "heads": (sizes[one] + sizes[other]) / 2}
        for name, side in (("", one), ("other_", other)):
            found |= {f"{name}{key}": runs[key].to_numpy()[side] for key in ("method", "line")}
        found |= {"budget": budget, "between_seeds": methods[one] == methods[other], "n_heads": kept.shape[1]}
        tables.append(pd.DataFrame(found))
    return pd.concat(tables, ignore_index=True)
