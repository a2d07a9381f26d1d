"""Forgetting what failed in a run, or is lost or damaged, so that the next call of Snakemake computes it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headprune.pipeline.inventory import Inventory
from headprune.results.layout import RunFolder
from headprune.system.files import discard


def forget_failures(folder: Path) -> Iterator[Path]:
    """Removes the receipts of jobs in which something failed, or of which something is lost or damaged; with these what
    is damaged, and the records that are of no use without it. Yields what it removed.

    The next call of Snakemake runs these jobs and what comes after them. Whatever is whole they keep; tables stay until
    there are new ones.

    :raises FileNotFoundError: no such folder.
    """
    run = RunFolder(folder)
    run.require()
    inventory = Inventory(folder)
    damages = list(inventory.damages())
    failed = {job for job, receipt in inventory.receipts.items() if statuses(receipt) != {"ok"}}
    again = failed | {damage.job for damage in damages} & set(inventory.receipts)
    doomed = [path for damage in damages for path in (damage.path, damage.record) if path is not None]
    for path in dict.fromkeys([*map(run.receipt, sorted(again)), *doomed]):
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
