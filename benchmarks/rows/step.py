"""A training step of the size of `quick`, of this library and of stock fairseq: `Trainer.train_step`, whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import synthetic

from rows.base import Line, Settings, lines, take_turns

BUDGET, UPDATES = 12, 300
GATES = ("--gate-budget", str(BUDGET), "--gate-total-updates", str(UPDATES), "--gate-lr", "0.2")


def gated(method: str, *more: str) -> list[str]:
    """Arguments of a training that learns gates, which the whole of the benchmark is too short to close."""
    return synthetic.arguments(*synthetic.OURS, "--gate-method", method, *GATES, *more)


KINDS = {
    "stock": synthetic.arguments(*synthetic.STOCK),
    "ungated": synthetic.arguments(*synthetic.OURS),
    "ungated, plain": synthetic.arguments(*synthetic.PLAIN),
    "dsp, joint": gated("dsp"),
    "ste, joint": gated("ste"),
    "l0, joint": gated("l0"),
    "dsp, pipelined": gated("dsp", "--gate-pipelined"),
}
TARGETS = {"ungated": 0.70, "dsp, joint": 0.72, "ste, joint": 0.72, "l0, joint": 0.72, "dsp, pipelined": 0.50}


def steps(argv: list[str], words: Any, batches: list[Any], seed: int) -> Callable[[], Any]:
    """A function that does the next update."""
    trainer, following = synthetic.trainer(argv, words, seed), cycle(batches)
    return lambda: trainer.train_step([next(following)])


def measure(settings: Settings) -> list[Line]:
    words = synthetic.dictionary()
    batches = synthetic.batches(words, 40, settings.seed)
    calls = {kind: steps(argv, words, batches, settings.seed) for kind, argv in KINDS.items()}
    times = take_turns(calls, settings.rounds, warmup=3)
    tokens = sum(batch["ntokens"] for batch in batches) / len(batches)
    return lines("step", times, "stock", TARGETS, {"stock": f"{tokens:.0f} target tokens a step"})
