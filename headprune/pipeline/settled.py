"""Jobs that compute cells of several entries, and whether one that has run has done all that is asked of it.

Its receipt keeps what was asked, by cell. As long as a profile asks for no more, Snakemake is shown the job as it ran:
an entry that is taken out of the profile runs nothing again but what is made of all cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from headprune.pipeline.cells import Job
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import GRID, specification
from headprune.pipeline.store import read_json
from headprune.results.jobs import JOBS
from headprune.results.provenance import digest

ELSEWHERE = ("results", "job", "cells", "methods", "directories")  # of a specification: not of every cell, or of none


class Settled:
    """The jobs of a plan as Snakemake is to see them. Files are looked at once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._known: dict[Job, Mapping[str, Any]] = {}

    def specification(self, job: Job) -> dict[str, Any]:
        """The specification of a job; shared ones with what its receipt is to keep."""
        told = {"planned": dict(self.planned(job))} if JOBS[job.kind].shared else {}
        return specification(self.plan, job) | told

    def key(self, job: Job) -> str:
        """Changes when the job has to run again for what it is told, not for what it computes beyond that."""
        return str(self.planned(job)["key"]) if JOBS[job.kind].shared else digest(specification(self.plan, job))

    def needs(self, job: Job) -> list[str]:
        """Receipts that the job waits for, or a shared one waited for when it ran."""
        if not JOBS[job.kind].shared:
            return self._needs(job)
        found = self.planned(job)["needs"]
        mine = set(self._needs(job))
        return [receipt for receipt in found if receipt in mine or (self.plan.folder / receipt).exists()]

    def planned(self, job: Job) -> Mapping[str, Any]:
        """The demands on a shared job by cell, the key of all of it, and the receipts that it needs."""
        if job not in self._known:
            self._known[job] = self._planned(job)
        return self._known[job]

    def _planned(self, job: Job) -> Mapping[str, Any]:
        asked, needs = self.asked(job), self._needs(job)
        path = self.plan.run.receipt(job.name)
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            before = read_json(path)["planned"]
            if asked.items() <= before["asked"].items() and set(needs) <= set(before["needs"]):
                return {key: before[key] for key in ("key", "asked", "needs")}
        return {"key": digest(asked), "asked": asked, "needs": needs}

    def asked(self, job: Job) -> dict[str, str]:
        """Digests by cell of all that its part of the job depends on beside the inputs."""
        spec, grid = specification(self.plan, job), self.plan.grid
        common = {key: value for key, value in spec.items() if key not in ELSEWHERE}
        found = {}
        for label in self.plan.labels_in(job):
            own: dict[str, Any] = {}
            if JOBS[job.kind].finds_masks:  # the others see the method by what it has left
                entry = grid.entry(label)
                method = grid.method(label).model_dump(exclude_defaults=True, exclude=GRID)
                own = {"method": method, "file_sha256": entry.sha256}
            for cell in grid.cells_of(job.model, label, job.seed or 0):
                found[cell.id] = digest({**common, **own, "cell": vars(cell)})
        return found

    def _needs(self, job: Job) -> list[str]:
        return [need.receipt for need in self.plan.needs(job)]
