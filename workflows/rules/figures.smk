FIGURE_NAMES = ["quality_vs_heads", "pareto", "survival_maps", "kept_by_type"]
SHARED = [
    str(FIGURES / name)
    for name in ("common.py", "looks.py", "captions.py", "masks.py", "style.mplstyle")
]


rule figure:
    input:
        TABLES[:3],
        script=str(FIGURES / "{figure}.py"),
        shared=SHARED,
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
        TABLES[:3],
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


rule figures:
    input:
        expand(f"{RESULTS}/figures/{{figure}}.png", figure=FIGURE_NAMES),
