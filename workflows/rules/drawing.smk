"""What is made of result tables, and of which files.

RUNS, by folder to write into: the tables, and the topics that results may have or not; given by collect.smk for the
profile, or by published.smk for results that lie there already.
"""

import os

os.environ.update(PYTHONUTF8="1")  # in all jobs, whatever the locale says

FIGURES = Path(workflow.basedir) / "paper_figures"
FIGURE_NAMES = [
    "quality_vs_heads",
    "pareto",
    "survival_maps",
    "kept_by_type",
    "treatments",
    "pruning_cost",
    "penalty_frontier",
    "normalised_quality",
    "size_vs_quality",
    "speedup",
    "seed_distribution",
    "critical_difference",
    "mask_agreement",
    "heads_per_layer",
    "training_curves",
    "one_page",
]
IMPORTED = {  # scripts that a figure takes panels from, beside what all share
    "size_vs_quality": ["steps"],
    "pareto": ["steps"],
    "pruning_cost": ["steps"],
    "normalised_quality": ["quality_vs_heads"],
    "one_page": [
        "claims",
        "mask_agreement",
        "pareto",
        "quality_vs_heads",
        "results_table",
        "speedup",
        "steps",
        "tabling",
    ],
}
STUDIES = ["estimators", "ablations", "stabilisers"]  # tables of one question each
TABLED = ["comparisons", "normalised", "frontiers", "summary"]
STATISTICS = [*TABLED, "claims"]
SHARED = [
    str(FIGURES / name)
    for name in (
        "command.py",
        "common.py",
        "families.py",
        "looks.py",
        "captions.py",
        "masks.py",
        "pages.py",
        "style.mplstyle",
    )
]


def drawn_with(wildcards):
    """Shared scripts of one figure."""
    return [
        *SHARED,
        *(str(FIGURES / f"{name}.py") for name in IMPORTED.get(wildcards.figure, [])),
        *([str(FIGURES / "claims.yaml")] if wildcards.figure == "one_page" else []),
    ]


def drawn(wildcards):
    tables = RUNS[wildcards.results]["tables"]
    return [table for table in tables if not table.endswith("manifest.json")]


def of_runs(folders, pattern, names):
    """Files of these runs; what a run has nothing of is not made."""
    return [
        pattern.format(results=folder, name=name)
        for folder in folders
        for name in names
        if RUNS[folder]["topics"].get(name, True)
    ]


def input_folder(wildcards, input):
    return str(Path(input[0]).parent)


def output_folder(wildcards, output):
    return str(Path(output[0]).parent)


REPORT = Path(workflow.basedir) / "headprune" / "report"
PARTS = [
    str(path)
    for end in ("py", "html", "css", "js")
    for path in REPORT.rglob(f"*.{end}")
]


def made(wildcards):
    """All figures and tables of one run."""
    names = {"tables": ["results", *STATISTICS, *STUDIES], "figures": FIGURE_NAMES}
    ends = {"tables": ".md", "figures": ".png"}
    return [
        file
        for folder in names
        for file in of_runs(
            [wildcards.results],
            f"{{results}}/{folder}/{{name}}{ends[folder]}",
            names[folder],
        )
    ]


wildcard_constraints:
    results="|".join(re.escape(results) for results in RUNS),
