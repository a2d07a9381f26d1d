rule test:
    input:
        settled_needs("test"),
    output:
        f"{RESULTS}/jobs/test/{{model}}/{{batch}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/test/{{model}}/{{batch}}/s{{seed}}.log",
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=memory("test"),
        runtime=minutes("test"),
        gpu=gpus("test"),
        attempt=attempt_number,
    params:
        spec=told("test"),
        key=key("test"),
    shell:
        "headprune job test --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"


rule speed:
    input:
        settled_needs("speed"),
    output:
        f"{RESULTS}/jobs/speed/{{model}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/speed/{{model}}/s{{seed}}.log",
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: workflow.cores or 1  # nothing runs beside a measurement of time
    resources:
        mem_mb=memory("speed"),
        runtime=minutes("speed"),
        gpu=gpus("speed"),
        attempt=attempt_number,
    params:
        spec=told("speed"),
        key=key("speed"),
    shell:
        "OMP_NUM_THREADS=1 headprune job speed --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"


rule ablate:
    input:
        needs("ablate"),
    output:
        f"{RESULTS}/jobs/ablate/{{model}}/{{kind}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/ablate/{{model}}/{{kind}}/s{{seed}}.log",
    wildcard_constraints:
        kind="drop_one|keep_one",
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=memory("ablate"),
        runtime=minutes("ablate"),
        gpu=gpus("ablate"),
        attempt=attempt_number,
    params:
        spec=specification("ablate"),
    shell:
        "headprune job ablate --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"
