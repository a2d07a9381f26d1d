# The command of every job: `use rule job as KIND with:` adds what it waits for, its receipt, its log and what it is told.
rule job:
    log:
        f"{RESULTS}/logs/job.log",
    retries: RETRIES
    conda:
        "../envs/headprune.yaml"
    threads: 1
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=gpus,
        attempt=attempt_number,
    params:
        kind=kind_of,
        omp_threads=all_threads,
    shell:
        "OMP_NUM_THREADS={params.omp_threads} headprune job {params.kind} --spec - --receipt {output:q} "
        "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"
