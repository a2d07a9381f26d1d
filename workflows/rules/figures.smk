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
    "normalised_quality",
    "size_vs_quality",
    "speedup",
    "seed_distribution",
    "critical_difference",
    "mask_agreement",
    "heads_per_layer",
    "training_curves",
    "one_page",
]
IMPORTED = {  # scripts that a figure takes panels from, beside what all share
    "size_vs_quality": ["steps"],
    "pareto": ["steps"],
    "pruning_cost": ["steps"],
    "normalised_quality": ["quality_vs_heads"],
    "one_page": [
        "claims",
        "mask_agreement",
        "pareto",
        "quality_vs_heads",
        "results_table",
        "speedup",
        "steps",
        "tabling",
    ],
}
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


def drawn_with(wildcards):
    """Shared scripts of one figure."""
    return [
        *SHARED,
        *(str(FIGURES / f"{name}.py") for name in IMPORTED.get(wildcards.figure, [])),
        *([str(FIGURES / "claims.yaml")] if wildcards.figure == "one_page" else []),
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
