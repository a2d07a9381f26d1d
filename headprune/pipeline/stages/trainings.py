"""Trainings of a job: their arguments, their folder, their cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headprune.config import GridEntry
from headprune.pipeline.context import ModelContext
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.settings import Optimisation
from headprune.system.files import discard
from headprune.training.checkpoints import ResumePoints
from headprune.training.costs import Cost
from headprune.training.trainer import DivergedError, Trained, train


def cost_of(record: Record) -> Cost:
    """The cost of finding the mask of a cell, by its record."""
    return Cost(
        seconds=record["prune_seconds"],
        memory=record["peak_memory_mib"],
        forward=record["prune_forward_sentences"],
        backward=record["prune_backward_sentences"],
        updates=record["prune_updates"],
    )


def cost_entries(cost: Cost, train_seconds: float | None) -> Record:
    """The entries of the record of a cell whose mask cost this.

    :param train_seconds: of the model it was found for; None: not known
    """
    return {
        "train_seconds": train_seconds,
        "prune_seconds": cost.seconds,
        "prune_forward_sentences": cost.forward,
        "prune_backward_sentences": cost.backward,
        "prune_updates": cost.updates,
        "peak_memory_mib": cost.memory,
    }


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
) -> Trained:
    """Trains in a folder of its own, which stays until the record of what became of the model is written.

    :param start: model to train on; None: random weights
    :param settings: of the training; None: those of the model's
    :raises DivergedError: the training has no finite loss
    """
    every, execution = (settings or context.settings.training).checkpoint_every, context.execution
    points = ResumePoints(execution.checkpoint_updates, execution.checkpoint_minutes)
    scratch = context.scratch(signature)
    try:
        return train(argv, scratch, context.seed, start, every, reporter.update, points)
    except DivergedError:
        discard(scratch)  # nothing is to be had from where it stopped
        raise
