# headprune: train, prune, measure, tabulate, draw. `snakemake --cores N` runs the quick profile;
# `--configfile workflows/config/NAME.yaml` any other. `headprune plan FILE` shows what a profile holds.
include: "workflows/rules/common.smk"
include: "workflows/rules/data.smk"
include: "workflows/rules/train.smk"
include: "workflows/rules/prune.smk"
include: "workflows/rules/treat.smk"
include: "workflows/rules/evaluate.smk"
include: "workflows/rules/collect.smk"
include: "workflows/rules/figures.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.claims.input,
        rules.figures.input,


onstart:
    progress.start(plan, workflow.cores or 1, log, bool(workflow.overwrite_workdir))
