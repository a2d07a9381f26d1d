rule data:
    output:
        f"{RESULTS}/jobs/data/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/data/{{dataset}}.log",
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
        gpu=gpus("data"),
        attempt=attempt_number,
    params:
        spec=specification("data"),
    shell:
        "headprune job data --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"
