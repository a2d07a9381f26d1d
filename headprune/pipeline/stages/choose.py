"""The job that chooses, of the trials of an entry, the options of its cells: those of the lowest validation loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean

from headprune.pipeline.context import Context
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, find
from headprune.pipeline.store import UpstreamError, kept_or_computed
from headprune.results.provenance import digest
from headprune.results.tunings import NAME, TuningError, digest_of, records_in, rows_in


def run(context: Context, reporter: Reporter) -> Record:
    """Reads the records of all trials, or what another run tells of them; the choice follows from these alone."""
    tried = records_elsewhere(context) if "elsewhere" in context.told else records_here(context)
    signature = digest([context.told["trials"], tried])
    path = context.run.choice(context.told["model"], context.told["label"])
    return kept_or_computed(path, signature, partial(chosen, context.told["trials"], tried))


def records_here(context: Context) -> list[list[Record]]:
    """The records of every trial of this run."""
    return [records_of(context, number) for number in range(len(context.told["trials"]))]


def records_elsewhere(context: Context) -> list[list[Record]]:
    """The records of every trial as the table of another run has them.

    :raises UpstreamError: it is not the table any more that the run was planned with.
    """
    told = context.told
    given = told["elsewhere"]
    try:
        if digest_of(given["folder"]) != given["sha256"]:
            raise TuningError("has changed since the run was planned")
        options = [{**given["options"], **trial} for trial in told["trials"]]
        rows = rows_in(given["folder"])
        return records_in(rows, told["model"], told["label"], options, told["seeds"], told["budgets"])
    except (TuningError, OSError) as error:
        raise UpstreamError(f"{Path(given['folder']) / NAME} {error}") from error


def records_of(context: Context, number: int) -> list[Record]:
    """The records of one trial at all seeds and budgets, without what a run says of itself."""
    about = (context.told["model"], context.told["label"], number)
    grid = product(context.told["seeds"], sorted(context.told["budgets"], reverse=True))
    paths: list[Path] = [context.run.trial_of_tuning(*about, budget, seed) for seed, budget in grid]
    keys = ("signature", "status", "reason", "loss", "runs")
    found = [find(path, "tried") for path in paths]
    return [{key: record[key] for key in keys if key in record} for record in found]


def chosen(options: Sequence[Mapping[str, object]], tried: Sequence[Sequence[Record]]) -> Record:
    """The record of a choice.

    :param options: of every trial
    :param tried: its records
    """
    losses = [mean_loss(records) for records in tried]
    best = best_of(losses)
    found: Record = {"trial": best or 0, "options": options[best or 0], "losses": losses, "cost": cost_of(tried)}
    if best is None:
        reason = next(record["reason"] for record in tried[0] if record["status"] != "ok")
        found["reason"] = f"all {len(tried)} trials failed, its own values stand: {reason}"
    return found


def mean_loss(records: Sequence[Record]) -> float | None:
    """The mean validation loss of a trial over seeds and budgets; None where any of these failed."""
    if any(record["status"] != "ok" for record in records):
        return None
    return fmean(record["loss"] for record in records)


def best_of(losses: Sequence[float | None]) -> int | None:
    """The trial of the lowest loss, of equal ones the first; None where all failed."""
    usable = [(loss, number) for number, loss in enumerate(losses) if loss is not None]
    return min(usable)[1] if usable else None


def cost_of(tried: Sequence[Sequence[Record]]) -> dict[str, int]:
    """Updates and passes of all trials. A run that serves several budgets, or trials, counts once; nothing is known of
    one that failed."""
    runs = {name: cost for records in tried for record in records for name, cost in record.get("runs", {}).items()}
    return {key: sum(cost[key] for cost in runs.values()) for key in ("updates", "forward", "backward")}
