"""The job that makes the weights which the trainings of a model begin with: by pre-training, or from a checkpoint."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from headprune import removal
from headprune.pipeline.context import ModelContext
from headprune.pipeline.identity import pretrained_identity
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, checksums
from headprune.pipeline.stages.trainings import run_training, terms_of
from headprune.pipeline.store import kept_or_computed
from headprune.results.provenance import digest, file_sha256
from headprune.settings import Optimisation


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Pre-trains the model of a seed, or opens the checkpoint; all trainings of new models begin with it."""
    start, signature = context.settings.begins_with, digest(pretrained_identity(context))
    assert start is not None
    if start.pretraining is not None:
        compute = partial(pretrained, context, start.pretraining, signature, reporter)
    else:
        compute = partial(opened, context, Path(str(start.checkpoint)))
    path = context.run.pretrained(context.model, context.seed)
    return kept_or_computed(path, signature, compute, scratch=context.scratch(signature))


def pretrained(context: ModelContext, settings: Optimisation, signature: str, reporter: Reporter) -> Record:
    """One training, its model saved."""
    argv = context.work.pretraining_arguments(context.corpus, context.settings.architecture, settings)
    trained = run_training(context, argv, signature, reporter, settings=settings)
    spent = trained.spent
    told = {"seconds": spent.seconds, "peak_memory_mib": spent.memory, "updates": spent.updates}
    return told | {"curve": trained.curve, "trainings": terms_of(trained)} | _saved(context, trained.model)


def opened(context: ModelContext, place: Path) -> Record:
    """The weights of a checkpoint, saved as pre-trained ones are. Nothing is known of what their training cost.

    :raises ValueError: the file has changed since the run was planned, or does not fit the architecture or the data.
    """
    if file_sha256(place) != context.told["content"]:
        raise ValueError(f"{place} has changed since the run was planned: call snakemake again")
    model = context.work.begun(context.corpus, context.settings.architecture, place)
    return {"seconds": None, "given": {"sha256": context.told["content"]}} | _saved(context, model)


def _saved(context: ModelContext, model: Any) -> Record:
    path = context.run.pretrained(context.model, context.seed).with_suffix(".pt")
    removal.save(model, path)
    return {"sha256": file_sha256(path), "files": checksums(path, [path])}
