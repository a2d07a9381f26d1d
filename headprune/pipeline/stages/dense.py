"""The job that trains an unpruned model."""

from __future__ import annotations

from functools import partial

from headprune import removal
from headprune.pipeline.context import ModelContext
from headprune.pipeline.identity import dense_identity
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, checksums
from headprune.pipeline.stages.trainings import arguments_of, run_training, terms_of
from headprune.pipeline.store import kept_or_computed
from headprune.results.provenance import digest, file_sha256


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Trains the unpruned model of a seed; everything but joint methods starts from it."""
    signature = digest(dense_identity(context))
    compute = partial(train, context, signature, reporter)
    return kept_or_computed(context.dense, signature, compute, scratch=context.scratch(signature))


def train(context: ModelContext, signature: str, reporter: Reporter) -> Record:
    """One training, its model saved."""
    trained, cost = run_training(context, arguments_of(context), signature, reporter)
    path = context.checkpoint
    removal.save(trained.model, path)
    return {
        "seconds": cost.seconds,
        "peak_memory_mib": cost.memory,
        "updates": trained.updates,
        "curve": trained.curve,
        "trainings": terms_of(trained),
        "sha256": file_sha256(path),
        "files": checksums(path, [path]),
    }
