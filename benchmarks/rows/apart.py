"""A training step as it is run: a process for each, stock fairseq with the allocator as it finds it; and its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import synthetic
import torch

from headprune.system.allocator import ALLOCATOR
from headprune.system.memory import high_water, reset_peak
from rows.base import Line, Settings, lines, take_turns
from rows.step import KINDS, TARGETS, steps

PATHS = [str(folder) for folder in Path(__file__).resolve().parents[1:3]]
WANTED = ("stock", "ungated", "dsp, joint", "dsp, pipelined")


class Apart:
    """One kind of `rows.step` in a process of its own, which does an update when it is told to."""

    def __init__(self, kind: str, settings: Settings) -> None:
        known = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
        given = (kind, settings.threads, settings.seed)
        environment = known | ({} if kind == "stock" else ALLOCATOR)
        program = f"import sys; sys.path[:0] = {PATHS}; from rows.apart import serve; serve(*{given})"
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdin=pipe, stdout=pipe, encoding="utf-8"
        )
        self.told: Mapping[str, float] = {"processor_seconds": 0.0, "mib": 0.0}

    def step(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        self.told = json.loads(self.process.stdout.readline())


def measure(settings: Settings) -> list[Line]:
    trainings = {kind: Apart(kind, settings) for kind in WANTED}
    calls = {kind: training.step for kind, training in trainings.items()}

    def processor() -> float:
        return sum(training.told["processor_seconds"] for training in trainings.values())

    times = take_turns(calls, settings.rounds, warmup=40, processor=processor)
    memory = {kind: training.told["mib"] for kind, training in trainings.items()}
    for training in trainings.values():
        training.process.communicate()
    notes = {kind: f"memory: {mib:.0f} MiB, {mib / memory['stock']:.2f} of stock" for kind, mib in memory.items()}
    return lines("apart", times, "stock", TARGETS, notes)


def serve(kind: str, threads: int, seed: int) -> None:
    """Does an update for every line of the standard input; tells processor time and the growth of the peak memory."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    words = synthetic.dictionary()
    batches = synthetic.batches(words, 40, seed)
    reset_peak()
    before = high_water()
    step = steps(KINDS[kind], words, batches, seed)
    for _ in sys.stdin:
        step()
        told = {"processor_seconds": time.process_time(), "mib": high_water() - before}
        print(json.dumps(told), flush=True)
