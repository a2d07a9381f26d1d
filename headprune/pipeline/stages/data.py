"""The job that prepares a dataset."""

from __future__ import annotations

from headprune.config import dataset_from
from headprune.pipeline.context import Context
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, checksums


def run(context: Context, reporter: Reporter) -> Record:
    """Fetches a corpus where that is needed, and prepares it."""
    folder = context.run.dataset(context.dataset)
    statistics = dataset_from(context.told["recipe"]).prepare(folder, context.bounds)
    files = [path for path in folder.rglob("*") if path.is_file()]
    told = checksums(context.run.statistics(context.dataset), files)
    return {"status": "ok", "reason": "", "statistics": statistics, "files": told}
