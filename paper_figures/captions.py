"""Captions: what a reader needs beside a picture, counted from the tables rather than remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from common import (
    UNPRUNED,
    Quality,
    Results,
    group_label,
    in_group,
    lines_of,
    outcomes,
    quality_of,
    write_text,
)
from families import line_label, ordered

from headprune.analysis.given import sentence

MOST_LISTED = 8  # above this many, cells without a result are counted by status only


def write_caption(
    results: Results,
    out_dir: Path,
    name: str,
    opening: str,
    notes: Sequence[str] = (),
    with_metric: bool = True,
) -> None:
    """Write NAME.txt, the caption of one figure."""
    write_text(out_dir / f"{name}.txt", caption(results, opening, notes, with_metric))


def caption(results: Results, opening: str, notes: Sequence[str] = (), with_metric: bool = True) -> str:
    """The opening and the notes, per group its runs, failures and metric, then the data's signature."""
    lines = [opening, *notes]
    for group in results.groups():
        cells = in_group(results.cells, group)
        quality = quality_of(cells)
        runs = outcomes(cells, quality)
        heading = group_label(results, group) or ", ".join(part for part in group[1:] if part)
        signature = metric_sentence(cells, quality) if with_metric else ""
        told = sentence(results.folder, *group[2:])
        lines.append(f"{heading}: {seeds_sentence(runs)} {failures_sentence(runs)}{signature}{told and f' {told}'}")
    if results.asked:
        lines.append(f"Only the arms asked for: {', '.join(results.asked)}.")
    lines.append(f"Data: cells.parquet, {results.data}.")
    return "\n".join(lines) + "\n"


def seeds_sentence(runs: pd.DataFrame) -> str:
    """A sentence on the number of seeds and draws behind the points of each line."""
    counts: dict[str, list[str]] = {}
    by_line = lines_of(runs)
    for line in ordered(by_line):
        seeds = by_line[line]["seed"].nunique()
        draws = by_line[line]["arm"].nunique()
        text = f"n = {seeds} seed{'s' * (seeds != 1)}" + (f" × {draws} draws" if draws > 1 else "")
        counts.setdefault(text, []).append(line_label(line))
    common, *rest = sorted(counts, key=lambda text: -len(counts[text]))
    others = "; ".join(f"{', '.join(counts[text])}: {text.removeprefix('n = ')}" for text in rest)
    return f"{common} ({others})." if others else f"{common}."


def failures_sentence(runs: pd.DataFrame) -> str:
    """A sentence on the planned cells that have no result: how many, and which."""
    bad = runs[runs["status"] != "ok"]
    if bad.empty:
        return f"All {len(runs)} cells have a result."
    count = count_statuses(bad["status"])
    text = f"{len(bad)} of {len(runs)} cells without a result ({count}), left out of the means"
    if len(bad) > MOST_LISTED:
        return text + "."
    return f"{text}: {'; '.join(f'{_cell(row)} {row.status}' for row in bad.itertuples(index=False))}."


def _cell(row: Any) -> str:
    """`DSP (joint) K=4 seed 1`."""
    budget = "" if row.method == UNPRUNED else f" K={row.budget:g}"
    return f"{line_label((row.method, row.arm))}{budget} seed {row.seed}"


def measured_notes(where: str, panels: Sequence[tuple[str, pd.DataFrame]]) -> list[str]:
    """Sentences on the costs of a group that not all of its runs have; one for those that the same runs have.

    :param where: the group
    :param panels: costs by name, each with its runs, of which `x` is NaN where it was not measured
    """
    alike: dict[tuple[bool, ...], list[tuple[str, pd.DataFrame]]] = {}
    for name, runs in panels:
        if runs["x"].isna().any():
            alike.setdefault(tuple(runs["x"].notna()), []).append((name, runs))
    return [f"{where}: {_measured([name for name, _ in own], own[0][1])}" for own in alike.values()]


def _measured(names: Sequence[str], runs: pd.DataFrame) -> str:
    known, lacking = runs[runs["x"].notna()], runs[runs["x"].isna()]
    what = " and ".join(names)
    if known.empty:
        return f"no run has {what}."
    if len(lacking) < len(known) and len(lacking) <= MOST_LISTED:
        which = f"all but {'; '.join(map(_cell, lacking.itertuples(index=False)))}"
    else:
        which = _lines_with_seeds(known)
    pruned = [line for line in lines_of(known) if line[0] != UNPRUNED]
    front = f" The front there is that of {line_label(pruned[0])} alone." if len(pruned) == 1 else ""
    place = "this panel" if len(names) == 1 else "these panels"
    return (
        f"{len(known)} of {len(runs)} runs have {what}, {which}. Quality in {place} is that of these runs, so that a "
        f"model may stand at another height than in the others.{front}"
    )


def _lines_with_seeds(runs: pd.DataFrame) -> str:
    """`those of unpruned, DSP (joint) with seed 1`; of many lines their number."""
    by_line = lines_of(runs)
    if len(by_line) > MOST_LISTED:
        return f"those of {len(by_line)} methods and arms"
    found: dict[str, list[str]] = {}
    for line in ordered(by_line):
        seeds = sorted(set(by_line[line]["seed"]))
        text = f"with seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        found.setdefault(text, []).append(line_label(line))
    return "those of " + "; ".join(f"{', '.join(labels)} {text}" for text, labels in found.items())


def count_statuses(statuses: pd.Series) -> str:
    """`2 failed, 1 timeout`; empty when all are ok."""
    counts = Counter(status for status in statuses if status != "ok")
    return ", ".join(f"{counts[status]} {status}" for status in sorted(counts))


def metric_sentence(cells: pd.DataFrame, quality: Quality) -> str:
    """A sentence on how the quality was computed; empty where the table does not say."""
    if "metric_signature" not in cells:
        return ""
    rows = cells[(cells["metric"] == quality.metric) & (cells["split"] == "test") & (cells["status"] == "ok")]
    found = sorted({str(text) for text in rows["metric_signature"].dropna()} - {""})
    if not found:
        return ""
    warning = "" if len(found) == 1 else " (several: these values are not comparable)"
    return f" {quality.label}: {' and '.join(found)}{warning}."
