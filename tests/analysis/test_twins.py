"""Random twins say how free they are, and with too little freedom nothing is compared: tables, `compare`, claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_cells import GROUP, N_HEADS, rows_of

from headprune.analysis.claims import Claim, evaluate
from headprune.analysis.study import Pair, Study
from headprune.analysis.tables import read
from headprune.analysis.twins import twin_of
from headprune.analysis.versus import versus

SEEDS, PER_MODULE = tuple(range(1, 8)), 6
FREE, BOUND = {0, 1, 6, 7}, {0, 1, 2, 3, 4, 6, 7, 8, 9, 10}  # two of six of each module, five of six
DRAWS = {"free": [{0, 2, 6, 9}, {3, 4, 7, 6}], "bound": [BOUND, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}]}


def mask_rows(arm: str, budget: int, seed: int, kept: set[int]) -> Iterator[dict[str, Any]]:
    for head in range(N_HEADS):
        module, index = divmod(head, PER_MODULE)
        place = {"head": f"encoder.{module}.{index}", "type": "encoder", "layer": module, "index": index}
        yield GROUP | {"method": "fine", "arm": arm, "budget": budget, "seed": seed, "kept": head in kept} | place


@pytest.fixture
def folder(write: Callable) -> Path:
    """Masks at K = 4, whose twins are free, and at K = 10, whose twins are not; all twins are worse by 5."""
    cells = {("unpruned", "", N_HEADS, seed): 20.0 for seed in SEEDS}
    masks: list[dict[str, Any]] = []
    for seed in SEEDS:
        for budget, kept, draws in ((4, FREE, DRAWS["free"]), (10, BOUND, DRAWS["bound"])):
            cells["fine", "", budget, seed] = 15 + seed / 10
            cells["random", "", budget, seed] = 30.0  # above all others: it would be flagged
            masks += mask_rows("", budget, seed, kept)
            for number, drawn in enumerate(draws, 1):
                cells["fine", f"+twin-draw{number}", budget, seed] = 10.0
                masks += mask_rows(f"+twin-draw{number}", budget, seed, drawn)
    return write(rows_of(cells), masks)


def point(budget: int, twin: bool = False) -> tuple[tuple[str, str], int]:
    return ("fine", "+twin" * twin), budget


def test_freedom_is_that_of_all_masks_one_by_one(folder: Path) -> None:
    study = Study(read(folder), tuple(GROUP.values()))
    for budget, kept, draws in ((4, FREE, DRAWS["free"]), (10, BOUND, DRAWS["bound"])):
        lower, upper = (list(combinations(range(s, s + PER_MODULE), budget // 2)) for s in (0, PER_MODULE))
        every = [set(one) | set(other) for one in lower for other in upper]
        found = study.freedoms[point(budget, twin=True)]
        assert (found.masks, found.kept) == (len(every), budget)
        assert found.expected == pytest.approx(np.mean([len(kept & mask) for mask in every]), abs=1e-12)
        assert found.shared == pytest.approx(np.mean([len(kept & mask) for mask in draws]), abs=1e-12)
    assert not study.freedoms[point(4, twin=True)].little
    assert study.freedoms[point(10, twin=True)].little  # 8.3 of 10 heads on average
    assert study.freedom(Pair(point(4), point(10, twin=True))) is None  # not its own


def test_compare_says_so_instead_of_a_difference(folder: Path) -> None:
    for pair, sign in ((("fine", "fine+twin"), 1), (("fine+twin", "fine"), -1)):
        (one,) = versus(read(folder), *pair)
        table = one.table.set_index("budget")
        assert table.loc[4, "improvement"] == pytest.approx(sign * 5.4)
        assert (table.loc[4, "verdict"], table.loc[4, "family_size"]) == ("significant", 1)
        assert (table.loc[4, "twins_share"], table.loc[4, "twins_masks"]) == (2, "225")
        assert table.loc[10, "verdict"] == "too little freedom: twins share 9.5 of 10 heads on average"
        told = table.loc[10, ["improvement", "low", "high", "p_seeds", "p_seeds_holm", "probability_of_improvement"]]
        assert told.isna().all()
        assert one.notes[-1] == "K = 4: twins share 2.0 of 4 heads on average, of 225 masks with these counts"


def test_flags_say_so(folder: Path) -> None:
    study = Study(read(folder), tuple(GROUP.values()))
    assert study.flags(point(4)) == ()  # its twins are the control, not `random`
    assert study.flags(point(10)) == ("too little freedom: twins share 9.5 of 10 heads on average",)


@pytest.mark.parametrize(
    ("kept", "least_budgets", "verdict", "told"),
    [
        ((0, 0.5), 1, "held", "decided_by"),
        ((0.5, 1), 1, "no data", "note"),
        ((0, 1), 1, "held", "decided_by"),  # by K = 4 alone
        ((0, 1), 2, "no data", "note"),  # the claim is about both
        ((0, 0.5), 2, "no data", "note"),  # the profile has too few of them
    ],
)
def test_claims_say_so(kept: tuple, least_budgets: int, verdict: str, told: str, folder: Path) -> None:
    check = {"predicate": "compare", "systems": ["fine"], "baselines": ["fine+twin"], "kept": kept}
    check |= {"least_budgets": least_budgets}
    own = {"margin_of": "ours", "least_n": 6, "text": "So.", "source": "us", "track": "mt"}
    (row,) = evaluate([Claim(id="twin", check=check, **own)], read(folder)).to_dict("records")
    assert row["verdict"] == verdict
    assert ("K = 10: too little freedom: twins share 9.5 of 10 heads" in row[told]) == (kept[1] == 1)
    assert ("at K = 4: 1 of the 2 budgets that it is about" in row["note"]) == (least_budgets == 2)
    if verdict == "held":
        assert row["effect"] == pytest.approx(5.4 / 20)


def test_twins_of_trainings_from_scratch(write: Callable) -> None:
    """They are twins of the mask that was trained from scratch, not of the mask as it was found."""
    arms = {"": FREE, "+scratch": FREE, "+scratch_twin": {0, 2, 8, 9}, "+twin": DRAWS["free"][0]}
    cells = {("fine", arm, 4, 1): 15.0 for arm in arms} | {("unpruned", "", N_HEADS, 1): 20.0}
    folder = write(rows_of(cells), [row for arm, kept in arms.items() for row in mask_rows(arm, 4, 1, kept)])
    study = Study(read(folder), tuple(GROUP.values()))
    shared = {line[1]: found.shared for (line, _), found in study.freedoms.items()}
    assert shared == {"+twin": 2, "+scratch_twin": 1}
    assert [twin_of(("fine", arm))[1] for arm in ("", "+scratch", "joint+scratch")] == [
        "+twin",
        "+scratch_twin",
        "joint+scratch_twin",
    ]
    scratch, twin = ((("fine", arm), 4) for arm in ("+scratch", "+scratch_twin"))
    assert study.freedom(Pair(scratch, twin)) is not None
    assert study.freedom(Pair(point(4), twin)) is None


def test_without_masks_nothing_is_known_of_twins(folder: Path) -> None:
    (folder / "masks.parquet").unlink()
    (one,) = versus(read(folder), "fine", "fine+twin")
    assert one.table["twins_masks"].isna().all()
    assert set(one.table["verdict"]) == {"significant"}
