use rule job as dense with:
    input:
        dataset_receipt,
    output:
        f"{RESULTS}/jobs/dense/{{model}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/dense/{{model}}/s{{seed}}.log",
    priority: 20  # most jobs wait for it
    threads: workers
    params:
        spec=specification("dense"),
