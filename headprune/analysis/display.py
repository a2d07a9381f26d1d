"""Comparisons on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from headprune.analysis.differences import Differences, machines
from headprune.analysis.quality import Quality
from headprune.analysis.repeats import Repeat
from headprune.analysis.versus import Versus
from headprune.naming import counted
from headprune.statistics.seeds import ALPHA
from headprune.system.terminal import Column, say, show

ABSENT = "–"
MOST_LISTED = 20
FOOT = (
    "A − B: positive is better for A, with its t interval at 95 %. p: over the n seeds that both have (draws of a seed "
    "averaged), the larger of the exact sign-flip test's and Student's; Holm over the budgets of a table, against "
    "random heads or the unpruned model over all methods, as in the table of comparisons; floor: the smallest p that "
    f"n seeds and the family can reach; above α = {ALPHA:g} nothing can be decided. P(A>B): that a run of A beats one "
    "of B."
)
OUTPUTS = (
    " Outputs in pairs: segments of one test set, seeds as blocks; it asks what another test set would change, given "
    "these trained models, and knows nothing of other trainings. Scored differently: segments whose part in the score "
    "(for BLEU matches and lengths) is another with any seed; their outputs may differ without that. Approximate "
    "randomisation, ties counted, exact where these are few; interval by bootstrap. Holm over the budgets of a table, "
    "with its floor; * p ≤ α."
)


def comparison(console: Console, folder: Path, system: str, baseline: str, found: list[Versus]) -> None:
    """Two methods: a table across seeds and one of the outputs for every model."""
    say(console, f"{folder}: A = {system}, B = {baseline}")
    for one in found:
        say(console, f"\n{', '.join(part for part in one.group if part)}: {one.quality.label}{_scale(one.quality)}")
        if one.table.empty:
            say(console, "no budget that both have")
        else:
            _seeds(console, one)
            for verdict, own in one.table.groupby("verdict", sort=False):
                say(console, f"across seeds {verdict}: K = {', '.join(map(str, own['budget']))}")
            for verdict, own in one.table[one.table["p_both"].notna()].groupby("verdict_both", sort=False):
                told = ", ".join(f"{k} ({_p(p)})" for k, p in zip(own["budget"], own["p_both_holm"], strict=True))
                say(console, f"across seeds and other sentences {verdict}: K (Holm) = {told}")
            tested = one.table["p_outputs"].notna()
            if tested.any():
                _outputs(console, one.table[tested], one.quality.difference_digits)
            else:
                why = "no seed has outputs of both" if one.has_segments else f"{folder} has no segments of this model"
                say(console, f"no paired test of outputs: {why}")
        for label, budgets in one.only.items():
            say(console, f"only {label}: K = {', '.join(map(str, budgets))}")
        for note in one.notes:
            say(console, f"note: {note}")
    any_outputs = any(one.table["p_outputs"].notna().any() for one in found)
    console.print(f"\n{FOOT}{OUTPUTS if any_outputs else ''}", style="dim", markup=False, highlight=False)


def changes(console: Console, first: Path, second: Path, found: Differences, repeated: list[Repeat]) -> None:
    """Two result tables: the metrics of the cells in both, what of them repeats, and the cells that are not."""
    say(console, f"A = {first}\nB = {second}")
    other = f", {found.signatures} of them under another signature" if found.signatures else ""
    say(console, f"{found.both} cells in both{other}")
    if note := machines(first, second):
        say(console, f"note: {note}")
    rows = []
    for row in _records(found.metrics):
        name = " ".join(part for part in (row["track"], row["split"], row["metric"]) if part)
        where = "never the same" if row["measured"] else row["where"]
        numbers = (f"{row['rows']}", f"{row['equal']}", _signed(row["difference"]), _signed(row["largest"]))
        rows.append((name, *numbers, where))
    if rows:
        columns = (Column("metric", "name"), *_numbers("rows", "equal", "mean B − A", "largest"), Column("where"))
        show(console, columns, rows)
    _repeated(console, repeated)
    for what, cells in (("A", found.only[0]), ("B", found.only[1])):
        if cells:
            say(console, f"only in {what}: {len(cells)} cells")
            _list(console, cells)
    if found.statuses:
        say(console, f"ended differently: {len(found.statuses)} cells")
        _list(console, [f"{cell}: {one} in A, {two} in B" for cell, one, two in found.statuses])


def _repeated(console: Console, found: list[Repeat]) -> None:
    told = [f"{one.what} of {one.cells - len(one.other)} of {one.cells}" for one in found if one.cells]
    if told:
        say(console, f"equal to the last bit, times, speed and memory aside: {', '.join(told)} cells that both have")
    for one in found:
        if one.other:
            say(console, f"other {one.what}: {counted(len(one.other), 'cell')}")
            _list(console, one.other)


def _scale(quality: Quality) -> str:
    """A remark on the scale of differences and means where it is not that of the metric itself."""
    return f" (geometric means; A − B in {quality.unit})" if quality.scale == "log" else ""


def _seeds(console: Console, one: Versus) -> None:
    digits, decimals, rows = one.quality.digits, one.quality.difference_digits, []
    for row in _records(one.table):
        cells = (
            f"{row['budget']}",
            _number(row["value"], digits),
            _number(row["baseline_value"], digits),
            _estimate(row["improvement"], row["low"], row["high"], decimals),
            f"{row['n_seeds']}",
            _p(row["p_seeds"]),
            f"{_p(row['p_seeds_holm'])} ({_p(row['p_floor_holm'])})",
            _number(row["probability_of_improvement"], 2),
        )
        rows.append(cells)
    columns = _numbers("K", "A", "B", "A − B [95 %]", "n", "p", "Holm (floor)")
    show(console, (*columns, Column("P(A>B)", "number", spare=True)), rows)


def _outputs(console: Console, table: pd.DataFrame, digits: int) -> None:
    rows = []
    for row in _records(table):
        star = "*" * (row["verdict_outputs"] == "significant")
        cells = (
            f"{row['budget']}",
            _estimate(row["outputs_improvement"], row["outputs_low"], row["outputs_high"], digits),
            f"{row['segments_differing']:g} of {row['segments']:g}",
            f"{row['outputs_seeds']:g}",
            _p(row["p_outputs"]),
            f"{_p(row['p_outputs_holm'])}{star} ({_p(row['p_outputs_floor_holm'])})",
        )
        rows.append(cells)
    columns = _numbers("K", "A − B [95 %]", "scored differently", "n", "p", "Holm (floor)")
    show(console, columns, rows, title=f"outputs in pairs: {table['outputs_test'].iloc[0]}")


def _numbers(*titles: str) -> tuple[Column, ...]:
    return tuple(Column(title, "number") for title in titles)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _list(console: Console, lines: list[str]) -> None:
    for line in lines[:MOST_LISTED]:
        say(console, f"  {line}")
    if len(lines) > MOST_LISTED:
        say(console, f"  … and {len(lines) - MOST_LISTED} more")


def _number(value: Any, digits: int, sign: str = "") -> str:
    return ABSENT if pd.isna(value) else f"{value:{sign}.{digits}f}".replace("-", "−")


def _estimate(value: Any, low: Any, high: Any, digits: int) -> str:
    interval = "" if pd.isna(low) else f" [{_number(low, digits, '+')}, {_number(high, digits, '+')}]"
    return _number(value, digits, "+") + interval


def _signed(value: float) -> str:
    return f"{value:+.4g}".replace("-", "−") if value else "0"


def _p(value: Any) -> str:
    """`0.031`, `<0.001`"""
    if pd.isna(value):
        return ABSENT
    return "<0.001" if value < 0.001 else f"{value:.3f}".rstrip("0").rstrip(".")
