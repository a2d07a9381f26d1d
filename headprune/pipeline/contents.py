"""The subjects that the results of a profile will have once it has run."""

from __future__ import annotations

from headprune.analysis.tables import UNPRUNED
from headprune.analysis.topics import Contents
from headprune.pipeline.estimate import opens
from headprune.pipeline.plan import Plan
from headprune.results.jobs import JOBS


def contents(plan: Plan) -> Contents:
    """The contents of a plan's results, for the figures and tables to be drawn of them.

    :returns: the same as `headprune.analysis.published.contents` says of the finished results, if every cell has one
    """
    return Contents(
        lines=frozenset((method.name, method.arm) for method in plan.config.methods if method.name != UNPRUNED),
        treatments=any(plan.grid.treatment(label) is not None for label in plan.grid.labels),
        trials=any(plan.grid.kind(label) == "search" for label in plan.grid.labels),
        curves=any(JOBS[job.kind].trains and not opens(plan, JOBS[job.kind], job.model) for job in plan.jobs),
        ablations=bool(plan.config.ablations),
        tuning=any(plan.grid.tuned_for(model) for model in plan.config.models),
    )
