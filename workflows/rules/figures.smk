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
STATISTICS = ["comparisons", "summary", "claims"]
PRESENT = plan.topics()  # what a profile has nothing of is not drawn
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
DRAWN = [table for table in TABLES if not table.endswith("manifest.json")]


rule figure:
    input:
        DRAWN,
        script=str(FIGURES / "{figure}.py"),
        shared=[*SHARED, str(FIGURES / "pareto.py")],
    output:
        multiext(f"{RESULTS}/figures/{{figure}}", ".pdf", ".png", ".txt"),
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
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
        DRAWN,
        script=str(FIGURES / "results_table.py"),
        shared=SHARED,
    output:
        multiext(f"{RESULTS}/tables/results", ".csv", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/figures/results_table.log",
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
        DRAWN,
        script=str(FIGURES / "{statistic}.py"),
        shared=[
            *SHARED,
            str(FIGURES / "tabling.py"),
            str(FIGURES / "results_table.py"),
            str(FIGURES / "claims.yaml"),
        ],
    output:
        multiext(f"{RESULTS}/tables/{{statistic}}", ".csv", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/figures/{{statistic}}.log",
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
        DRAWN,
        script=str(FIGURES / "{study}.py"),
        shared=[
            *SHARED,
            str(FIGURES / "results_table.py"),
            str(FIGURES / "tabling.py"),
        ],
    output:
        multiext(f"{RESULTS}/tables/{{study}}", ".csv", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/figures/{{study}}.log",
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


rule statistics:
    input:
        expand(f"{RESULTS}/tables/{{statistic}}.md", statistic=STATISTICS),


rule claims:
    input:
        f"{RESULTS}/tables/claims.md",


rule figures:
    input:
        expand(
            f"{RESULTS}/figures/{{figure}}.png",
            figure=[name for name in FIGURE_NAMES if PRESENT.get(name, True)],
        ),
        expand(
            f"{RESULTS}/tables/{{study}}.md",
            study=[name for name in STUDIES if PRESENT.get(name, True)],
        ),
