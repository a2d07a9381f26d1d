"""What is made of result tables, and of which files.

RUNS, by folder to write into: the tables, and the contents that figures and tables ask for; given by collect.smk for
the profile, or by published.smk for results that lie there already. The scripts say themselves what they write.
"""

import os

from headprune.analysis import drawings
from headprune.results import papers
from headprune.system.bundled import PACKAGE, bundled
from snakemake.exceptions import WorkflowError

os.environ.update(PYTHONUTF8="1")  # in all jobs, whatever the locale says

FIGURES = Path(workflow.basedir) / "paper_figures"
try:
    SCRIPTS = drawings.find(FIGURES)
except ValueError as error:
    raise WorkflowError(str(error))

FIGURE_NAMES = [name for name, script in SCRIPTS.items() if not script.is_table]


def table_names(*targets):
    """Tables that one of these targets asks for."""
    return [
        name
        for name, script in SCRIPTS.items()
        if script.is_table and script.drawing.target in targets
    ]


def script_of(wildcards):
    return str(SCRIPTS[wildcards.name].path)


def drawn_with(wildcards):
    """What a figure or table imports and reads beside the results."""
    files = SCRIPTS[wildcards.name].files
    reported = any(path.name == "reported.py" for path in files)
    return [str(path) for path in files] + [str(bundled(papers.FILE))] * reported


def caption_of(wildcards):
    """What Snakemake's report says below a figure or table."""
    return SCRIPTS[wildcards.name].drawing.shows


def drawn(wildcards):
    tables = RUNS[wildcards.results]["tables"]
    return [table for table in tables if not table.endswith("manifest.json")]


def of_runs(folders, pattern, names):
    """Files of these runs; what a run has nothing of is not made."""
    return [
        pattern.format(results=folder, name=name)
        for folder in folders
        for name in names
        if SCRIPTS[name].drawing.fits(RUNS[folder]["contents"])
    ]


def tables_of(folders, *targets):
    return of_runs(folders, "{results}/tables/{name}.md", table_names(*targets))


def figures_of(folders):
    return of_runs(folders, "{results}/figures/{name}.png", FIGURE_NAMES)


def input_folder(wildcards, input):
    return str(Path(input[0]).parent)


def output_folder(wildcards, output):
    return str(Path(output[0]).parent)


REPORT = PACKAGE / "report"
PARTS = [
    str(path)
    for end in ("py", "html", "css", "js")
    for path in REPORT.rglob(f"*.{end}")
]


def made(wildcards):
    """All figures and tables of one run."""
    folders = [wildcards.results]
    return tables_of(folders, *drawings.TARGETS) + figures_of(folders)


wildcard_constraints:
    results="|".join(re.escape(results) for results in RUNS),
