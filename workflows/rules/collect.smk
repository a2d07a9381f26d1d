from headprune.pipeline.contents import contents
from headprune.results.layout import MANIFEST
from headprune.results.schema import TABLES as NAMES

TABLES = [f"{RESULTS}/{name}" for name in (*NAMES, MANIFEST)]
RUNS = {RESULTS: {"tables": TABLES, "contents": contents(plan)}}


rule collect:
    input:
        [f"{RESULTS}/{job.receipt}" for job in plan.jobs],
    output:
        update(TABLES),  # earlier ones stay until there are new ones
    log:
        f"{RESULTS}/logs/collect.log",
    localrule: True
    conda:
        "../envs/headprune.yaml"
    params:
        config=whole_config,
    shell:
        "headprune collect --config - 2> {log:q} <<< {params.config:q}"
