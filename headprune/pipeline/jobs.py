"""Running one job: its environment, its receipt, and what happens when it fails."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

import torch

from headprune.models.devices import repeatable
from headprune.naming import unknown
from headprune.pipeline import manifests
from headprune.pipeline.context import Context, ModelContext
from headprune.pipeline.forgetting import statuses
from headprune.pipeline.history import now
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.pipeline.specification import Specification
from headprune.pipeline.store import failure, ledger, write_json
from headprune.results.jobs import JOBS, JobKind
from headprune.results.layout import RunFolder
from headprune.system.files import discard
from headprune.system.stopping import contained


def run(kind: str, told: Specification, receipt: Path) -> None:
    """Runs a job in this process and writes its receipt, last of all.

    A training that fails, or a test that cannot be read, is a receipt with status and reason: the cells that need it
    become rows that say so. Without data there is nothing to go on with: that error ends the run.

    :param told: its specification
    :raises ValueError: an unknown kind of job.
    """
    if kind not in JOBS:
        raise ValueError(unknown("job", kind, JOBS))
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    torch.set_num_threads(1)  # small models gain nothing from a second thread; the result depends on the number
    repeatable()
    if folder := os.environ.get("HEADPRUNE_SUPERVISED"):
        ledger.open(Path(folder))
    reporter = Reporter(Path(told["results"]), told["job"], before=time.process_time())
    started = now()
    context, record = attempt(JOBS[kind], told, reporter)
    manifests.note(context, receipt, started, reporter.seconds)
    write_json(receipt, record | {"job": told["job"]} | {key: told[key] for key in ("planned",) if key in told})
    if statuses(record) == {"ok"}:  # nobody goes on with what an earlier code, or another machine, has begun
        for abandoned in RunFolder(Path(told["results"])).trainings(told["job"]):
            discard(abandoned)
    reporter.finish()


def attempt(kind: JobKind, told: Specification, reporter: Reporter) -> tuple[Context, Record]:
    """Computes what a kind of job computes, `headprune.pipeline.stages`; the record of a failure where that fails.

    :raises Exception: that of a job without which nothing can go on.
    """
    stage = import_module(f"headprune.pipeline.stages.{kind.stage or kind.name}")
    context: Context = ModelContext.of(told) if "model" in kind.told else Context.of(told)
    try:
        with contained():
            return context, stage.run(context, reporter)
    except Exception as error:
        if kind.final:
            ledger.end(error)
            raise
        traceback.print_exc()
        return context, failure(error)
