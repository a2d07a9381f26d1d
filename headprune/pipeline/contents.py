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
    grid, models = plan.grid, plan.config.models
    run = {label for model in models for seed in grid.all_seeds(model) for label in grid.labels_of(model, seed)}
    plain = [grid.method(label) for label in run if grid.treatment(label) is None]
    return Contents(
        lines=frozenset((method.name, method.arm) for method in plain if method.name != UNPRUNED),
        treatments=len(plain) < len(run),
        trials=any(grid.kind(label) == "search" for label in run),
        curves=any(JOBS[job.kind].trains and not opens(plan, JOBS[job.kind], job.model) for job in plan.jobs),
        ablations=any(grid.ablated_seeds(model, each) for model in models for each in plan.config.ablations),
        tuning=any(grid.tuned_for(model) for model in models),
    )
