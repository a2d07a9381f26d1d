"""Cells that only write rows: what the jobs of a grid leave on disk, without the models.

The values are made up, plausible enough for tables and figures to be drawn from them, and the same in every run.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from headprune.config import load
from headprune.heads import HeadSpace
from headprune.pipeline.cells import Cell
from headprune.pipeline.plan import Plan
from headprune.pipeline.store import Record, write_bytes, write_json
from headprune.results.outputs import cell_folder, file_name
from headprune.results.provenance import digest

ROOT = Path(__file__).resolve().parents[1]
OK: Record = {"status": "ok", "reason": ""}
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:0"


def grid(results: Path, cells: int = 5_000, batch: str = "method") -> Plan:
    """The `small` profile, every method and treatment of it, for two models and as many seeds as make `cells` cells."""
    source = yaml.safe_load((ROOT / "workflows/config/small.yaml").read_text(encoding="utf-8"))
    (model,) = source["models"].values()
    source |= {"profile": "grid", "results": str(results), "batch": batch, "seeds": [1]}
    source["models"] = {"one": model, "two": model}
    per_seed = len(Plan(load(source)).cells)
    source["seeds"] = list(range(1, -(-cells // per_seed) + 1))
    return Plan(load(source))


def write_config(plan: Plan, path: Path) -> Path:
    path.write_text(yaml.safe_dump(plan.config.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
    return path


def simulate(plan: Plan, segments: int = 0) -> None:
    """Does what `write` does, without waiting for the disk after every file."""
    with mock.patch("os.fsync"):
        write(plan, segments)


def write(plan: Plan, segments: int) -> None:
    """Writes receipts, records of cells, trials, ablations and data statistics of a whole run.

    :param segments: hypotheses of the test split of every cell; 0: no file of them
    """
    for dataset in {model.dataset for model in plan.config.models.values()}:
        write_json(plan.folder / "data" / dataset / "statistics.json", {"sha256": {"test": "0" * 64}})
    for job in plan.jobs:
        write_json(plan.folder / job.receipt, OK | {"cells": {cell.id: OK for cell in _cells(plan, job)}})
        if job.kind == "ablate":
            space = plan.config.models[job.model].architecture.head_space
            path = plan.run.ablation(job.model, job.label, job.seed or 0)
            write_json(path, ablation_record(space, job.name))
    for cell in plan.cells:
        write_cell(plan, cell, segments)


def _cells(plan: Plan, job: Any) -> list[Cell]:
    return [] if job.kind in ("data", "dense", "ablate") else plan.cells_in(job)


def write_cell(plan: Plan, cell: Cell, segments: int) -> None:
    """Everything that one cell has."""
    folder, rng = plan.folder / "cells" / cell.id, random.Random(cell.id)
    space = plan.config.models[cell.model].architecture.head_space
    identity = {"model": cell.model, "method": {"name": cell.method}, "seed": cell.seed, "cell": cell.id}
    pruned = pruned_record(space, cell, rng) | {"signature": digest(identity)}
    label = f"{cell.method}.{cell.arm}" if cell.arm else cell.method
    if not cell.treatment and plan.grid.kind(label) == "search":
        trial = trial_record(space.names, cell, label, rng)
        write_json(plan.run.trial(cell.model, cell.method, cell.seed, trial["signature"]), trial)
        pruned["trials"] = [trial["signature"]]
    elif not cell.treatment and plan.grid.kind(label) == "gates":
        pruned["curve"] = curve(1000, rng)
    quality = 25 * (cell.budget / cell.n_heads) ** 0.5 + rng.gauss(0, 0.3)
    write_json(folder / "identity.json", identity)
    write_json(folder / "pruned.json", pruned)
    write_json(folder / "test.json", test_record(quality))
    write_json(folder / "speed.json", speed_record(cell))
    if segments:
        lines = "".join(f"sentence {number} of {cell.id}\n" for number in range(segments)).encode()
        path = cell_folder(plan.folder, cell.id) / file_name("hypotheses", "test")
        write_bytes(path, gzip.compress(lines, mtime=0))


def pruned_record(space: HeadSpace, cell: Cell, rng: random.Random) -> Record:
    kept = sorted(rng.sample(range(len(space)), cell.budget))
    values = {
        "perplexity": 10 + 40 * (1 - cell.budget / cell.n_heads) + rng.random(),
        "masked_vs_removed_max_abs": 1e-6,
        "masked_vs_removed_hypotheses": 0,
        "parameters": 1_000_000 + 16_000 * cell.budget,
        "parameters_non_embedding": 600_000 + 16_000 * cell.budget,
        "macs_per_token": 900_000 + 20_000 * cell.budget,
        "train_seconds": 300.0,
        "prune_seconds": 10 * rng.random(),
        "prune_forward_sentences": 2000,
        "prune_backward_sentences": 2000,
        "prune_updates": 0,
        "peak_memory_mib": 500.0,
    }
    names = space.names
    return OK | {"mask": [names[i] for i in kept], "heads": list(names), **values}


def trial_record(names: Sequence[str], cell: Cell, label: str, rng: random.Random) -> Record:
    record = {"method": cell.method, "label": label, "seed": cell.seed, "coefficient": 10 ** rng.uniform(-2, 1)}
    cost = {"updates": 600, "seconds": 60.0, "memory": 500.0, "forward": 1000, "backward": 1000}
    kept = names[: cell.budget]
    record |= OK | {"heads_kept": len(kept), "mask": list(kept), "perplexity": 20 + rng.random(), "cost": cost}
    return record | {"curve": curve(600, rng), "signature": digest([cell.id, "trial"])}


def curve(updates: int, rng: random.Random) -> list[Record]:
    """The curve that a training logs, every 25 updates."""
    losses = ((update, 4 + 6 * 0.995**update + 0.1 * rng.random()) for update in range(25, updates + 1, 25))
    return [{"split": "train", "update": update, "loss": loss, "nll_loss": loss - 0.3} for update, loss in losses]


def test_record(quality: float) -> Record:
    scores = {"bleu": quality, "chrf": 20 + quality, "bleu_tokenized_lower": quality + 1}
    return OK | {"signature": "", **{name: [value, SIGNATURE] for name, value in scores.items()}}


def speed_record(cell: Cell) -> Record:
    def around(value: float) -> Record:
        return {"median": value, "q25": 0.97 * value, "q75": 1.03 * value}

    share = cell.budget / cell.n_heads
    return OK | {"latency_ms": around(20 + 20 * share), "throughput": around(4000 - 1500 * share), "batch_size": 32}


def ablation_record(space: HeadSpace, name: str) -> Record:
    rng = random.Random(name)
    heads = {head: {"score": 25 - rng.random(), "p_value": rng.random()} for head in space.names}
    return OK | {"signature": digest(name), "unpruned": 25.0, "heads": heads}


def sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """Files and bytes of a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    yield "files", len(files)
    yield "bytes", sum(path.stat().st_size for path in files)


def describe(plan: Plan) -> str:
    kinds = [job.kind for job in plan.jobs]
    return f"{len(plan.cells):,} cells, {len(kinds):,} jobs: " + json.dumps(
        {k: kinds.count(k) for k in sorted(set(kinds))}
    )
