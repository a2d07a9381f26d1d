# What is made of result tables: figures and tables of a run. See drawing.smk.
rule figure:
    input:
        drawn,
        script=str(FIGURES / "{figure}.py"),
        shared=drawn_with,
    output:
        multiext("{results}/figures/{figure}", ".pdf", ".txt"),
        report(
            "{results}/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"results": "{results}", "figure": "{figure}"},
        ),
    log:
        "{results}/logs/figures/{figure}.log",
    wildcard_constraints:
        figure="|".join(FIGURE_NAMES),
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        results=input_folder,
        folder=output_folder,
    shell:
        "python {input.script:q} {params.results:q} {params.folder:q} 2> {log:q}"


rule results_table:
    input:
        drawn,
        script=str(FIGURES / "results_table.py"),
        shared=SHARED,
    output:
        report(
            "{results}/tables/results.csv",
            caption="../report/results.rst",
            category="Tables",
            labels={"results": "{results}", "table": "quality by method and budget"},
        ),
        multiext("{results}/tables/results", ".md", ".tex"),
    log:
        "{results}/logs/figures/results_table.log",
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        results=input_folder,
        folder=output_folder,
    shell:
        "python {input.script:q} {params.results:q} {params.folder:q} 2> {log:q}"


rule statistic:
    input:
        drawn,
        script=str(FIGURES / "{statistic}.py"),
        shared=[
            *SHARED,
            str(FIGURES / "tabling.py"),
            str(FIGURES / "results_table.py"),
            str(FIGURES / "claims.yaml"),
        ],
    output:
        report(
            "{results}/tables/{statistic}.csv",
            caption="../report/statistic.rst",
            category="Tables",
            labels={"results": "{results}", "table": "{statistic}"},
        ),
        multiext("{results}/tables/{statistic}", ".md", ".tex"),
    log:
        "{results}/logs/figures/{statistic}.log",
    wildcard_constraints:
        statistic="|".join(STATISTICS),
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        results=input_folder,
        folder=output_folder,
    shell:
        "python {input.script:q} {params.results:q} {params.folder:q} 2> {log:q}"


rule study:
    input:
        drawn,
        script=str(FIGURES / "{study}.py"),
        shared=[
            *SHARED,
            str(FIGURES / "results_table.py"),
            str(FIGURES / "tabling.py"),
        ],
    output:
        report(
            "{results}/tables/{study}.csv",
            caption="../report/study.rst",
            category="Tables",
            labels={"results": "{results}", "table": "{study}"},
        ),
        multiext("{results}/tables/{study}", ".md", ".tex"),
    log:
        "{results}/logs/figures/{study}.log",
    wildcard_constraints:
        study="|".join(STUDIES),
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        results=input_folder,
        folder=output_folder,
    shell:
        "python {input.script:q} {params.results:q} {params.folder:q} 2> {log:q}"


rule tables:
    input:
        [table for run in RUNS.values() for table in run["tables"]],
        of_runs(RUNS, "{results}/tables/{name}.md", ["results", *TABLED]),


rule statistics:
    input:
        of_runs(RUNS, "{results}/tables/{name}.md", STATISTICS),


rule claims:
    input:
        of_runs(RUNS, "{results}/tables/{name}.md", ["claims"]),


rule figures:
    input:
        of_runs(RUNS, "{results}/figures/{name}.png", FIGURE_NAMES),
        of_runs(RUNS, "{results}/tables/{name}.md", STUDIES),
