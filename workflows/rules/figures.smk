# What is made of result tables. RUNS, by folder to write into: the tables, and the topics that results may have or not;
# given by collect.smk for the profile, or by published.smk for results that lie there already.
FIGURES = Path(workflow.basedir) / "paper_figures"
FIGURE_NAMES = [
    "quality_vs_heads",
    "pareto",
    "survival_maps",
    "kept_by_type",
    "treatments",
    "pruning_cost",
    "penalty_frontier",
]
STUDIES = ["estimators", "ablations", "stabilisers"]  # tables of one question each
TABLED = ["comparisons", "normalised", "frontiers", "summary"]
STATISTICS = [*TABLED, "claims"]
SHARED = [
    str(FIGURES / name)
    for name in (
        "common.py",
        "families.py",
        "looks.py",
        "captions.py",
        "masks.py",
        "pages.py",
        "style.mplstyle",
    )
]


def drawn(wildcards):
    tables = RUNS[wildcards.results]["tables"]
    return [table for table in tables if not table.endswith("manifest.json")]


def of_runs(folders, pattern, names):
    """Files of these runs; what a run has nothing of is not made."""
    return [
        pattern.format(results=folder, name=name)
        for folder in folders
        for name in names
        if RUNS[folder]["topics"].get(name, True)
    ]


def input_folder(wildcards, input):
    return str(Path(input[0]).parent)


def output_folder(wildcards, output):
    return str(Path(output[0]).parent)


wildcard_constraints:
    results="|".join(re.escape(results) for results in RUNS),


rule figure:
    input:
        drawn,
        script=str(FIGURES / "{figure}.py"),
        shared=[*SHARED, str(FIGURES / "pareto.py")],
    output:
        multiext("{results}/figures/{figure}", ".pdf", ".png", ".txt"),
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
        multiext("{results}/tables/results", ".csv", ".md", ".tex"),
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
        multiext("{results}/tables/{statistic}", ".csv", ".md", ".tex"),
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
        multiext("{results}/tables/{study}", ".csv", ".md", ".tex"),
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


def made(wildcards):
    """All figures and tables of one run."""
    names = {"tables": ["results", *STATISTICS, *STUDIES], "figures": FIGURE_NAMES}
    ends = {"tables": ".md", "figures": ".png"}
    return [
        file
        for folder in names
        for file in of_runs(
            [wildcards.results],
            f"{{results}}/{folder}/{{name}}{ends[folder]}",
            names[folder],
        )
    ]


if (FIGURES / "report.py").is_file():

    rule report_page:
        input:
            drawn,
            made,
            script=str(FIGURES / "report.py"),
        output:
            "{results}/report.html",
        log:
            "{results}/logs/figures/report.log",
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

    rule report:
        input:
            [f"{results}/report.html" for results in RUNS],
