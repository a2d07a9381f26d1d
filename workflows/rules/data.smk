use rule job as data with:
    output:
        f"{RESULTS}/jobs/data/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/data/{{dataset}}.log",
    params:
        spec=specification("data"),
