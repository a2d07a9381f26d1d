"""The arguments of `fairseq-train` for what trainings of all tasks share: optimisation, gates, pruned architectures."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headprune.heads import HeadMask, Scope
from headprune.settings import Optimisation
from headprune.training import distributed


@dataclass(frozen=True)
class GateRun:
    """A training of gates as `GateTraining` needs to know it."""

    method: str
    options: Mapping[str, Any]
    budget: int  # of the heads in the scope
    seed: int
    learning_rate: float
    cooldown: int  # updates before which no checkpoint is selected
    pipelined: bool
    scope: Scope = field(default_factory=Scope)
    directories: tuple[str, ...] = ()
    schedule: Literal["constant", "model"] = "constant"  # of the learning rate


def optimisation_arguments(t: Optimisation) -> list[Any]:
    """The arguments that all tasks share."""
    argv: list[Any] = ["--optimizer", f"gated_{t.optimiser}", "--weight-decay", t.weight_decay]
    argv += [f"--{t.optimiser}-betas", f"(0.9, {t.beta2})", "--lr", t.learning_rate, "--clip-norm", t.clip_norm]
    argv += [*schedule_arguments(t), "--update-freq", t.update_freq, "--max-update", t.updates]
    argv += ["--bf16", "--fp16-no-flatten-grads"] if t.precision == "bf16" else []
    return [*argv, *distributed.arguments(t.workers)]


def fast_arguments(optimiser: str) -> list[str]:
    """Arguments that make a training fast, and differ from stock fairseq's by rounding and by the draws of dropout
    (docs/performance.md); without them it is stock fairseq's bit for bit.

    :param optimiser: as in `Optimisation`
    """
    return ["--lean", *(["--fused"] if optimiser == "adam" else [])]


def shape_arguments(known: Mapping[str, Any], usual: Mapping[str, Any], left_out: Collection[str] = ()) -> list[Any]:
    """Arguments that describe a model which somebody has, as its checkpoint does.

    :param known: settings of the model, flat
    :param usual: those of a model that nothing is said of; an option that is true or false is named where it differs
    :param left_out: settings that are no options
    """
    argv: list[Any] = []
    for key, value in known.items():
        option = f"--{key.replace('_', '-')}"
        if key in left_out or value is None:
            continue
        if isinstance(value, bool):
            argv += [option] if value != usual[key] else []
        else:
            argv += [option, ",".join(map(str, value)) if isinstance(value, list) else value]
    return argv


def schedule_arguments(t: Optimisation) -> list[Any]:
    """Arguments of the learning rate: a linear warm-up, then constant, down to 0 at the last update (linearly or by a
    cosine), or as the inverse square root of the update, whose warm-up is one update at least."""
    if t.schedule == "constant":
        return ["--lr-scheduler", "fixed", "--warmup-updates", t.warmup]
    if t.schedule == "linear":
        argv: list[Any] = ["--lr-scheduler", "polynomial_decay", "--warmup-updates", t.warmup]
        return [*argv, "--total-num-update", t.updates, "--end-learning-rate", 0]
    if t.schedule == "cosine":
        return ["--lr-scheduler", "cosine", "--warmup-updates", t.warmup, "--max-update", t.updates]
    return ["--lr-scheduler", "inverse_sqrt", "--warmup-updates", max(t.warmup, 1)]


def gate_arguments(gates: GateRun, updates: int) -> list[str]:
    """Arguments that a gate method adds to those of an unpruned model."""
    argv: list[Any] = ["--gate-method", gates.method, "--gate-options", json.dumps(dict(gates.options))]
    argv += ["--gate-budget", gates.budget, "--gate-total-updates", updates, "--gate-seed", gates.seed]
    argv += ["--gate-lr", gates.learning_rate, "--gate-schedule", gates.schedule]
    argv += ["--validate-after-updates", gates.cooldown]
    argv += ["--gate-types", ",".join(gates.scope.types), "--gate-min-per-module", gates.scope.min_per_module]
    argv += ["--gate-pipelined"] if gates.pipelined else []
    argv += ["--gate-methods", ":".join(gates.directories)] if gates.directories else []
    return [str(argument) for argument in argv]


def pruned_arguments(mask: HeadMask) -> list[str]:
    """Arguments that make the model of others one that has the heads of `mask` only."""
    return ["--keep-heads", json.dumps(mask.kept_indices())]


def distillation_arguments(teacher: Path, weight: float, temperature: float) -> list[str]:
    """Arguments that make a training learn from another model, too; see `DistilledCrossEntropy`."""
    argv: list[Any] = ["--criterion", "distilled_label_smoothed_cross_entropy", "--teacher", teacher]
    return [str(argument) for argument in [*argv, "--distillation", weight, "--distillation-temperature", temperature]]
