"""The subjects that the results of a profile will have once it has run."""

from __future__ import annotations

from headprune.analysis.tables import UNPRUNED
from headprune.analysis.topics import Contents
from headprune.pipeline.plan import Plan


def contents(plan: Plan) -> Contents:
    """The contents of a plan's results, for the figures and tables to be drawn of them.

    Every profile trains, so there are curves to be expected.

    :returns: the same as `headprune.analysis.published.contents` says of the finished results, if every cell has one
    """
    return Contents(
        lines=frozenset((method.name, method.arm) for method in plan.config.methods if method.name != UNPRUNED),
        treatments=any(plan.grid.treatment(label) is not None for label in plan.grid.labels),
        trials=any(plan.grid.kind(label) == "search" for label in plan.grid.labels),
        curves=True,
        ablations=bool(plan.config.ablations),
        tuning=any(plan.grid.tuned_for(model) for model in plan.config.models),
    )
