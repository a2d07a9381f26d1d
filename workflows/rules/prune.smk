use rule job as score with:
    input:
        settled_needs("score"),
    output:
        f"{RESULTS}/jobs/score/{{model}}/{{batch}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/score/{{model}}/{{batch}}/s{{seed}}.log",
    priority: 15  # what others treat waits for it
    params:
        spec=told("score"),
        key=key("score"),  # of the methods' files, too


use rule job as gates with:
    input:
        needs("gates"),
        method=method_file,
    output:
        f"{RESULTS}/jobs/gates/{{model}}/{{label}}/k{{budget}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/gates/{{model}}/{{label}}/k{{budget}}/s{{seed}}.log",
    priority: 10  # the long ones first, so that the short ones fill the gaps
    threads: workers
    params:
        spec=specification("gates"),


use rule job as search with:
    input:
        needs("search"),
        method=method_file,
    output:
        f"{RESULTS}/jobs/search/{{model}}/{{label}}/s{{seed}}.json",
    log:
        f"{RESULTS}/logs/search/{{model}}/{{label}}/s{{seed}}.log",
    priority: 12  # several trainings, one after the other
    threads: workers
    params:
        spec=specification("search"),
