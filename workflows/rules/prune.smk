rule score:
    input:
        settled_needs("score"),
    output:
        f"{RESULTS}/jobs/score/{{model}}/{{batch}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/score/{{model}}/{{batch}}/s{{seed}}.log",
    priority: 15  # what others treat waits for it
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=memory("score"),
        runtime=minutes("score"),
        gpu=gpus("score"),
        attempt=attempt_number,
    params:
        spec=told("score"),
        key=key("score"),  # of the methods' files, too
    shell:
        "headprune job score --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"


rule gates:
    input:
        needs("gates"),
        method=method_file,
    output:
        f"{RESULTS}/jobs/gates/{{model}}/{{label}}/k{{budget}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/gates/{{model}}/{{label}}/k{{budget}}/s{{seed}}.log",
    priority: 10  # the long ones first, so that the short ones fill the gaps
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: workers("gates")
    resources:
        mem_mb=memory("gates"),
        runtime=minutes("gates"),
        gpu=gpus("gates"),
        attempt=attempt_number,
    params:
        spec=specification("gates"),
    shell:
        "headprune job gates --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"


rule search:
    input:
        needs("search"),
        method=method_file,
    output:
        f"{RESULTS}/jobs/search/{{model}}/{{label}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/search/{{model}}/{{label}}/s{{seed}}.log",
    priority: 12  # several trainings, one after the other
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: workers("search")
    resources:
        mem_mb=memory("search"),
        runtime=minutes("search"),
        gpu=gpus("search"),
        attempt=attempt_number,
    params:
        spec=specification("search"),
    shell:
        "headprune job search --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"
