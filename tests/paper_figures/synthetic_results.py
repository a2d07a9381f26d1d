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
EVERY_ARM = HALF_LIFE | {  # the whole suite
    ("random_balanced", ""): 10.0,
    ("gradient_importance", "signed"): 9.5,
    ("gradient_importance", "unnormalised"): 5.5,
    ("gradient_importance", "position"): 6.2,
    ("gradient_importance", "batch"): 6.8,
    ("confidence", ""): 7.5,
    ("entropy", ""): 8.2,
    ("drop_one", ""): 5.0,
    ("keep_one", ""): 6.5,
    ("greedy", ""): 3.0,
    ("evolutionary", ""): 2.9,
    ("fisher", ""): 5.4,
    ("obs", ""): 3.3,
    ("fluctuation", ""): 5.8,
    ("dsp", "continued"): 2.4,
    ("ste", "plain"): 4.2,
    ("ste", "gumbel"): 3.6,
    ("ste", "relaxed"): 3.4,
    ("l0", "pipelined"): 4.4,
    ("l0", "joint"): 3.1,
    ("l0", "continued"): 2.7,
    ("l0", "at_k"): 3.2,
    ("lagrangian_l0", ""): 2.8,
    ("movement", ""): 3.5,
    ("drophead", ""): 4.8,
    ("layerwise_l0", "continued"): 2.5,
    ("layerwise_l0", "no_warmup"): 3.0,
    ("layerwise_l0", "no_initialisation"): 3.6,
    ("layerwise_l0", "no_scaling"): 2.7,
}
TREATED = tuple(
    (method, f"{arm}+{treatment}")
    for method, arm, treatments in (
        ("magnitude", "", ("ft", "distil", "bc", "twin-draw1", "twin-draw2", "scratch")),
        ("gradient_importance", "one_shot", ("ft", "bc")),
        ("dsp", "joint", ("ft", "twin-draw1", "twin-draw2", "scratch")),
        ("random", "draw1", ("ft",)),
        ("random", "draw2", ("ft",)),
    )
    for treatment in treatments
)
GAIN = {"ft": 0.55, "distil": 0.5, "bc": 0.9, "scratch": 0.6}  # on the half-life; a twin falls like random
SEARCHED = ("pipelined", "joint", "continued")  # arms of l0 that miss the budget
PENALTIES = tuple(10.0**power for power in range(-6, -1))

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
    """The cells that exist, and those of them that fail."""

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
    trials: bool = False

    def cells(self) -> Iterator[Cell]:
        for seed in self.seeds:
            yield "unpruned", "", N_HEADS, seed
            for method, arm in self.arms:
                for budget in self.fewer.get((method, arm), self.budgets):
                    yield method, arm, budget, seed


def whole_suite(budgets: Sequence[int] = (32, 24, 16, 12, 8, 4, 2), seeds: Sequence[int] = (1, 2, 3)) -> Plan:
    """Every arm and treatment, with trials: what the figures must stay readable for."""
    arms = [arm for arm in EVERY_ARM if arm[0] != "cluster_merge"]
    failed = {("ste", "gumbel", budgets[-1], seeds[0]): ("diverged", "loss is NaN at update 311")}
    return Plan(arms=[*arms, *TREATED], budgets=budgets, seeds=seeds, fewer={}, failed=failed, trials=True)


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
    if plan.trials:
        pd.DataFrame(list(trial_rows(plan))).to_csv(folder / "trials.csv", index=False)
        pd.DataFrame(list(trial_mask_rows(plan))).to_csv(folder / "trial_masks.csv", index=False)
        pd.DataFrame(list(curve_rows(plan))).to_csv(folder / "curves.csv", index=False)
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
    method, arm, budget, seed = cell
    budget = achieved(cell)
    identity = identity | {"heads_kept": budget}
    lost = 0.0 if method == "unpruned" else np.exp(-(budget - 1) / half_life(method, arm))
    bleu = max(DENSE_BLEU * (1 - lost) + rng.normal(0, 0.25 + 1.2 * lost), 0.3)
    latency = 21.0 + 0.45 * budget + rng.normal(0, 0.5)
    signed = {"metric_signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.5.1"}
    yield row(identity, "test", metric, bleu) | signed
    yield row(identity, "test", "chrf", 20 + bleu)
    yield row(identity, "valid", "perplexity", 200 / (1 + bleu))
    yield row(identity, "valid", "masked_vs_removed_max_abs", 2e-6)
    yield row(identity, "", "parameters", 3_150_000 + 66_000 * budget)
    yield row(identity, "", "parameters_non_embedding", 2_100_000 + 66_000 * budget)
    yield row(identity, "", "macs_per_token", 1_900_000 + 70_000 * budget)
    forward, backward, seconds = pruning_cost(method, arm, budget)
    dense = 900 + 5 * seed
    joint = arm.startswith("joint")
    yield row(identity, "", "train_seconds", seconds if joint else dense)
    yield row(identity, "", "prune_seconds", 0.0 if joint else seconds * rng.uniform(0.9, 1.1))
    yield row(identity, "", "prune_forward_sentences", forward)
    yield row(identity, "", "prune_backward_sentences", backward)
    yield row(identity, "", "latency_ms", latency) | {
        "batch_size": 1,
        "q25": latency - 0.6,
        "q75": latency + 0.8,
    }
    yield row(identity, "", "throughput", 9e4 / latency) | {
        "batch_size": 64,
        "q25": 8.8e4 / latency,
        "q75": 9.1e4 / latency,
    }


def half_life(method: str, arm: str) -> float:
    """The half-life of a treated mask is that of the mask it was made from, changed by the treatment."""
    base, _, treatment = arm.partition("+")
    if treatment.startswith("twin"):
        return EVERY_ARM["random", "draw1"] * 0.9
    return EVERY_ARM.get((method, base), HALF_LIFE.get((method, base), 5.0)) * GAIN.get(treatment, 1.0)


def achieved(cell: Cell) -> int:
    """Heads kept: fewer or more than asked for where a penalty decides."""
    method, arm, budget, seed = cell
    if method == "l0" and arm in SEARCHED:
        return max(1, min(N_HEADS - 1, budget + (budget * 7 + seed * 5 + len(arm)) % 5 - 2))
    return budget


def pruning_cost(method: str, arm: str, budget: int) -> tuple[int, int, float]:
    """Forward sentences, backward sentences and seconds."""
    if method in ("unpruned", "random", "random_balanced", "magnitude") and "+" not in arm:
        return 0, 0, 0.003
    passes = {"greedy": 600, "evolutionary": 1500, "drop_one": 36, "keep_one": 36}.get(method, 1)
    trained = {
        "dsp": 40,
        "ste": 38,
        "l0": 240,
        "layerwise_l0": 230,
        "lagrangian_l0": 42,
        "movement": 41,
        "drophead": 90,
    }.get(method, 0)
    trained *= 2 if arm.startswith("joint") else 1
    trained += 20 * ("+" in arm)
    backward = 2000 * trained + 2000 * (method in ("gradient_importance", "fisher")) * (9 if arm == "iterative" else 1)
    forward = backward + 2000 * passes * (not trained) + 7 * budget
    return forward, backward, forward / 500


def trial_rows(plan: Plan) -> Iterator[dict]:
    """One row per penalty, training mode and seed: heads fall and perplexity rises with the penalty."""
    for seed in plan.seeds:
        for label in SEARCHED:
            rng = np.random.default_rng([seed, len(label)])
            for number, penalty in enumerate(PENALTIES):
                kept = int(np.clip(N_HEADS - 2 - number * 7.5 + rng.integers(-2, 3), 1, N_HEADS))
                loss = 4 * np.exp(-kept / EVERY_ARM["l0", label])
                yield {
                    **dict(zip(("profile", "model"), plan.groups[0][::3], strict=True)),
                    **{"method": "l0", "label": f"l0.{label}", "seed": seed, "coefficient": penalty},
                    **{"heads_kept": kept, "n_heads": N_HEADS, "perplexity": 5.2 * np.exp(loss)},
                    **{"updates": 1000, "seconds": 60.0, "status": "ok", "reason": "", "signature": f"{number}"},
                }


def trial_mask_rows(plan: Plan) -> Iterator[dict]:
    """The heads of every trial: the lower layers lose theirs first."""
    heads = [(kind, layer, index) for kind in TYPES for layer in range(LAYERS) for index in range(HEADS)]
    order = sorted(heads, key=lambda head: (-head[1], head[2], head[0]))
    for trial in trial_rows(plan):
        kept = set(order[: trial["heads_kept"]])
        common = {
            key: trial[key] for key in ("profile", "model", "method", "label", "seed", "coefficient", "signature")
        }
        for kind, layer, index in heads:
            place = {"head": f"{kind}.{layer}.{index}", "type": kind, "layer": layer, "index": index}
            yield common | place | {"kept": (kind, layer, index) in kept}


def curve_rows(plan: Plan) -> Iterator[dict]:
    """The unpruned model, joint subset pruning at every budget, and every trial: losses that fall, levels that move."""
    profile, _, _, model = plan.groups[0]
    for seed in plan.seeds:
        common = {"profile": profile, "model": model, "seed": seed, "signature": f"{seed}"}
        unpruned = {"method": "unpruned", "arm": "", "label": "unpruned", "updates": 1000, "scheduled": ""}
        yield from curve(common | unpruned, 5.0)
        for budget in plan.fewer.get(("dsp", "joint"), plan.budgets):
            joint = {"method": "dsp", "arm": "joint", "label": "dsp.joint", "budget": budget, "updates": 1000}
            yield from curve(common | joint | {"cooldown": 680, "scheduled": "temperature"}, 5.0 + 4 / budget)
    for trial in trial_rows(plan):
        common = {
            key: trial[key] for key in ("profile", "model", "seed", "method", "label", "coefficient", "signature")
        }
        searched = {"arm": trial["label"].partition(".")[2], "updates": 600, "cooldown": 600, "scheduled": "penalty"}
        yield from curve(common | searched, np.log2(trial["perplexity"]) + 2)


def curve(common: dict, end: float) -> Iterator[dict]:
    """Ten points on train, five on valid."""
    blank = {"budget": None, "coefficient": None, "cooldown": None, "level": None}
    for number in range(1, 11):
        update = common["updates"] * number // 10
        level = {"temperature": 0.1 ** (update / 500), "penalty": common.get("coefficient", 0) or 0.0}
        moved = {"level": level.get(common["scheduled"])}
        for split in ("train", "valid") if number % 2 == 0 else ("train",):
            loss = end + 4 * np.exp(-number / 3) + 0.1 * (split == "valid")
            yield blank | common | moved | {"split": split, "update": update, "loss": loss + 1, "nll_loss": loss}


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
    return counts | identity | {"split": split, "metric": metric, "value": value, "unit": ""} | blank


def mask(cell: Cell, rng: np.random.Generator) -> Iterator[dict]:
    """One row per head: exactly as many kept as achieved, by a score that favours cross-attention and upper layers."""
    method, budget = cell[0], achieved(cell)
    heads = [(kind, layer, index) for kind in TYPES for layer in range(LAYERS) for index in range(HEADS)]
    noise = rng.gumbel(size=N_HEADS)
    fixed = np.random.default_rng(len(method)).normal(size=N_HEADS)
    taste = np.array([TASTE[kind] + 0.3 * layer for kind, layer, _ in heads])
    score = noise if method == "random" else 0.6 * noise + taste + fixed
    kept = set(np.argsort(-score)[:budget])
    for i, (kind, layer, index) in enumerate(heads):
        name = f"{kind}.{layer}.{index}"
        yield {"head": name, "type": kind, "layer": layer, "index": index, "kept": i in kept}
