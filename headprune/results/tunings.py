"""The trials of a tuning as the `tuning.csv` of a results folder tells of them, for a run that takes its choice."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from headprune.naming import STATUSES
from headprune.results.provenance import file_sha256

NAME = "tuning.csv"
COST = {"updates": "updates", "forward": "forward_sentences", "backward": "backward_sentences"}  # columns, by record
Row = Mapping[str, str]


class TuningError(ValueError):
    """A table of trials that is not that of a profile; the message says why, as what follows the name of the file."""


def rows_in(folder: str | Path) -> list[Row]:
    """The rows of the file, as text.

    :raises TuningError: there is none, or it is no such table
    """
    path = Path(folder) / NAME
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[Row] = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise TuningError(f"cannot be read: {why}") from error
    if not rows:
        raise TuningError("has no trials: that run was not tuned")
    needed = {"model", "entry", "trial", "options", "seed", "budget", "loss", "status", "reason", "signature"}
    if absent := sorted((needed | set(COST.values())) - set(rows[0])):
        raise TuningError(f"lacks the column {absent[0]}")
    return rows


def digest_of(folder: str | Path) -> str:
    """The sha256 of the file."""
    return file_sha256(Path(folder) / NAME)


def records_in(
    rows: Sequence[Row],
    model: str,
    entry: str,
    trials: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    budgets: Sequence[int],
) -> list[list[dict[str, Any]]]:
    """The records of every trial of an entry, one for each seed and budget, as far as a choice reads them.

    :param trials: the options of every trial, the entry's own among them
    :raises TuningError: a row is missing, twice there, of other options or damaged; or nothing has become of it yet
    """
    found: dict[tuple[int, int, int], list[Row]] = {}
    for row in (row for row in rows if (row["model"], row["entry"]) == (model, entry)):
        try:
            place = (int(row["trial"]), int(row["seed"]), int(row["budget"]))
        except ValueError as error:
            raise TuningError(f"has a damaged row: {error}") from error
        found.setdefault(place, []).append(row)
    about = f"{entry!r} of model {model!r}"
    if not found:
        known = ", ".join(sorted({f"{row['entry']!r} of {row['model']!r}" for row in rows})[:8])
        raise TuningError(f"has no trials of {about}, only of {known}")
    if more := sorted({number for number, _, _ in found} - set(range(len(trials)))):
        raise TuningError(f"has a trial {more[0]} of {about}, which the profile has not; it has {len(trials)}")
    places = list(product(sorted(seeds), sorted(budgets, reverse=True)))

    def record(number: int, seed: int, budget: int) -> dict[str, Any]:
        what = f"trial {number} of {about}, seed {seed}, K = {budget}"
        return _record(_one(found.get((number, seed, budget), []), trials[number], what))

    return [[record(number, *place) for place in places] for number in range(len(trials))]


def _one(rows: Sequence[Row], options: Mapping[str, Any], what: str) -> Row:
    if len(rows) != 1:
        raise TuningError(f"has {len(rows) or 'no'} row{'s' * (len(rows) > 1)} of {what}")
    try:
        same = json.loads(rows[0]["options"]) == dict(options)
    except ValueError:
        same = False
    if not same:
        raise TuningError(f"has {what} with options {rows[0]['options']}, here {json.dumps(options, sort_keys=True)}")
    if rows[0]["status"] not in STATUSES or rows[0]["status"] == "missing":
        raise TuningError(f"knows nothing of {what}: {rows[0]['status'] or 'no status'}")
    return rows[0]


def _record(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {key: row[key] for key in ("signature", "status", "reason")}
    try:
        if row["status"] == "ok":
            run = f"{row['trial']}-{row['seed']}-{row['budget']}"
            found["loss"] = float(row["loss"])
            found["runs"] = {run: {key: int(row[column] or 0) for key, column in COST.items()}}
    except ValueError as error:
        raise TuningError(f"{row['entry']!r}, trial {row['trial']}: {error}") from error
    return found
