"""Hours that the trainings of a plan take on types of GPUs, from counts of operations: nothing of it is measured."""

from __future__ import annotations

from headprune.pipeline import estimate
from headprune.pipeline.cells import Job
from headprune.pipeline.plan import Plan
from headprune.results.jobs import JOBS

# Operations a second of dense matrix products in bfloat16, by the data sheets of the maker, without sparsity.
PEAKS = {"L4": 121e12, "A100": 312e12, "L40S": 362e12, "H100": 989e12}
REACHED = 0.15, 0.05  # of the peak: assumed, the less the smaller models and batches are
LEAST = 0.05, 0.1  # seconds of a batch at least: assumed, what Python and the launches of kernels take on any GPU
PER_WEIGHT = 6  # operations a token and parameter: two forward, four backward (Kaplan et al. 2020, section 2.1)


def sentence(plan: Plan) -> str:
    """The hours of all trainings on one GPU, by type, and how they were come by; empty where no model is trained in
    half precision, as those of profiles for CPUs are not."""
    if not any(model.trains and model.training.precision == "bf16" for model in plan.config.models.values()):
        return ""
    found = {
        name: [hours(plan, peak, *assumed) for assumed in zip(REACHED, LEAST, strict=True)]
        for name, peak in PEAKS.items()
    }
    told = ", ".join(f"{name} {fewest:,.1f} to {longest:,.1f}" for name, (fewest, longest) in found.items())
    (most, least), (quick, slow) = REACHED, LEAST
    return (
        f"hours of the trainings alone on one GPU: {told}; counted, not measured: {PER_WEIGHT} operations a token and "
        f"parameter at {most:.0%} to {least:.0%} of what the data sheet says of bfloat16, {quick:g} to {slow:g} s a "
        "batch at least. Masks, translations and tests come on top"
    )


def hours(plan: Plan, peak: float, reached: float, least: float) -> float:
    """Hours of all trainings of a plan.

    :param peak: operations a second
    :param reached: the share of it
    :param least: seconds of a batch
    """
    jobs = [job for job in plan.jobs if JOBS[job.kind].trains]
    seconds = (max(PER_WEIGHT * of_job(plan, job) / (reached * peak), batches(plan, job) * least) for job in jobs)
    return sum(seconds) / 3600


def of_job(plan: Plan, job: Job) -> float:
    """Updates of a job's trainings, times tokens and parameters; 0 where it opens what is given."""
    if estimate.opens(plan, JOBS[job.kind], job.model):
        return 0.0
    return estimate.updates(plan, job) * estimate.update_size(plan, job.model, JOBS[job.kind])


def batches(plan: Plan, job: Job) -> int:
    """Batches of a job's trainings, one after the other; 0 likewise."""
    kind = JOBS[job.kind]
    if estimate.opens(plan, kind, job.model):
        return 0
    return estimate.updates(plan, job) * estimate.trained_by(plan, kind, job.model).training.update_freq
