"""The tuning of a run as its records tell of it: rows of trials, the options that were chosen, what it all cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from headprune.pipeline.cells import Cell
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import Record, find
from headprune.results.tunings import NAME

Find = Callable[[Path, str], Record]  # of a record, by path and kind
METRICS = {
    "updates": "tuning_updates",
    "forward": "tuning_forward_sentences",
    "backward": "tuning_backward_sentences",
}  # of cells, by what the record of a choice calls them


def choice_of(plan: Plan, model: str, label: str, find: Find = find) -> Record | None:
    """The record of the options that were chosen for an entry, or its base; None where there is none."""
    method = plan.grid.method(label)
    record = find(plan.run.choice(model, method.label), "chosen") if method.tuned else None
    return record if record is not None and record["status"] == "ok" else None


def options_of(plan: Plan, model: str, label: str, find: Find = find) -> dict[str, Any]:
    """The options that cells of an entry have been found with."""
    choice = choice_of(plan, model, label, find)
    return {**plan.grid.method(label).options, **(choice["options"] if choice else {})}


def cost_rows(plan: Plan, cell: Cell, find: Find = find) -> Iterator[Record]:
    """Metric, value and reason of what the tuning cost that the options of a cell come from; none without one."""
    label = f"{cell.method}.{cell.arm}" if cell.arm else cell.method
    if (choice := choice_of(plan, cell.model, label, find)) is not None:
        for key, metric in METRICS.items():
            yield {"metric": metric, "value": choice["cost"][key], "reason": choice["reason"]}


def tuning_rows(plan: Plan, find: Find = find) -> Iterator[Record]:
    """One row per model, entry, trial, seed and budget. The cost of a run stands in the first row that it serves."""
    if plan.config.tuning is not None and plan.config.tuning.chosen_in is not None:
        yield from _rows_elsewhere(plan, plan.config.tuning.chosen_in)
        return
    for model in plan.config.models:
        for label in plan.grid.tuned_for(model):
            choice = choice_of(plan, model, label, find)
            known = set[str]()
            for row in _trials(plan, model, label):
                path = plan.run.trial_of_tuning(model, label, row["trial"], row["budget"], row["seed"])
                record = find(path, "tried")
                told = {key: record.get(key) for key in ("loss", "heads_kept", "status", "reason", "signature")}
                yield row | told | _cost(record, known) | {"chosen": row["trial"] == _winner(choice)}


def _rows_elsewhere(plan: Plan, folder: str) -> Iterator[Record]:
    """The rows of the run that has chosen, of the entries of this one."""
    from headprune.results import schema  # pandas, which a plan does without

    table = schema.read_table(Path(folder) / NAME, schema.TUNING_COLUMNS)
    for model in plan.config.models:
        for label in plan.grid.tuned_for(model):
            own = table[(table["model"] == model) & (table["entry"] == label)]
            for row in own.assign(profile=plan.config.profile).to_dict("records"):
                yield {str(column): value for column, value in row.items()}


def _winner(choice: Record | None) -> int | None:
    """The trial that was chosen as it is the best; None where all failed, or nothing has been chosen yet."""
    if choice is None or choice["losses"][choice["trial"]] is None:
        return None
    return int(choice["trial"])


def _trials(plan: Plan, model: str, label: str) -> Iterator[Record]:
    assert plan.config.tuning is not None
    method = plan.grid.method(label)
    about: Record = {"profile": plan.config.profile, "model": model, "method": method.name, "entry": label}
    about["n_heads"] = plan.config.models[model].architecture.n_heads
    for number, options in enumerate(plan.grid.trials(label)):
        text = json.dumps({**method.options, **options}, sort_keys=True)
        for seed in sorted(plan.config.tuning.seeds):
            for budget in sorted(plan.config.tuning.budgets, reverse=True):
                yield about | {"trial": number, "options": text, "seed": seed, "budget": budget}


def _cost(record: Record, known: set[str]) -> Record:
    """The cost of those runs of a record that no row before has had.

    :param known: names of those; new ones are added
    """
    runs = {name: cost for name, cost in record.get("runs", {}).items() if name not in known}
    known.update(runs)
    if "runs" not in record:
        return {}
    columns = {"updates": "updates", "forward": "forward_sentences", "backward": "backward_sentences"}
    return {column: sum(cost[key] for cost in runs.values()) for key, column in columns.items()}
