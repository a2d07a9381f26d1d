"""The plan of the profile, and the wildcards it allows. An invalid configuration ends here, before anything runs."""

import json
import os
import re
import sys
from pathlib import Path

import yaml
from headprune.config import ConfigError, load, read
from headprune.pipeline import failures, inventory, progress
from headprune.pipeline.plan import Job, Plan
from headprune.pipeline.settled import Settled
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

ROOT = Path(workflow.basedir)

if (
    "profile" not in config
):  # plain `snakemake`: the quick profile, with what --config says on top
    quick = yaml.safe_load(
        (ROOT / "workflows/config/quick.yaml").read_text(encoding="utf-8")
    )
    update_config(quick, config)
    config.update(quick)

try:
    for name in workflow.configfiles:
        read(name)  # finds what Snakemake's reader lets pass, a key that stands twice
    plan = Plan(load(config))
    plan.check_writable()
    plan.check_data()
except ConfigError as error:
    raise WorkflowError(str(error))

if plan.config.mirror:
    os.environ.setdefault("HEADPRUNE_MIRROR", plan.config.mirror)

RESULTS = str(plan.folder)
settled = Settled(plan)


def either(names):
    return "|".join(re.escape(str(name)) for name in names) or "none"


wildcard_constraints:
    dataset=either(plan.config.datasets),
    model=either(plan.config.models),
    label=either(plan.labels),
    batch=either({job.label for job in plan.jobs if job.kind == "test"}),
    seed=r"\d+",
    budget=r"\d+",


def job_of(kind, wildcards):
    values = dict(wildcards)
    numbers = {key: int(values[key]) for key in ("seed", "budget") if key in values}
    label = next(
        (values[key] for key in ("label", "batch", "kind") if key in values), ""
    )
    return Job(
        kind, values.get("model", ""), values.get("dataset", ""), label, **numbers
    )


def specification(kind):
    """Parameters of a job: all that it depends on beside its inputs, so that nothing else makes it run again."""

    def function(wildcards):
        return json.dumps(plan.specification(job_of(kind, wildcards)), sort_keys=True)

    return function


def told(kind):
    """What a job is told that computes cells of several entries. As it takes the inputs, too, Snakemake does not compare
    it with what the job was told before; it compares the key."""

    def function(wildcards, input):
        return json.dumps(
            settled.specification(job_of(kind, wildcards)), sort_keys=True
        )

    return function


def key(kind):
    return lambda wildcards: settled.key(job_of(kind, wildcards))


def settled_needs(kind):
    """Receipts of what such a job waits for, or waited for if it has done all that is asked of it."""

    def function(wildcards):
        return [f"{RESULTS}/{name}" for name in settled.needs(job_of(kind, wildcards))]

    return function


def whole_config(wildcards):
    """What the tables depend on; from a function, as Snakemake takes braces in a text for wildcards."""
    values = plan.config.model_dump(exclude_defaults=True, exclude={"execution"})
    return json.dumps(values, sort_keys=True)


# Retries come after a first attempt: there is one more than attempts may fail, and it closes the books.
RETRIES = plan.config.execution.attempts


def attempt_number(wildcards, attempt):
    return attempt


def minutes(wildcards, attempt, rulename):
    """A later attempt gets more time, and more memory. The rule of a job has the name of its kind."""
    return plan.config.execution.minutes_of(rulename, attempt)


def memory(wildcards, attempt, rulename):
    return plan.config.execution.memory_of(rulename, attempt)


def workers(wildcards):
    """Processes that share a training, a core each."""
    return plan.config.models[wildcards.model].training.workers


def gpus(wildcards, rulename):
    """What an executor calls `gpu`."""
    model = plan.config.models.get(wildcards.get("model"))
    return plan.config.execution.gpus_of(
        rulename, model.training.workers if model else 1
    )


def kind_of(wildcards, output):
    """From where the receipt of a job lies, `jobs/KIND/…`."""
    return Path(output[0]).relative_to(f"{RESULTS}/jobs").parts[0]


def all_threads(wildcards, threads):
    """What Snakemake tells a job of its own accord; as a parameter, so that another rule can tell it less."""
    return threads


def one_thread(wildcards, threads):
    return 1


def receipts(jobs):
    return [f"{RESULTS}/{job.receipt}" for job in jobs]


def dataset_receipt(wildcards):
    return receipts([Job("data", dataset=plan.config.models[wildcards.model].dataset)])


def needs(kind):
    """Receipts of what a job that finds masks waits for."""
    return lambda wildcards: receipts(plan.needs(job_of(kind, wildcards)))


def method_file(wildcards):
    return str(plan.file_of(wildcards.label))


onstart:
    progress.start(plan, workflow.cores or 1, log, bool(workflow.overwrite_workdir))
    inventory.forget_drawn(plan.folder)


onsuccess:
    inventory.note_drawn(plan.folder)


onerror:
    print(failures.last_words(plan.folder), file=sys.stderr)
