"""Made-up result tables with the shapes of real ones: what the figures are tested on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

TYPES = ("encoder", "cross", "decoder")
LAYERS, HEADS = 3, 4
N_HEADS = len(TYPES) * LAYERS * HEADS
BUDGETS = (32, 16, 8, 4)
DENSE_BLEU = 34.2

# How fast quality falls as heads go, and how strongly a method favours each type.
HALF_LIFE = {
    ("random", "draw1"): 11.0,
    ("random", "draw2"): 12.0,
    ("random", "draw3"): 10.5,
    ("magnitude", ""): 8.5,
    ("gradient_importance", "one_shot"): 6.0,
    ("gradient_importance", "iterative"): 4.6,
    ("dsp", "pipelined"): 3.8,
    ("dsp", "joint"): 2.6,
    ("cluster_merge", ""): 5.2,
}
ARMS = (  # the default plan: enough for every kind of line, few enough to draw quickly
    ("random", "draw1"),
    ("random", "draw2"),
    ("random", "draw3"),
    ("magnitude", ""),
    ("dsp", "joint"),
    ("cluster_merge", ""),
)
TASTE = {"encoder": 0.0, "cross": 1.3, "decoder": 0.5}

Arm = tuple[str, str]
Cell = tuple[str, str, int, int]  # method, arm, budget, seed


@dataclass(frozen=True)
class Plan:
    """Which cells exist and which of them fail."""

    groups: Sequence[tuple[str, str, str, str]] = (("small", "mt", "toy-de-en", "transformer_small"),)
    arms: Sequence[Arm] = ARMS
    budgets: Sequence[int] = BUDGETS
    seeds: Sequence[int] = (1, 2)
    fewer: Mapping[Arm, Sequence[int]] = field(default_factory=lambda: {("dsp", "joint"): (16, 8, 4)})
    failed: Mapping[Cell, tuple[str, str]] = field(
        default_factory=lambda: {
            ("magnitude", "", 8, 2): ("failed", "out of memory"),
            ("dsp", "joint", 4, 1): ("diverged", "loss is NaN at update 311"),
        }
    )
    metric: str = "bleu"

    def cells(self) -> Iterator[Cell]:
        for seed in self.seeds:
            yield "unpruned", "", N_HEADS, seed
            for method, arm in self.arms:
                for budget in self.fewer.get((method, arm), self.budgets):
                    yield method, arm, budget, seed


def write(folder: Path, plan: Plan | None = None) -> Path:
    """Write cells.parquet and masks.parquet for a plan; the same plan gives the same tables."""
    plan = plan or Plan()
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    masks: list[dict] = []
    for number, (group, cell) in enumerate((group, cell) for group in plan.groups for cell in plan.cells()):
        rng = np.random.default_rng(number)
        identity = dict(zip(("profile", "track", "dataset", "model"), group, strict=True))
        identity |= dict(zip(("method", "arm", "budget", "seed"), cell, strict=True), signature="made up")
        if cell in plan.failed:
            rows += list(failed_rows(identity, *plan.failed[cell], metric=plan.metric))
            continue
        rows += list(measured_rows(identity, cell, plan.metric, rng))
        masks += [identity | head for head in mask(cell, rng)]
    for name, table in (("cells", rows), ("masks", masks)):
        # Nullable types, as the benchmark writes them: absent numbers are NA, not NaN.
        nullable = pd.DataFrame(table).convert_dtypes()
        nullable.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def failed_rows(identity: dict, status: str, reason: str, metric: str) -> Iterator[dict]:
    """A failed cell: its planned metrics without values."""
    bare = row(identity, "", "parameters", np.nan)
    for split, name in (("test", metric), ("", "parameters"), ("", "latency_ms")):
        yield bare | {"heads_kept": None, "split": split, "metric": name, "status": status, "reason": reason}


def measured_rows(identity: dict, cell: Cell, metric: str, rng: np.random.Generator) -> Iterator[dict]:
    """Every metric of a completed cell."""
    method, arm, budget, _ = cell
    lost = 0.0 if method == "unpruned" else np.exp(-(budget - 1) / HALF_LIFE[method, arm])
    bleu = max(DENSE_BLEU * (1 - lost) + rng.normal(0, 0.25 + 1.2 * lost), 0.3)
    latency = 21.0 + 0.45 * budget + rng.normal(0, 0.5)
    signed = {"metric_signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.5.1"}
    yield row(identity, "test", metric, bleu) | signed
    yield row(identity, "test", "chrf", 20 + bleu)
    yield row(identity, "valid", "perplexity", 200 / (1 + bleu))
    yield row(identity, "valid", "masked_vs_removed_max_abs", 2e-6)
    yield row(identity, "", "parameters", 3_150_000 + 66_000 * budget)
    yield row(identity, "", "latency_ms", latency) | {
        "batch_size": 1,
        "q25": latency - 0.6,
        "q75": latency + 0.8,
    }
    yield row(identity, "", "throughput", 9e4 / latency) | {
        "batch_size": 64,
        "q25": 9e4 / latency,
        "q75": 9e4 / latency,
    }


def row(identity: dict, split: str, metric: str, value: float) -> dict:
    """One row of cells.parquet."""
    blank = {
        "batch_size": None,
        "q25": np.nan,
        "q75": np.nan,
        "status": "ok",
        "reason": "",
        "metric_signature": "",
    }
    counts = {"heads_kept": identity["budget"], "n_heads": N_HEADS}
    return identity | counts | {"split": split, "metric": metric, "value": value, "unit": ""} | blank


def mask(cell: Cell, rng: np.random.Generator) -> Iterator[dict]:
    """One row per head: exactly `budget` kept, by a score that favours cross-attention and upper layers."""
    method, _, budget, _ = cell
    heads = [(kind, layer, index) for kind in TYPES for layer in range(LAYERS) for index in range(HEADS)]
    noise = rng.gumbel(size=N_HEADS)
    fixed = np.random.default_rng(len(method)).normal(size=N_HEADS)
    taste = np.array([TASTE[kind] + 0.3 * layer for kind, layer, _ in heads])
    score = noise if method == "random" else 0.6 * noise + taste + fixed
    kept = set(np.argsort(-score)[:budget])
    for i, (kind, layer, index) in enumerate(heads):
        name = f"{kind}.{layer}.{index}"
        yield {"head": name, "type": kind, "layer": layer, "index": index, "kept": i in kept}
