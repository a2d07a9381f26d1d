"""All cells of a profile as result tables and a manifest.

What is lost or damaged is a cell without a result, as one that was never computed. Tables take the place of earlier
ones when all of them are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from headprune.analysis import names, registration
from headprune.heads import HeadSpace
from headprune.pipeline import history
from headprune.pipeline.cells import Cell
from headprune.pipeline.curves import curve_rows
from headprune.pipeline.inventory import Inventory
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import COSTS, Record, find, hint
from headprune.pipeline.registering import noted_claims
from headprune.pipeline.store import json_bytes
from headprune.pipeline.tunings import Find, cost_rows, tuning_rows
from headprune.results import schema
from headprune.results.jobs import JOBS
from headprune.results.layout import MANIFEST
from headprune.results.provenance import environment, git_commit
from headprune.system.files import replacing
from headprune.tasks import TASKS

TABLES = schema.TABLES

Trials = Sequence[tuple[Cell, Record]]


def collect(plan: Plan, tell: Callable[[str], Any] = print) -> dict[str, int]:
    """Writes the tables and manifest.json, all of them or none; returns the number of cells by status.

    :param tell: is told of every record that could not be used, by the name of its file
    """
    inventory = Inventory(plan.folder)
    rows, masks, signatures, statuses = [], [], Record(), []
    for cell in plan.cells:
        folder = plan.run.cell(cell.id)
        pruned, test, speed = (inventory.find(folder.record(step), step) for step in ("pruned", "test", "speed"))
        rows += list(cell_rows(plan, cell, pruned, test, speed, inventory.find))
        masks += list(mask_rows(plan, cell, pruned))
        statuses.append(next((r["status"] for r in (pruned, test) if r["status"] != "ok"), "ok"))
        if pruned["signature"] and (identity := hint(folder.identity)):
            signatures[pruned["signature"]] = {"cell": cell.id} | identity
    trials = list(trials_of(plan, inventory.find))
    cells = schema.cells_table(rows)
    tables = {
        "cells.parquet": schema.to_parquet(cells),
        "cells.csv": schema.to_csv(cells),
        "masks.parquet": schema.to_parquet(schema.masks_table(masks)),
        "trials.csv": schema.to_csv(schema.trials_table(trial_rows(plan, trials))),
        "trial_masks.csv": schema.to_csv(schema.trial_masks_table(trial_mask_rows(plan, trials))),
        "curves.csv": schema.to_csv(schema.curves_table(curve_rows(plan, trials, inventory.find))),
        "ablations.csv": schema.to_csv(schema.ablations_table(ablation_rows(plan, inventory.find))),
        "tuning.csv": schema.to_csv(schema.tuning_table(tuning_rows(plan, inventory.find))),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(tables.items())}
    told = manifest(plan, signatures, hashes, statistics_of(plan, inventory))
    write_all(plan.folder, tables | {MANIFEST: json_bytes(told)})
    for reason in inventory.told.values():
        tell(f"damaged: {reason}")
    if inventory.told:
        tell(f"to mend it: headprune retry {plan.folder}, then snakemake as before")
    return {status: statuses.count(status) for status in sorted(set(statuses))}


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Files that take the place of earlier ones together, once all of them are written; the first one first."""
    with ExitStack() as stack:
        for name, content in reversed(list(files.items())):  # the stack is left from its end
            stack.enter_context(replacing(folder / name)).write_bytes(content)


def statistics_of(plan: Plan, inventory: Inventory) -> Record:
    """Statistics of every dataset; where the dataset is damaged, as the job said that prepared it."""
    found = {}
    for name in sorted({model.dataset for model in plan.config.models.values()}):
        receipt = inventory.receipts.get(f"data/{name}", {})
        found[name] = receipt.get("statistics") or hint(plan.run.statistics(name))
    return found


def manifest(plan: Plan, signatures: Record, hashes: Mapping[str, str], data: Record) -> Record:
    """Everything that the numbers of a run depend on, how they came about, and the sha256 of the tables."""
    return {
        "profile": plan.config.profile,
        "config": plan.config.model_dump(),  # resolved; what was given is what can be read again
        "given": plan.config.model_dump(exclude_defaults=True),
        "data": data,
        "git": dict(git_commit()),
        "environment": environment(),
        "packages": history.packages(),
        **history.runtime(),
        **history.history(plan.run),
        registration.SECTION: noted_claims(plan.run),
        names.SECTION: names.printed(
            {method.name: plan.grid.entry(method.label).method for method in plan.config.methods}
        ),
        "files": dict(hashes),
        "signatures": signatures,
    }


def cell_rows(
    plan: Plan, cell: Cell, pruned: Record, test: Record, speed: Record, find: Find = find
) -> Iterator[Record]:
    """The rows of one cell; of a failed one, a row that says why in the place of every metric it lacks."""
    common = _common(plan, cell) | {"heads_kept": None, "n_heads": cell.n_heads, "signature": pruned["signature"]}
    bad = next((record for record in (pruned, test) if record["status"] != "ok"), None)
    if pruned["status"] == "ok":
        common |= {"heads_kept": len(pruned["mask"]), "reason": pruned["reason"]}
        for metric in ("perplexity", "masked_vs_removed_max_abs", "masked_vs_removed_hypotheses"):
            if metric in pruned:
                yield common | row("valid", metric, pruned[metric])
        for metric in ("parameters", "parameters_non_embedding", "macs_per_token"):
            yield common | row("", metric, pruned[metric])
        for metric in COSTS:
            if pruned[metric] is not None:  # of a model that is given, nobody knows what its training took
                yield common | row("", metric, pruned[metric])
        for spent in cost_rows(plan, cell, find):
            yield common | row("", spent["metric"], spent["value"]) | {"reason": spent["reason"]}
        for metric, (value, signature) in pruned.get("valid", {}).items():
            yield common | row("valid", metric, value) | {"metric_signature": signature}
    if speed["status"] == "ok" and pruned["status"] == "ok":
        for metric, batch in (("latency_ms", 1), ("throughput", speed["batch_size"])):
            t = speed[metric]
            yield common | row("", metric, t["median"]) | {"q25": t["q25"], "q75": t["q75"], "batch_size": batch}
    if bad is None:
        for metric, (value, signature) in ((m, v) for m, v in test.items() if m in schema.UNITS):
            yield common | row("test", metric, value) | {"metric_signature": signature}
    else:
        yield (
            common
            | row("test", TASKS[common["track"]].metric, None)
            | {"status": bad["status"], "reason": bad["reason"]}
        )


def row(split: str, metric: str, value: float | None) -> Record:
    """The columns of a row that tell of one metric; those of its cell come from `_common`.

    :param value: in the metric's unit of `schema.UNITS`; None: there is none
    """
    return {"split": split, "metric": metric, "value": value, "unit": schema.UNITS[metric], "status": "ok"}


def mask_rows(plan: Plan, cell: Cell, pruned: Record) -> Iterator[Record]:
    """One row per head of the unpruned model, for a cell that has a mask."""
    if pruned["status"] != "ok":
        return
    kept = set(pruned["mask"])
    for head in HeadSpace.from_names(pruned["heads"]):
        place = {"head": head.name, "type": head.type, "layer": head.layer, "index": head.index}
        yield _common(plan, cell) | place | {"kept": head.name in kept, "signature": pruned["signature"]}


def trials_of(plan: Plan, find: Find = find) -> Iterator[tuple[Cell, Record]]:
    """The trainings that serve several budgets, each once, with a cell that looked at it."""
    seen = set()
    for cell in plan.cells:
        for signature in find(plan.run.cell(cell.id).pruned, "pruned").get("trials", []):
            if signature not in seen:
                seen.add(signature)
                record = find(plan.run.trial(cell.model, cell.method, cell.seed, signature), "trials")
                known = {"method": cell.method, "seed": cell.seed}
                yield cell, known | record | {"signature": signature}


def trial_rows(plan: Plan, trials: Trials) -> Iterator[Record]:
    """One row per training that serves several budgets."""
    keys = ("method", "label", "seed", "coefficient", "heads_kept", "perplexity", "status", "reason", "signature")
    for cell, record in trials:
        common = {"profile": plan.config.profile, "model": cell.model, "n_heads": cell.n_heads}
        spent = {key: record.get("cost", {}).get(key) for key in ("updates", "seconds")}
        yield common | {key: record.get(key) for key in keys} | spent


def trial_mask_rows(plan: Plan, trials: Trials) -> Iterator[Record]:
    """One row per head of such a training, under its own mask."""
    keys = ("method", "label", "seed", "coefficient", "signature")
    for cell, record in trials:
        if record["status"] != "ok":
            continue
        common = {"profile": plan.config.profile, "model": cell.model} | {key: record[key] for key in keys}
        kept = set(record["mask"])
        for head in plan.config.models[cell.model].architecture.head_space:
            place = {"head": head.name, "type": head.type, "layer": head.layer, "index": head.index}
            yield common | place | {"kept": head.name in kept}


def ablation_rows(plan: Plan, find: Find = find) -> Iterator[Record]:
    """One row per head of every ablation; of one that failed, a row without a head that says why."""
    for job in (job for job in plan.jobs if JOBS[job.kind].step == "ablated"):
        record = find(plan.run.ablation(job.model, job.label, job.seed or 0), "ablated")
        common = {"profile": plan.config.profile, "model": job.model, "kind": job.label, "seed": job.seed}
        common |= {key: record[key] for key in ("status", "reason", "signature")}
        if record["status"] != "ok":
            yield common
            continue
        for head in HeadSpace.from_names(record["heads"]):
            place = {"head": head.name, "type": head.type, "layer": head.layer, "index": head.index}
            found = record["heads"][head.name]
            values = {"value": found["score"], "p_value": found["p_value"], "unpruned": record["unpruned"]}
            values["segments_differing"] = found.get("differing")
            yield common | place | values | {"metric": TASKS[plan.config.models[job.model].track].metric}


def _common(plan: Plan, cell: Cell) -> dict[str, Any]:
    model = plan.config.models[cell.model]
    return {
        "profile": plan.config.profile,
        "track": model.track,
        "dataset": model.dataset,
        "model": cell.model,
        "method": cell.method,
        "arm": cell.full_arm,
        "budget": cell.budget,
        "seed": cell.seed,
    }
