# One page for every run: results/NAME/report.html, made of its tables, figures, outputs and logs.
rule report_page:
    input:
        drawn,
        made,
        script=str(FIGURES / "report.py"),
        package=sorted(PARTS),
    output:
        report(
            "{results}/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"results": "{results}"},
        ),
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
        "headprune draw {input.script:q} {params.results:q} {params.folder:q} > {log:q} 2>&1"


rule report:
    input:
        [f"{results}/report.html" for results in RUNS],
