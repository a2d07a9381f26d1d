# A rule for every kind of job, from the table in headprune/results/jobs.py: what it waits for, its receipt, its log, what
# it is told. `headprune job KIND` computes it, headprune/pipeline/stages/KIND.py.
for kind in JOBS.values():

    rule:
        name:
            kind.name
        input:
            unpack(inputs(kind)),
        output:
            f"{RESULTS}/jobs/{kind.name}/{kind.place}.json",
        log:
            f"{RESULTS}/logs/{kind.name}/{kind.place}.log",
        wildcard_constraints:
            label=of_jobs(kind, "label"),
            budget=of_jobs(kind, "budget"),
            seed=of_jobs(kind, "seed"),
        priority: kind.priority
        retries: RETRIES
        conda:
            "../envs/headprune.yaml"
        # nothing runs beside a measurement of time
        threads: (workflow.cores or 1) if kind.alone else workers(kind)
        resources:
            mem_mb=memory(kind),
            runtime=minutes(kind),
            gpu=gpus(kind),
            attempt=attempt_number,
        params:
            kind=kind.name,
            omp_threads=one_thread if kind.alone else all_threads,
            spec=told(kind),
            key=key(kind),
        shell:
            "OMP_NUM_THREADS={params.omp_threads} headprune job {params.kind} --spec - --receipt {output:q} "
            "--attempt {resources.attempt} --minutes {resources.runtime} 2>> {log:q} <<< {params.spec:q}"
