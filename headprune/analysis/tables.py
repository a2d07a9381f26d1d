"""A results folder in tidy frames: which cells it has, what they measured, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from headprune.analysis import names
from headprune.analysis.manifests import told
from headprune.analysis.quality import Quality, named, of_track, on_data
from headprune.results import schema

GROUP = ["profile", "track", "dataset", "model"]
LINE = ["method", "line"]  # `line` is the arm with repeated draws pooled
CELL = [*GROUP, "method", "arm", "budget", "seed"]
NEEDED = {
    "cells.parquet": [*CELL, "heads_kept", "n_heads", "split", "metric", "value", "status", "reason"],
    "masks.parquet": [*CELL, "head", "type", "layer", "index", "kept"],
    "trials.csv": ["profile", "model", "method", "label", "seed", "coefficient", "heads_kept", "perplexity", "status"],
}
TEXTS = [*GROUP, "method", "arm", "split", "metric", "status", "reason", "head", "type"]
NUMBERS = ["heads_kept", "n_heads", "value", "batch_size", "q25", "q75", "kept"]
UNPRUNED = "unpruned"

Line = tuple[str, str]


class ResultsError(ValueError):
    """The results cannot be evaluated; the message says why."""


@dataclass(frozen=True)
class Results:
    """One results folder as read: its cells, and its masks where a figure asked for them.

    :param digest: of the values that repeat
    :param measured: of times, speed and memory; empty where nothing was measured
    """

    folder: Path
    cells: pd.DataFrame
    masks: pd.DataFrame | None
    digest: str
    measured: str = ""
    asked: tuple[str, ...] = ()  # the arms that the command line asked for; empty: all
    timed: bool = False  # whether what is made of them shows times, speeds or memory

    @property
    def data(self) -> str:
        """A name of these results, for captions: what shows no times is the same wherever values are equal."""
        times = f"; of times and speeds {self.measured}" if self.timed and self.measured else ""
        return f"sha256 of the values that repeat {self.digest}{times}"

    def groups(self) -> list[tuple[str, ...]]:
        """The (profile, track, dataset, model) groups in table order; nothing is pooled across them."""
        return list(self.cells[GROUP].drop_duplicates().itertuples(index=False, name=None))

    def lines(self) -> list[Line]:
        """Every (method, pooled arm) of the table, in all groups: what colours are handed out over."""
        return list(self.cells[LINE].drop_duplicates().itertuples(index=False, name=None))

    def only(self, lines: Collection[Line]) -> Results:
        """These lines and the unpruned model."""

        def part(table: pd.DataFrame) -> pd.DataFrame:
            pairs = zip(table["method"], table["line"], strict=True)
            return table[[method == UNPRUNED or (method, line) in lines for method, line in pairs]]

        return replace(self, cells=part(self.cells), masks=None if self.masks is None else part(self.masks))

    def untreated(self, besides: Collection[str] = ()) -> Results:
        """Without the masks that were treated after pruning, but for the treatments named."""
        return self.only([line for line in self.lines() if split_arm(line[1])[1] in ("", *besides)])


def read(folder: Path, with_masks: bool = False) -> Results:
    """Read a results folder.

    :returns: the cells, masks where asked for, and hashes of what repeats and of what is measured anew
    :raises ResultsError: a table is absent, unreadable, empty or lacks a column
    """
    cells = _read_table(folder / "cells.parquet")
    masks = _read_table(folder / "masks.parquet") if with_masks else None
    if masks is not None:
        masks = masks[~masks["method"].str.startswith(f"{UNPRUNED}+")]  # all heads, as in the rows of the reference
    stored = pd.read_parquet(folder / "cells.parquet")
    names.carry(folder)
    return Results(folder, cells, masks, schema.digest(stored), schema.digest_of_measured(stored))


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ResultsError(f"{path.name} not found in {path.parent}")
    try:
        table = pd.read_parquet(path)
    except (OSError, *schema.DAMAGED) as error:
        raise ResultsError(f"{path.name} is not a readable parquet file: {error}") from error
    absent = [column for column in NEEDED[path.name] if column not in table.columns]
    if absent:
        raise ResultsError(f"{path.name} lacks the columns {', '.join(absent)}")
    if table.empty:
        raise ResultsError(f"{path.name} holds no rows: run the benchmark before drawing it")
    for column in ("budget", "seed"):
        if table[column].isna().any():
            raise ResultsError(f"{path.name} has rows without a {column}: they belong to no cell")
    for column in table.columns.intersection(TEXTS):
        table[column] = table[column].astype(object).where(table[column].notna(), "").astype(str)
    # Plain numbers: the table's nullable types would carry their NA into comparisons and axes.
    numbers = dict.fromkeys(table.columns.intersection(NUMBERS), float)
    try:
        table = table.astype({"budget": int, "seed": int, **numbers})
    except schema.DAMAGED as error:
        raise ResultsError(f"{path.name} holds something else where numbers belong: {error}") from error
    table = with_own_name(table)
    table["line"] = table["arm"].map(pooled_arm)
    return table


def with_own_name(table: pd.DataFrame) -> pd.DataFrame:
    """The unpruned model that trained on is an entry of its own, `unpruned+ft`, and no reference."""
    longer = (table["method"] == UNPRUNED) & table["arm"].str.startswith("+")
    names = {"method": table["method"].where(~longer, UNPRUNED + table["arm"]), "arm": table["arm"].where(~longer, "")}
    return table.assign(**names)


def pooled_arm(arm: str) -> str:
    """`draw1`, `draw2`, … are repetitions of one method, not variants of it: `draw2+ft` becomes `+ft`."""
    return re.sub(r"(^|-)draw_?\d+", "", arm)


def split_arm(arm: str) -> tuple[str, str]:
    """The arm whose mask it is, and what was done with it: `joint+ft` is (`joint`, `ft`)."""
    base, _, treatment = arm.partition("+")
    return base, re.sub(r"-draw_?\d+$", "", treatment)


def read_trials(folder: Path) -> pd.DataFrame:
    """The trainings at one penalty each that have a result, as in trials.csv; empty where there are none.

    :raises ResultsError: trials.csv is unreadable or lacks a column
    """
    path, needed = folder / "trials.csv", NEEDED["trials.csv"]
    if not path.is_file():
        return pd.DataFrame(columns=needed)
    try:
        table = pd.read_csv(path, float_precision="round_trip")
    except (OSError, *schema.DAMAGED) as error:
        raise ResultsError(f"{path.name} is not a readable CSV file: {error}") from error
    absent = [column for column in needed if column not in table.columns]
    if absent:
        raise ResultsError(f"{path.name} lacks the columns {', '.join(absent)}")
    return table[(table["status"] == "ok") & table["coefficient"].notna()]


def in_group(table: pd.DataFrame, group: tuple[str, ...]) -> pd.DataFrame:
    """The rows of one (profile, track, dataset, model)."""
    return table[(table[GROUP] == list(group)).all(axis=1)]


def quality_of(cells: pd.DataFrame) -> Quality:
    """The quality metric of one group's track; an unknown one falls back on that of the default task."""
    return of_track(str(cells["track"].iloc[0]))


def quality_in(results: Results, group: tuple[str, ...]) -> Quality:
    """The quality metric of a group's track, with the floor that its dataset gives where the manifest tells of it."""
    track, dataset = group[1], group[2]
    return on_data(of_track(track), track, told(results.folder, "data", dataset, "splits"))


def quality_named(track: str, metric: str | None) -> Quality:
    """The quality of a track by its metric; None: the one that stands for it.

    :raises ResultsError: the track has no such metric whose outputs can be tested in pairs
    """
    try:
        return named(track, metric)
    except ValueError as error:
        raise ResultsError(str(error)) from None


def masks_of(results: Results) -> pd.DataFrame:
    """The masks of results, those that were read along or else those of the folder; no rows where it has none."""
    if results.masks is not None:
        return results.masks
    path = results.folder / "masks.parquet"
    return _read_table(path) if path.is_file() else pd.DataFrame(columns=[*NEEDED[path.name], "line"])


def lines_of(table: pd.DataFrame) -> dict[Line, pd.DataFrame]:
    """The table cut by (method, pooled arm)."""
    return {(str(method), str(line)): part for (method, line), part in table.groupby(LINE)}


def measured(
    cells: pd.DataFrame,
    metric: str,
    split: str = "",
    batch_size: int | None = None,
) -> pd.DataFrame:
    """One row per cell that has a finite `metric`: CELL, line, heads_kept, value, and q25, q75 where known.

    :raises ResultsError: a cell has the metric twice, so that a mean would count it twice
    """
    rows = cells[(cells["metric"] == metric) & (cells["split"] == split) & (cells["status"] == "ok")]
    if batch_size is not None and "batch_size" in rows and rows["batch_size"].notna().any():
        rows = rows[rows["batch_size"] == batch_size]
    rows = rows[np.isfinite(rows["value"])]
    twice = rows[rows.duplicated(CELL)]
    if not twice.empty:
        cell = ", ".join(f"{key}={twice.iloc[0][key]}" for key in CELL)
        raise ResultsError(f"cells.parquet gives {split} {metric} more than once for the cell {cell}")
    return rows


def outcomes(cells: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """One row per cell of the table: value and heads_kept (NaN without a result), status, reason."""
    good = measured(cells, quality.metric, "test")[[*CELL, "value", "heads_kept"]]
    bad = cells.loc[cells["status"] != "ok", [*CELL, "status", "reason"]].drop_duplicates(CELL)
    every = cells[[*CELL, "line", "n_heads"]].drop_duplicates(CELL)
    every = every.merge(good, on=CELL, how="left").merge(bad, on=CELL, how="left")
    done = every["value"].notna()
    every["status"] = every["status"].fillna("missing").mask(done, "ok")
    every["reason"] = every["reason"].fillna(f"no test {quality.metric} in the table").mask(done, "")
    return every


def pool(runs: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """Pool runs over seeds and draws: per (method, line, budget) mean, low, high, n and mean heads kept."""
    by_point = runs.groupby([*LINE, "budget"], sort=True)
    pooled = by_point["value"].agg(mean=quality.mean, low="min", high="max", n="count")
    return pooled.assign(heads=by_point["heads_kept"].mean()).reset_index()


def by_seed(runs: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """The rows of `outcomes` with the draws of a seed pooled: the seed is what varies.

    One row per (method, line, budget, seed): value and heads_kept, means over the draws that have a result (NaN where
    none has), n of those, and without_result, how many have none.
    """
    by_cell = runs.groupby([*LINE, "budget", "seed"], sort=True)
    found = by_cell.agg(value=("value", quality.mean), heads_kept=("heads_kept", "mean"), n=("value", "count"))
    return found.assign(without_result=by_cell.size() - found["n"]).reset_index()


def seed_values(seeds: pd.DataFrame) -> dict[tuple[Line, int], dict[int, float]]:
    """The value of every seed that has one, by line and budget, from the rows of `by_seed`."""
    found: dict[tuple[Line, int], dict[int, float]] = {}
    known = seeds.dropna(subset=["value"])
    for method, line, budget, seed, value in known[[*LINE, "budget", "seed", "value"]].to_numpy(dtype=object):
        found.setdefault(((method, line), int(budget)), {})[int(seed)] = float(value)
    return found


def label_of(line: Line) -> str:
    """`dsp.joint`, as the command line and claims name a line."""
    method, arm = line
    return f"{method}{'.' if split_arm(arm)[0] else ''}{arm}"


def line_of(label: str) -> Line:
    """The line of a label: `dsp.joint+ft`, `magnitude+ft`, `random`; `unpruned+ft`, which has no arm."""
    name, plus, treatment = label.partition("+")
    if plus and name == UNPRUNED:
        return label, ""
    method, _, arm = name.partition(".")
    return method, f"{arm}{plus}{treatment}"
