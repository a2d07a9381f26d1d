"""Running one job: its environment, its receipt, and what happens when it fails."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headprune.pipeline import manifests
from headprune.pipeline.cells import KINDS
from headprune.pipeline.inventory import Inventory
from headprune.pipeline.progress import Reporter
from headprune.pipeline.store import failure, ledger, write_json
from headprune.system.files import discard
from headprune.system.stopping import contained


def run(kind: str, spec: Mapping[str, Any], receipt: Path) -> None:
    """Runs a job in this process and writes its receipt, last of all.

    A training that fails, or a test that cannot be read, is a receipt with status and reason: the cells that need it
    become rows that say so. Without data there is nothing to go on with: that error ends the run.

    :raises ValueError: an unknown kind of job.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown job {kind!r}; available: {', '.join(KINDS)}")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    import torch

    from headprune.models.devices import repeatable
    from headprune.pipeline import stages

    torch.set_num_threads(1)  # small models gain nothing from a second thread; the result depends on the number
    repeatable()
    if folder := os.environ.get("HEADPRUNE_SUPERVISED"):
        ledger.open(Path(folder))
    reporter = Reporter(Path(spec["results"]), spec["job"], before=time.process_time())
    started = manifests.now()
    try:
        with contained():
            record = getattr(stages, kind)(spec, reporter)
    except Exception as error:
        if kind == "data":
            ledger.end(error)
            raise
        traceback.print_exc()
        record = failure(error)
    manifests.note(kind, spec, receipt, started, reporter.seconds)
    write_json(receipt, record | {"job": spec["job"]} | {key: spec[key] for key in ("planned",) if key in spec})
    reporter.finish()


def forget_failures(folder: Path) -> Iterator[Path]:
    """Removes the receipts of jobs in which something failed, or of which something is lost or damaged; with these what
    is damaged, and the records that are of no use without it. Yields what it removed.

    The next call of Snakemake runs these jobs and what comes after them. Whatever is whole they keep; tables stay until
    there are new ones.

    :raises FileNotFoundError: no such folder.
    """
    if not (folder / "jobs").is_dir() and not (folder / "progress").is_dir():
        raise FileNotFoundError(f"{folder} holds neither jobs/ nor progress/: it is not a results folder")
    inventory = Inventory(folder)
    damages = list(inventory.damages())
    failed = {job for job, receipt in inventory.receipts.items() if statuses(receipt) != {"ok"}}
    again = failed | {damage.job for damage in damages} & set(inventory.receipts)
    doomed = [path for damage in damages for path in (damage.path, damage.record) if path is not None]
    for path in dict.fromkeys([*(folder / "jobs" / f"{job}.json" for job in sorted(again)), *doomed]):
        if remove(path):
            yield path


def remove(path: Path) -> bool:
    """Removes a file, or a folder with all that is in it; whether there was one."""
    if path.is_dir() and not path.is_symlink():
        discard(path)
        return True
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def statuses(receipt: Mapping[str, Any]) -> set[str]:
    """Status of a job and of its cells."""
    cells = receipt.get("cells")
    return {receipt["status"], *(cell["status"] for cell in (cells.values() if isinstance(cells, dict) else ()))}
