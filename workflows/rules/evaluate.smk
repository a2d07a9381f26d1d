use rule job as test with:
    input:
        settled_needs("test"),
    output:
        f"{RESULTS}/jobs/test/{{model}}/{{batch}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/test/{{model}}/{{batch}}/s{{seed}}.log",
    params:
        spec=told("test"),
        key=key("test"),


use rule job as speed with:
    input:
        settled_needs("speed"),
    output:
        f"{RESULTS}/jobs/speed/{{model}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/speed/{{model}}/s{{seed}}.log",
    threads: workflow.cores or 1  # nothing runs beside a measurement of time
    params:
        spec=told("speed"),
        key=key("speed"),
        omp_threads=one_thread,


use rule job as ablate with:
    input:
        needs("ablate"),
    output:
        f"{RESULTS}/jobs/ablate/{{model}}/{{kind}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/ablate/{{model}}/{{kind}}/s{{seed}}.log",
    wildcard_constraints:
        kind="drop_one|keep_one",
    params:
        spec=specification("ablate"),
