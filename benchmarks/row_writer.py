"""`headprune job …` without models: everything around a cell is done, what is computed in it is made up.

`scale.py overhead` puts this in the place of the command line. Starting the process and importing torch and fairseq,
reading specification and method files, signatures, records, receipts and progress are the real ones.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

from simulation import pruned_record, speed_record, test_record

from headprune.system.allocator import ALLOCATOR

os.environ.update(ALLOCATOR)  # read at the start of the process; set so that it does not start again

from headprune import __main__
from headprune.config import Model
from headprune.method import Pruning
from headprune.pipeline import stages, supervisor
from headprune.pipeline.specification import cell_folder, cells_of, dense_path
from headprune.pipeline.stages import scoring, testing
from headprune.pipeline.store import write_bytes, write_json
from headprune.results.provenance import file_sha256
from headprune.training.costs import Cost


class NoModel:
    """In the place of every model."""

    def to(self, device: Any) -> NoModel:
        return self


def dense(spec: Any, reporter: Any) -> Any:
    write_bytes(dense_path(spec), b"no model")
    record = {"status": "ok", "reason": "", "signature": "", "seconds": 1.0, "sha256": file_sha256(dense_path(spec))}
    write_json(dense_path(spec).with_suffix(".json"), record)
    return record


def find_masks(spec: Any, entry: Any, method: Any, model: Any, cells: list[Any]) -> Any:
    space = Model(**spec["settings"]).architecture.head_space
    found = {c.budget: Pruning(space.keep(random.Random(c.id).sample(range(len(space)), c.budget))) for c in cells}
    return found, Cost()


def prune(spec: Any, cell: Any, model: Any, pruning: Any) -> Any:
    return pruned_record(pruning.mask.space, cell, random.Random(cell.id))


def evaluate(spec: Any, cell: Any, *arguments: Any) -> Any:
    scores = test_record(25 * (cell.budget / cell.n_heads) ** 0.5)
    return {name: value for name, value in scores.items() if isinstance(value, list)}


def speed(spec: Any, reporter: Any) -> Any:
    for cell in cells_of(spec):
        write_json(cell_folder(spec, cell) / "speed.json", speed_record(cell))
    return {"status": "ok", "reason": ""}


stages.dense, stages.speed = dense, speed
scoring.find_masks, scoring.prune = find_masks, prune
testing.evaluate = evaluate
scoring.removal.load = lambda path: NoModel()


def main() -> None:
    """The parent of a job is the real one; what it starts is this file again."""
    if sys.argv[1:2] == ["job"] and supervisor.FOLDER not in os.environ:
        parent = supervisor.job_supervisor(sys.argv[1:], {})
        parent.command[1:3] = [__file__]
        sys.exit(parent.run())
    sys.argv[0] = str(Path(sys.executable).parent / "headprune")
    __main__.main()


if __name__ == "__main__":
    main()
