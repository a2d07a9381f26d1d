use rule job as treat with:
    input:
        needs("treat"),
    output:
        f"{RESULTS}/jobs/treat/{{model}}/{{label}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/treat/{{model}}/{{label}}/s{{seed}}.log",
    params:
        spec=specification("treat"),


use rule job as retrain with:
    input:
        needs("retrain"),
    output:
        f"{RESULTS}/jobs/retrain/{{model}}/{{label}}/k{{budget}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/retrain/{{model}}/{{label}}/k{{budget}}/s{{seed}}.log",
    threads: workers
    params:
        spec=specification("retrain"),
