# headprune: train, prune, measure, tabulate, draw. `snakemake --cores N` runs the quick profile;
# `--configfile workflows/config/NAME.yaml` any other. `headprune plan FILE` shows what a profile holds.
# `--config published=quick` trains nothing: it draws the tables of results/published/quick.
if "published" in config:

    include: "workflows/rules/published.smk"

else:

    include: "workflows/rules/common.smk"
    include: "workflows/rules/jobs.smk"
    include: "workflows/rules/collect.smk"


include: "workflows/rules/drawing.smk"
include: "workflows/rules/figures.smk"
include: "workflows/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.claims.input,
        rules.figures.input,
        rules.report.input,
