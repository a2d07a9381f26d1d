"""The plan of the profile, and the wildcards it allows. An invalid configuration ends here, before anything runs."""

import json
import os
import re
import sys
from pathlib import Path

import yaml
from headprune.cli import warm
from headprune.config import ConfigError, load, read
from headprune.pipeline import estimate, failures, inventory, limits, progress
from headprune.pipeline.cells import Job
from headprune.pipeline.plan import Plan
from headprune.pipeline.settled import Settled
from headprune.results.jobs import JOBS
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


def limits_of_site():
    """What no job may exceed, which a Snakemake profile tells as default resources: its `config:` would be replaced by any
    `--config` of the command line."""
    told = workflow.resource_settings.default_resources or {}
    return {
        key: int(told[key].value)
        for key in ("max_minutes", "max_memory_mb")
        if key in told
    }


if isinstance(config.setdefault("execution", {}), dict):
    config["execution"] = {**limits_of_site(), **config["execution"]}


def folder_of_profile():
    """Where relative paths of a profile begin: beside the file that comes first."""
    return Path(workflow.configfiles[0]).parent if workflow.configfiles else None


try:
    for name in workflow.configfiles:
        read(name)  # finds what Snakemake's reader lets pass, a key that stands twice
    plan = Plan(load(config, folder_of_profile()))
    limits.check_writable(plan)
    limits.check_data(plan)
except ConfigError as error:
    raise WorkflowError(str(error))

# After that, as it imports pandas, which a mistake in the profile need not wait for.
from headprune.pipeline import registering

try:
    registering.own_claims()  # a run notes them as it starts
except registering.ClaimsError as error:
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
    seed=r"\d+",
    budget=r"\d+",
    trial=r"\d+",


def of_jobs(kind, wildcard):
    """Values that jobs of a kind have. What an earlier plan had beside them stays as it is: its receipts are no outputs of
    this one, but files."""
    return either(
        {getattr(job, wildcard) for job in plan.jobs if job.kind == kind.name}
    )


def job_of(kind, wildcards):
    values = dict(wildcards)
    numbers = {
        key: int(values.pop(key))
        for key in ("seed", "budget", "trial")
        if key in values
    }
    return Job(kind.name, **values, **numbers)


def inputs(kind):
    """Receipts of what a job waits for, and the files that make it run again: that of its method, those of a corpus that
    is a folder."""

    def function(wildcards):
        job = job_of(kind, wildcards)
        method = {"method": str(plan.grid.file_of(job.label))} if kind.own_file else {}
        data = {"data": own_files(job.dataset)} if kind.per == "dataset" else {}
        return {
            "needs": [f"{RESULTS}/{name}" for name in settled.needs(job)],
            **method,
            **data,
        }

    return function


def own_files(dataset):
    """The files of the folders that a dataset is made of; none of a corpus that is known by name."""
    section = plan.config.datasets[dataset]
    places = (getattr(section, key, None) for key in ("corpus", "data_bin", "gpt2"))
    folders = [Path(os.path.expanduser(str(place))) for place in places if place]
    return sorted(
        str(file)
        for folder in folders
        if folder.is_dir()
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".")
    )


def told(kind):
    """All that a job depends on beside its inputs. As this takes the inputs, too, Snakemake does not compare it with what
    the job was told before; it compares the key."""

    def function(wildcards, input):
        return json.dumps(
            settled.specification(job_of(kind, wildcards)), sort_keys=True
        )

    return function


def key(kind):
    """Changes when a job has to run again."""
    return lambda wildcards: settled.key(job_of(kind, wildcards))


def whole_config(wildcards):
    """What the tables depend on; from a function, as Snakemake takes braces in a text for wildcards."""
    values = plan.config.model_dump(exclude_defaults=True, exclude={"execution"})
    return json.dumps(values, sort_keys=True)


# Retries come after a first attempt: there is one more than attempts may fail, and it closes the books.
RETRIES = plan.config.execution.attempts


def attempt_number(wildcards, attempt):
    return attempt


def minutes(kind):
    """A later attempt gets more time, and more memory."""
    return lambda wildcards, attempt: plan.config.execution.minutes_of(
        kind.name, attempt
    )


def memory(kind):
    return lambda wildcards, attempt: plan.config.execution.memory_of(
        kind.name, attempt, workers(kind)(wildcards)
    )


def workers(kind):
    """Processes that share a training, a core each."""
    return lambda wildcards: (
        estimate.workers(plan, kind, wildcards.model) if kind.trains else 1
    )


def gpus(kind):
    """What an executor calls `gpu`."""

    def function(wildcards):
        return plan.config.execution.gpus_of(kind.name, workers(kind)(wildcards))

    return function


def all_threads(wildcards, threads):
    """What Snakemake tells a job of its own accord; as a parameter, so that another rule can tell it less."""
    return threads


def one_thread(wildcards, threads):
    return 1


onstart:
    registering.note_claims(plan.run)
    # Elsewhere than on this machine `cores` is the most that one job may ask for, and `jobs` how many run at a time.
    beside = (
        workflow.cores if workflow.local_exec else workflow.resource_settings.nodes
    )
    progress.start(plan, beside or 1, log, bool(workflow.overwrite_workdir))
    inventory.forget_drawn(plan.folder)
    if workflow.local_exec and plan.config.execution.warm:
        warm.begin()


onsuccess:
    inventory.note_drawn(plan.folder)


onerror:
    print(failures.last_words(plan.folder), file=sys.stderr)
