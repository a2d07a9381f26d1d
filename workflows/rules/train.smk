rule dense:
    input:
        dataset_receipt,
    output:
        f"{RESULTS}/jobs/dense/{{model}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/dense/{{model}}/s{{seed}}.log",
    params:
        spec=specification("dense"),
    threads: 1
    priority: 20  # most jobs wait for it
    resources:
        mem_mb=4000,
        runtime=2880,
    shell:
        "headprune job dense --spec {params.spec:q} --receipt {output:q} 2> {log:q}"
