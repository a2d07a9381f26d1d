"""Trainings of a job: their arguments, their folder, their cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.config import GridEntry
from headprune.pipeline.context import ModelContext
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.settings import Optimisation
from headprune.system.files import discard
from headprune.system.memory import peak_memory
from headprune.training.checkpoints import ResumePoints
from headprune.training.passes import counted_passes
from headprune.training.trainer import DivergedError, Trained, train


@dataclass
class Cost:
    """The cost of a training, or of the search for a mask."""

    seconds: float = 0.0
    memory: float = 0.0  # MiB, peak
    forward: int = 0  # sentences
    backward: int = 0
    updates: int = 0

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        sums = {
            name: getattr(self, name) + getattr(other, name) for name in ("seconds", "forward", "backward", "updates")
        }
        return Cost(memory=max(self.memory, other.memory), **sums)

    @classmethod
    def of(cls, record: Record) -> Cost:
        """The cost of finding the mask of a cell, by its record."""
        keys = {"seconds": "seconds", "forward": "forward_sentences", "backward": "backward_sentences"}
        values = {name: record[f"prune_{key}"] for name, key in (keys | {"updates": "updates"}).items()}
        return cls(memory=record["peak_memory_mib"], **values)

    def record(self, train_seconds: float | None) -> Record:
        """The entries of the record of a cell whose mask cost this.

        :param train_seconds: of the model it was found for; None: not known
        """
        return {
            "train_seconds": train_seconds,
            "prune_seconds": self.seconds,
            "prune_forward_sentences": self.forward,
            "prune_backward_sentences": self.backward,
            "prune_updates": self.updates,
            "peak_memory_mib": self.memory,
        }


@contextmanager
def costed(updates: int = 0) -> Iterator[Cost]:
    """Measures what happens within the context; the cost is complete after it."""
    cost = Cost(updates=updates)
    with peak_memory() as peak, counted_passes() as passes:
        start = time.monotonic()
        yield cost
        cost.seconds = time.monotonic() - start
    cost.memory, cost.forward, cost.backward = peak.mib, passes.forward, passes.backward


def arguments_of(
    context: ModelContext, entry: GridEntry | None = None, updates: int | None = None, update_freq: int | None = None
) -> list[str]:
    """fairseq's arguments for the model of a job.

    :param entry: its learning rate and schedule instead of the model's own
    :param updates: instead of the model's own; the warm-up shrinks in proportion
    :param update_freq: likewise
    """
    training = context.settings.training
    change: dict[str, Any] = {"update_freq": update_freq or training.update_freq}
    if updates is not None:
        change |= {"updates": updates, "warmup": round(training.warmup * updates / training.updates)}
    if entry is not None and entry.learning_rate is not None:
        change["learning_rate"] = entry.learning_rate
    if entry is not None and entry.schedule is not None:
        change["schedule"] = entry.schedule
    changed = training.model_copy(update=change)
    return context.work.arguments(context.corpus, context.settings.architecture, changed)


def terms_of(trained: Trained) -> list[Record]:
    """The entry `trainings` of a record: the terms of its training; see `headprune.training.digests`."""
    return [{"updates": trained.updates, **vars(trained.terms)}]


def run_training(
    context: ModelContext,
    argv: list[str],
    signature: str,
    reporter: Reporter,
    start: Path | None = None,
    settings: Optimisation | None = None,
) -> tuple[Trained, Cost]:
    """Trains in a folder of its own, which stays until the record of what became of the model is written.

    :param start: model to train on; None: random weights
    :param settings: of the training; None: those of the model's
    :raises DivergedError: the training has no finite loss
    """
    every, execution = (settings or context.settings.training).checkpoint_every, context.execution
    points = ResumePoints(execution.checkpoint_updates, execution.checkpoint_minutes)
    scratch = context.scratch(signature)
    try:
        trained = train(argv, scratch, context.seed, start, every, reporter.update, points)
    except DivergedError:
        discard(scratch)  # nothing is to be had from where it stopped
        raise
    spent = trained.spent
    return trained, Cost(spent.seconds, spent.memory, spent.forward, spent.backward, trained.updates)
