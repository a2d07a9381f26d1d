"""What jobs will take, roughly, before anything has run: time, cores, and what they wait for."""

from __future__ import annotations

from headprune.config.schema import TRAININGS
from headprune.pipeline.cells import Job
from headprune.pipeline.plan import Plan
from headprune.tasks import TASKS

# Seconds of one 2.5 GHz core per update, token and parameter of training, and per cell of everything else; measured on
# a small model, good for an estimate within a factor of two.
TRAINING_COST = 1.2e-10
CELL_COST = 8.0
START_UP = 6.0


def seconds(plan: Plan, job: Job) -> float:
    """Seconds of one core that a job takes."""
    if job.kind == "data":
        return START_UP + 10
    if job.kind in ("dense", "gates", "search", "retrain"):
        return START_UP + updates(plan, job) * update_cost(plan, job.model) + CELL_COST / 2
    if job.kind == "ablate":
        return START_UP + plan.config.models[job.model].architecture.n_heads * CELL_COST
    return START_UP + len(plan.cells_in(job)) * (CELL_COST if job.kind == "test" else CELL_COST / 4)


def waits_for(plan: Plan, job: Job) -> list[Job]:
    """The jobs that a job of any kind waits for."""
    seed = job.seed or 0
    if job.kind == "data":
        return []
    if job.kind == "dense":
        return [Job("data", dataset=plan.config.models[job.model].dataset)]
    if job.kind == "test":
        return plan.pruning_jobs(job.model, job.label, seed)
    if job.kind == "speed":
        return [Job("test", job.model, label=batch, seed=seed) for batch in plan.batches(job.model, seed)]
    return plan.needs(job)


def threads(plan: Plan, job: Job, cores: int) -> int:
    """Cores that a job takes of so many; a measurement of speed has the machine to itself."""
    if job.kind == "speed":
        return cores
    return plan.config.models[job.model].training.workers if job.kind in TRAININGS else 1


def updates(plan: Plan, job: Job) -> int:
    """Updates of all trainings of a job."""
    dense = plan.config.models[job.model].training.updates
    if job.kind == "dense":
        return dense
    method, treatment = plan.method(job.label), plan.treatment(job.label)
    if treatment is not None:
        own = dense if treatment.name == "from_scratch" else treatment.updates or dense
        return own * len(plan.cells_in(job))
    own = dense if method.mode == "joint" else method.updates or dense
    if job.kind == "gates":
        return own
    if plan.shares_with(job.model, job.label, job.seed or 0):
        return 0
    searched = plan.entry(job.label).method.coefficient  # type: ignore[attr-defined]
    further = min(2, method.trials) * len(plan.budgets(job.label, job.model))
    return own * (len(method.sweep) + further if searched else 1)


def update_cost(plan: Plan, model: str) -> float:
    """Seconds of one update."""
    settings = plan.config.models[model]
    tokens, parameters = TASKS[settings.track].update(settings, plan.config.datasets[settings.dataset])
    return TRAINING_COST * settings.training.update_freq * tokens * parameters
