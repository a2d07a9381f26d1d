rule dense:
    input:
        dataset_receipt,
    output:
        f"{RESULTS}/jobs/dense/{{model}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/dense/{{model}}/s{{seed}}.log",
    priority: 20  # most jobs wait for it
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=2880,
    params:
        spec=specification("dense"),
    shell:
        "headprune job dense --spec {params.spec:q} --receipt {output:q} 2> {log:q}"
