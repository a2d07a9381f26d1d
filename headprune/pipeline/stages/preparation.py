"""Data, and the unpruned models."""

from __future__ import annotations

from headprune import removal
from headprune.config import dataset_from
from headprune.data.staging import STATISTICS
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import checksums
from headprune.pipeline.specification import Spec, bounds_of, dense_identity, dense_path, folder_of
from headprune.pipeline.stages.trainings import arguments_of, run_training, scratch_of, terms_of
from headprune.pipeline.store import Record, kept_or_computed
from headprune.results.provenance import digest, file_sha256


def data(spec: Spec, reporter: Reporter) -> Record:
    """Fetches a corpus where that is needed, and prepares it."""
    dataset = dataset_from(spec["recipe"])
    folder = folder_of(spec) / "data" / spec["dataset"]
    statistics = dataset.prepare(folder, bounds_of(spec))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {"status": "ok", "reason": "", "statistics": statistics, "files": checksums(folder / STATISTICS, files)}


def dense(spec: Spec, reporter: Reporter) -> Record:
    """Trains the unpruned model of a seed; everything but joint methods starts from it."""
    path = dense_path(spec)
    signature = digest(dense_identity(spec))

    def compute() -> Record:
        trained, cost = run_training(spec, arguments_of(spec), signature, reporter)
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

    return kept_or_computed(path.with_suffix(".json"), signature, compute, scratch=scratch_of(spec, signature))
