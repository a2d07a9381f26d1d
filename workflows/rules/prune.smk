rule score:
    input:
        needs("score"),
        methods=batch_files,
    output:
        f"{RESULTS}/jobs/score/{{model}}/{{batch}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/score/{{model}}/{{batch}}/s{{seed}}.log",
    priority: 15  # what others treat waits for it
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        spec=specification("score"),
    shell:
        "headprune job score --spec {params.spec:q} --receipt {output:q} 2> {log:q}"


rule gates:
    input:
        needs("gates"),
        method=method_file,
    output:
        f"{RESULTS}/jobs/gates/{{model}}/{{label}}/k{{budget}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/gates/{{model}}/{{label}}/k{{budget}}/s{{seed}}.log",
    priority: 10  # the long ones first, so that the short ones fill the gaps
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=2880,
    params:
        spec=specification("gates"),
    shell:
        "headprune job gates --spec {params.spec:q} --receipt {output:q} 2> {log:q}"


rule search:
    input:
        needs("search"),
        method=method_file,
    output:
        f"{RESULTS}/jobs/search/{{model}}/{{label}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/search/{{model}}/{{label}}/s{{seed}}.log",
    priority: 12  # several trainings, one after the other
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=5760,
    params:
        spec=specification("search"),
    shell:
        "headprune job search --spec {params.spec:q} --receipt {output:q} 2> {log:q}"
