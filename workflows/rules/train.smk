rule dense:
    input:
        dataset_receipt,
    output:
        f"{RESULTS}/jobs/dense/{{model}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/dense/{{model}}/s{{seed}}.log",
    priority: 20  # most jobs wait for it
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: workers("dense")
    resources:
        mem_mb=memory("dense"),
        runtime=minutes("dense"),
        gpu=gpus("dense"),
        attempt=attempt_number,
    params:
        spec=specification("dense"),
    shell:
        "headprune job dense --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"
