"""The job that trains an unpruned model, or opens the one that is given."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from headprune import removal
from headprune.checkpoints import open_model, outline_of
from headprune.pipeline.context import ModelContext
from headprune.pipeline.identity import dense_identity
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, checksums
from headprune.pipeline.stages.trainings import arguments_of, run_training, terms_of
from headprune.pipeline.store import kept_or_computed
from headprune.results.provenance import digest, file_sha256
from headprune.settings import GivenSubject


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Trains or opens the unpruned model of a seed; everything but joint methods starts from it."""
    signature = digest(dense_identity(context))
    given = isinstance(context.settings, GivenSubject)
    compute = partial(opened, context) if given else partial(train, context, signature, reporter)
    return kept_or_computed(context.dense, signature, compute, scratch=context.scratch(signature))


def train(context: ModelContext, signature: str, reporter: Reporter) -> Record:
    """One training, its model saved."""
    beginning = context.beginning()
    trained = run_training(context, arguments_of(context), signature, reporter, beginning.checkpoint)
    path = context.checkpoint
    removal.save(trained.model, path)
    return {
        "seconds": beginning.seconds + trained.spent.seconds,
        "peak_memory_mib": trained.spent.memory,
        "updates": trained.updates,
        "curve": trained.curve,
        "trainings": terms_of(trained),
        "sha256": file_sha256(path),
        "files": checksums(path, [path]),
    }


def opened(context: ModelContext) -> Record:
    """The model of a checkpoint, saved as a trained one is. Nothing is known of what its training cost.

    :raises ValueError: the file has changed since the run was planned, or its dictionaries are others than those of
        the data.
    """
    assert isinstance(context.settings, GivenSubject)
    place = Path(context.settings.place(context.seed))
    outline = outline_of(place)
    if outline.sha256 != context.told["content"]:
        raise ValueError(f"{place} has changed since the run was planned: call snakemake again")
    model = open_model(place, context.corpus.binarised).model
    context.work.require_words(model, context.corpus)
    removal.save(model, context.checkpoint)
    return {
        "seconds": None,
        "given": outline.provenance,
        "sha256": file_sha256(context.checkpoint),
        "files": checksums(context.checkpoint, [context.checkpoint]),
    }
