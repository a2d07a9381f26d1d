# What is made of result tables: figures and tables of a run. See drawing.smk.
rule figure:
    input:
        drawn,
        script=script_of,
        shared=drawn_with,
    output:
        multiext("{results}/figures/{name}", ".pdf", ".txt"),
        report(
            "{results}/figures/{name}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"results": "{results}", "figure": "{name}"},
        ),
    log:
        "{results}/logs/figures/{name}.log",
    wildcard_constraints:
        name="|".join(FIGURE_NAMES),
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        results=input_folder,
        folder=output_folder,
        caption=caption_of,
    shell:
        "headprune draw {input.script:q} {params.results:q} {params.folder:q} 2> {log:q}"


use rule figure as table with:
    output:
        report(
            "{results}/tables/{name}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"results": "{results}", "table": "{name}"},
        ),
        multiext("{results}/tables/{name}", ".md", ".tex"),
    wildcard_constraints:
        name="|".join(table_names(*drawings.TARGETS)),
    resources:
        mem_mb=4000,
        runtime=60,


rule tables:
    input:
        [table for run in RUNS.values() for table in run["tables"]],
        tables_of(RUNS, "tables"),


rule statistics:
    input:
        tables_of(RUNS, "tables", "claims"),


rule claims:
    input:
        tables_of(RUNS, "claims"),


rule figures:
    input:
        figures_of(RUNS),
        tables_of(RUNS, "figures"),
