rule treat:
    input:
        needs("treat"),
    output:
        f"{RESULTS}/jobs/treat/{{model}}/{{label}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/treat/{{model}}/{{label}}/s{{seed}}.log",
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        spec=specification("treat"),
    shell:
        "headprune job treat --spec {params.spec:q} --receipt {output:q} 2> {log:q}"


rule retrain:
    input:
        needs("retrain"),
    output:
        f"{RESULTS}/jobs/retrain/{{model}}/{{label}}/k{{budget}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/retrain/{{model}}/{{label}}/k{{budget}}/s{{seed}}.log",
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=2880,
    params:
        spec=specification("retrain"),
    shell:
        "headprune job retrain --spec {params.spec:q} --receipt {output:q} 2> {log:q}"
