"""Pruning of somebody's model: heads judged, removed, and what that did to its quality.

The results lie in one folder. What is there already and was asked for in the same way is not computed again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headprune import cost
from headprune.own.early import check
from headprune.own.folders import SUMMARY, Record, refuse_other_results, write
from headprune.own.judging import Judge
from headprune.own.materials import workpiece
from headprune.own.page import page
from headprune.own.request import PruningRequest, budget_of
from headprune.own.rows import Rows
from headprune.own.steps import Steps, Tell
from headprune.own.targets import Reached, Target, UnreachableError, most_tried, search
from headprune.own.terms import terms_of
from headprune.own.tuning import learning_rate


def prune(request: PruningRequest, tell: Tell = lambda done, total, what: None) -> Record:
    """Do what a request asks for; its folder then holds `summary.json`, `summary.md` and a folder of every model.

    A folder with results of the same request gets further rows.

    :returns: the summary
    :raises ValueError: see `check`, `workpiece`, `budget_of` and `search`; nothing is written then, but
        for the rows that a search has tried.
    """
    check(request)
    work = workpiece(request)
    total = len(work.space)
    budgets = sorted({budget_of(text, total) for text in request.keep}, reverse=True)
    each = 2 if request.fine_tune else 1
    steps = Steps(tell, 2 + each * (most_tried(total) if request.target else len(budgets)))
    judge = Judge(work, lambda: steps(f"judging {total} heads by {request.method}"))
    terms = terms_of(work, judge)
    refuse_other_results(request.out, terms)
    if request.fine_tune:
        learning_rate(work)  # refuses what does not tell one
    rows = Rows(work, judge, terms, request.out, steps)
    targets = earlier(request.out)
    try:
        targets |= made(rows, budgets, request.target)
    except UnreachableError:
        if rows.first.kept():
            summarised(rows, targets)
        raise
    return summarised(rows, targets)


def made(rows: Rows, budgets: Sequence[int], target: Target | None) -> Record:
    """Makes the rows that are asked for by their numbers of heads, or by a target.

    :returns: what a target reached, by its text
    """
    if target is None:
        rows.unpruned()
        rows.judge.find(budget for budget in budgets if rows.missing(budget))
        for budget in budgets:
            rows.row(budget)
        return {}
    found = sought(rows, target)
    rows.row(found.heads_kept)
    return {str(target): asdict(found) | {"nested": rows.judge.nested}}


def sought(rows: Rows, target: Target) -> Reached:
    """The pruning that a target asks for. Every number of heads that is tried becomes a row, unless parameters are
    counted, which need no measurement.

    :raises UnreachableError: see `search`.
    """
    total = len(rows.work.space)
    if target.name == "parameters":
        return search(target, total, cost.parameters(rows.work.model), rows.parameters)
    if target.timed:
        return search(target, total, 1.0, lambda budget: float(rows.row(budget)[target.name]))
    return search(target, total, 0.0, lambda budget: lost(rows.unpruned(), rows.row(budget)))


def lost(first: Record, record: Record) -> float:
    """The loss of quality in the metric's own unit: points of BLEU that are gone, perplexity that was gained."""
    metric = metric_of(first)
    change = float(record["scores"][metric] - first["scores"][metric])
    return change if metric == "perplexity" else -change


def metric_of(record: Record) -> str:
    """The metric that stands for quality, the first of a model's scores."""
    return next(iter(record["scores"]))


def earlier(out: Path) -> dict[str, Any]:
    """The outcomes of the targets of earlier calls, by their texts."""
    if not (out / SUMMARY).is_file():
        return {}
    found: dict[str, Any] = json.loads((out / SUMMARY).read_text(encoding="utf-8")).get("targets", {})
    return found


def summarised(rows: Rows, targets: Record) -> Record:
    """Write the summary of all rows that there are, and the page about them.

    :returns: the summary
    """
    work, models = rows.work, rows.all()
    summary = {"terms": rows.terms, "metric": metric_of(models[0]), "models": models, "targets": targets}
    write(rows.out / SUMMARY, json.dumps(summary, indent=2) + "\n")
    write(rows.out / "summary.md", page(work.request, work, summary))
    return summary
