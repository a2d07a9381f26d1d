"""A training step of a language model of the size of `quick`, ours and by fairseq's own loss and Adam."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import synthetic
import torch

from headprune.models.streaming_lm import StreamingTask
from headprune.training.arguments import fast_arguments
from headprune.training.trainer import configuration
from rows.base import Line, Settings, lines, take_turns

VOCABULARY, ROWS, SEGMENT, WIDTH, LAYERS, HEADS = 7808, 8, 64, 128, 4, 8
BUDGET, UPDATES = 16, 300
GATES = ("--gate-budget", str(BUDGET), "--gate-total-updates", str(UPDATES), "--gate-lr", "0.2")
KINDS = {
    "plain": [],
    "fast": fast_arguments("adam"),
    "dsp, pipelined, plain": ["--gate-method", "dsp", *GATES, "--gate-pipelined"],
    "dsp, pipelined": [*fast_arguments("adam"), "--gate-method", "dsp", *GATES, "--gate-pipelined"],
    "layerwise_l0": [*fast_arguments("adam"), "--gate-method", "layerwise_l0", *GATES],
}


def arguments(*more: str) -> list[str]:
    """Arguments of `fairseq-train`: the recipe of `quick`."""
    argv: list[Any] = ["none", "--task", "streaming_lm", "--tokens-per-sample", SEGMENT, "--batch-size", ROWS]
    argv += ["--arch", "all_attention_lm", "--layers", LAYERS, "--width", WIDTH, "--heads", HEADS]
    argv += ["--persistent", WIDTH, "--initialisation", "sukhbaatar", "--memory-length", SEGMENT]
    argv += ["--max-relative", SEGMENT + 1, "--dropout", 0, "--attention-dropout", 0, "--word-dropout", 0]
    argv += ["--input-dropout", 0.05, "--output-dropout", 0.05, "--criterion", "gated_cross_entropy"]
    argv += ["--optimizer", "gated_adam", "--adam-betas", "(0.9, 0.98)", "--lr", 0.003, "--clip-norm", 0.5]
    argv += ["--lr-scheduler", "cosine", "--warmup-updates", 60, "--max-update", 1500, *more]
    return [str(argument) for argument in argv]


def steps(more: list[str], batches: list[Any], seed: int) -> Callable[[], Any]:
    """A function that does the next update."""
    words = synthetic.dictionary(VOCABULARY)
    cfg = configuration([*arguments(*more), "--seed", str(seed)])
    task = StreamingTask.__new__(StreamingTask)
    task.__dict__ |= {"cfg": cfg.task, "dictionary": words, "_model": None, "datasets": {}, "state": Namespace()}
    return synthetic.updates(cfg, task, batches, seed)


def made_up(seed: int, number: int = 20) -> list[dict[str, Any]]:
    """Segments of random words, whose frequencies fall as Zipf's law says."""
    generator = np.random.default_rng(seed)
    frequencies = 1 / np.arange(1, VOCABULARY - 3)
    shape = (number, ROWS, SEGMENT + 1)
    drawn = torch.from_numpy(generator.choice(len(frequencies), shape, p=frequencies / frequencies.sum()) + 4)
    return [
        {
            "id": torch.arange(ROWS),
            "nsentences": ROWS,
            "ntokens": ROWS * SEGMENT,
            "net_input": {"src_tokens": rows[:, :-1].contiguous(), "start": position == 0},
            "target": rows[:, 1:].contiguous(),
        }
        for position, rows in enumerate(drawn)
    ]


def measure(settings: Settings) -> list[Line]:
    batches = made_up(settings.seed)
    times = take_turns(
        {kind: steps(more, batches, settings.seed) for kind, more in KINDS.items()}, settings.rounds, warmup=3
    )
    return lines("language_model", times, "plain", notes={"plain": f"{ROWS * SEGMENT} target tokens a step"})
