rule treat:
    input:
        needs("treat"),
    output:
        f"{RESULTS}/jobs/treat/{{model}}/{{label}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/treat/{{model}}/{{label}}/s{{seed}}.log",
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=memory("treat"),
        runtime=minutes("treat"),
        gpu=gpus("treat"),
        attempt=attempt_number,
    params:
        spec=specification("treat"),
    shell:
        "headprune job treat --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"


rule retrain:
    input:
        needs("retrain"),
    output:
        f"{RESULTS}/jobs/retrain/{{model}}/{{label}}/k{{budget}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/retrain/{{model}}/{{label}}/k{{budget}}/s{{seed}}.log",
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: workers("retrain")
    resources:
        mem_mb=memory("retrain"),
        runtime=minutes("retrain"),
        gpu=gpus("retrain"),
        attempt=attempt_number,
    params:
        spec=specification("retrain"),
    shell:
        "headprune job retrain --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"
