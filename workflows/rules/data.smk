rule data:
    output:
        f"{RESULTS}/jobs/data/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/data/{{dataset}}.log",
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=specification("data"),
    shell:
        "headprune job data --spec {params.spec:q} --receipt {output:q} 2> {log:q}"
