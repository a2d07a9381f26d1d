"""Rough estimates of the time and cores that jobs take, before anything has run."""

from __future__ import annotations

from headprune.pipeline.cells import Job
from headprune.pipeline.plan import Plan
from headprune.results.jobs import JOBS, JobKind
from headprune.settings import AnySubject, GivenSubject
from headprune.tasks import TASKS

# Seconds of one core per update, token and parameter of training, and per cell of everything else; measured on small
# models, good for an estimate within a factor of two.
TRAINING_COST = 8e-11
CELL_COST = 8.0
START_UP = 6.0
PREPARATION = 10.0


def seconds(plan: Plan, job: Job) -> float:
    """Seconds of one core that a job takes."""
    kind = JOBS[job.kind]
    if opens(plan, kind, job.model):
        return START_UP
    if kind.trains:
        return START_UP + updates(plan, job) * update_cost(plan, job.model, kind) + CELL_COST / 2
    if kind.tunes:
        return START_UP + len(job_budgets(plan, job)) * CELL_COST / 4
    if kind.of_cells:
        return START_UP + len(plan.cells_in(job)) * (CELL_COST if kind.step == "test" else CELL_COST / 4)
    if kind.step == "ablated":
        return START_UP + plan.config.models[job.model].architecture.n_heads * CELL_COST
    return START_UP + PREPARATION


def threads(plan: Plan, job: Job, cores: int) -> int:
    """Cores that a job takes of so many."""
    return cores if JOBS[job.kind].alone else workers(plan, JOBS[job.kind], job.model)


def workers(plan: Plan, kind: JobKind, model: str) -> int:
    """Processes that share the trainings of a job, a core each; 1 where it trains nothing."""
    if not kind.trains or opens(plan, kind, model):
        return 1
    return trained_by(plan, kind, model).training.workers


def opens(plan: Plan, kind: JobKind, model: str) -> bool:
    """Return whether a job only opens a model, or weights, that are given."""
    if kind.step == "pretrained":
        start = plan.config.models[model].begins_with
        return start is not None and start.checkpoint is not None
    return kind.step == "trained" and isinstance(plan.config.models[model], GivenSubject)


def trained_by(plan: Plan, kind: JobKind, model: str) -> AnySubject:
    """The section of a model as a kind of job trains it: its pre-training stands for its training."""
    settings = plan.config.models[model]
    start = settings.begins_with if kind.step == "pretrained" else None
    if start is None or start.pretraining is None:
        return settings
    return settings.model_copy(update={"training": start.pretraining})


def updates(plan: Plan, job: Job) -> int:
    """Updates of all trainings of a job."""
    grid, dense = plan.grid, trained_by(plan, JOBS[job.kind], job.model).training.updates
    if not job.label:
        return dense
    method, treatment = grid.method(job.label), grid.treatment(job.label)
    if treatment is not None:
        return (treatment.updates or dense) * len(plan.cells_in(job))
    own = method.updates_of_training(dense)
    if job.budget is not None:
        return own
    budgets = job_budgets(plan, job)
    if grid.kind(job.label) == "gates":
        return own * len(budgets)
    if plan.shared_trial(job) if job.trial is not None else plan.shares_with(job.model, job.label, job.seed or 0):
        return 0
    searched = grid.entry(job.label).method.coefficient  # type: ignore[attr-defined]
    most = method.most_trainings(dense)
    sweep = len(method.sweep[:most])
    further = min(2, method.trials if most is None else min(method.trials, most - sweep))
    return own * (sweep + further * len(budgets) if searched else 1)


def job_budgets(plan: Plan, job: Job) -> list[int]:
    """The budgets that a job of an entry finds masks for: those of its trials, or its own; none if it finds none."""
    if job.trial is not None and plan.config.tuning is not None:
        return plan.config.tuning.budgets
    return [] if JOBS[job.kind].tunes else plan.grid.budgets(job.label, job.model)


def update_cost(plan: Plan, model: str, kind: JobKind) -> float:
    """Seconds of one update of a kind of job."""
    return TRAINING_COST * update_size(plan, model, kind)


def update_size(plan: Plan, model: str, kind: JobKind) -> float:
    """Tokens of one update of a kind of job, times the parameters that each goes through."""
    settings = trained_by(plan, kind, model)
    tokens, parameters = TASKS[settings.track].update(settings, plan.config.datasets[settings.dataset])
    return float(settings.training.update_freq * tokens * parameters)
