"""`headprune …`: what a user asks for, and the jobs that Snakemake runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from headprune import __version__
from headprune.cli import jobs, own
from headprune.naming import unknown

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
console = Console()

Profile = Annotated[str, typer.Argument(help="a file, or the name of a profile that comes along, such as quick")]
RunFolder = Annotated[Path, typer.Argument(help="results/PROFILE, or the folder of one cell in it")]


def _version(asked: bool) -> None:
    if asked:
        print(f"headprune {__version__}")
        raise typer.Exit


@app.callback(help=__doc__)
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Options that stand before the name of a command."""


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="a method: show its options and its fidelity card")] = None,
    directory: Annotated[list[Path] | None, typer.Option(help="further folders with method files")] = None,
) -> None:
    """List the pruning methods, or show one with its options and fidelity card."""
    from headprune.method import display
    from headprune.method.declared import declared
    from headprune.method.entry import BUILT_IN

    known = None if directory else declared()
    if known is None:  # files from elsewhere are imported, with torch
        from headprune.method import load_methods

        known = load_methods(BUILT_IN, *(directory or []))
    if name is None:
        display.methods(console, known.values())
    elif name not in known:
        raise ValueError(unknown("method", name, known))
    else:
        display.method(console, known[name])


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="a file with methods, wherever it lies")],
    factor: Annotated[float | None, typer.Option(help="forward and backward passes that scoring may cost")] = None,
    options: Annotated[str, typer.Option(help="JSON of hyper-parameters, instead of the defaults")] = "{}",
    seconds: Annotated[float | None, typer.Option(min=1, help="time limit of all checks; default: 600")] = None,
) -> None:
    """Check the methods of a file against the contract: what fails, and how to mend it. Exit status 1 if any does."""
    from headprune.check import FACTOR, SECONDS, check_file, display
    from headprune.pipeline.specification import json_object

    given = json_object(options, "--options")
    limits = FACTOR if factor is None else factor, SECONDS if seconds is None else seconds
    reports = check_file(file, limits[0], given, limits[1])
    for report in reports:
        display.report(console, report)
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


@app.command()
def new_method(
    name: Annotated[str, typer.Argument(help="of the method, as profiles say it")],
    kind: Annotated[str, typer.Option(help="score: judges a trained model; gate: learns while it trains")] = "score",
    directory: Annotated[
        Path | None, typer.Option(help="folder for the file; default: methods where there is one, else this folder")
    ] = None,
) -> None:
    """Write a commented method file that passes `check` as it stands, and its test."""
    from headprune.method.template import new_method as write

    folder = directory or next(path for path in (Path("methods"), Path()) if path.is_dir())
    file, test = write(name, kind, folder)
    console.print(f"wrote {file}\nwrote {test}\nnext: headprune check {file}", highlight=False, soft_wrap=True)


@app.command()
def plan(
    profile: Profile,
    cores: Annotated[int, typer.Option(help="cores the run may use")] = 2,
    part: Annotated[str, typer.Option(help="of the profile; left out: the whole")] = "",
    seeds: Annotated[list[int] | None, typer.Option(help="instead of the profile's; may be given again")] = None,
) -> None:
    """Check a profile and show its cells, jobs and estimated hours. Nothing is written or run.

    Hours come from earlier timings of the profile, or of another one in the same results folder, where there are any.
    """
    from headprune.config import load, profile_file, read
    from headprune.pipeline import limits, planned
    from headprune.pipeline.plan import Plan

    change: dict[str, Any] = ({"part": part} if part else {}) | ({"seeds": seeds} if seeds else {})
    file = profile_file(profile)
    found = Plan(load({**read(file), **change}, file.parent))
    limits.check_writable(found)
    limits.check_data(found)
    planned.show(console, found, cores)


@app.command("run", context_settings={"allow_extra_args": True, "allow_interspersed_args": False})
def run_profile(context: typer.Context, profile: Profile) -> None:
    """Run a profile, `headprune run quick`: snakemake with the workflow that comes along. Results go below this folder.

    What follows PROFILE are further arguments of snakemake: `headprune run quick figures --cores 2`.
    """
    from headprune.config import profile_file
    from headprune.pipeline import calls

    calls.become(calls.first(profile_file(profile), context.args))


@app.command()
def show(folder: RunFolder) -> None:
    """Show what a run or one of its cells did: the mask as a layer × head picture, metrics, signature."""
    from headprune.pipeline import display

    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; runs lie under results/")
    if any((folder / name).exists() for name in ("pruned.json", "identity.json", "test.json")):
        display.cell(console, folder)
    elif (folder / "cells").is_dir() or (folder / "progress").is_dir():
        display.run(console, folder)
    else:
        raise ValueError(f"{folder} is neither a results folder nor a cell of one (no cells/, no pruned.json)")


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="a method, dsp.joint; or results: a folder, cells.parquet")],
    second: Annotated[str, typer.Argument(metavar="B", help="what it is compared with, of the same kind")],
    results: Annotated[Path | None, typer.Option(help="folder with the results of both; default: the newest")] = None,
    metric: Annotated[str | None, typer.Option(help="of translations: bleu or chrf")] = None,
) -> None:
    """Compare two methods, across seeds and on their outputs, or two result tables, cell by cell."""
    from headprune.analysis import display
    from headprune.analysis.differences import differences
    from headprune.analysis.repeats import repeats
    from headprune.analysis.tables import read
    from headprune.analysis.versus import newest, versus
    from headprune.results.schema import read_cells

    paths = [Path(first), Path(second)]
    if all(path.exists() for path in paths):
        changed = differences(*(read_cells(path) for path in paths))
        display.changes(console, paths[0], paths[1], changed, repeats(*paths))
        return
    if any(path.exists() and "/" in str(path) for path in paths):
        raise ValueError(f"{first} and {second} are not of one kind: give two methods, or two results that exist")
    folder = results or newest()
    found = versus(read(folder), first, second, metric)
    display.comparison(console, folder, first, second, found)


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="folder for the merged results; it does not exist yet")],
    parts: Annotated[list[Path], typer.Argument(help="results folders; of one, its tables are copied")],
    shared: Annotated[
        bool, typer.Option("--shared", help="cells that several have under one signature count once")
    ] = False,
    outputs: Annotated[bool, typer.Option(help="hypotheses and likelihoods, too, which paired tests read")] = True,
) -> None:
    """Merge results of several machines, or of the parts of a profile: tables, manifest and outputs; of one, pack it.

    Different data, configurations or schemas, and cells with a result in two of them, are named and nothing is written.
    """
    import headprune.tasks  # noqa: F401, whose outputs are packed
    from headprune.results.merging import merge as merge_folders

    merged = merge_folders(out, parts, shared, outputs)
    for note in merged.notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(merged.cells.items()))
    console.print(f"{out}: {sum(merged.cells.values())} cells: {counts}", highlight=False, soft_wrap=True)
    console.print(
        f"to draw them: snakemake --config published={out if '/' in str(out) else f'./{out}'}", highlight=False
    )


@app.command()
def user_dir() -> None:
    """Print the folder that fairseq's own commands take: `fairseq-generate --user-dir "$(headprune user-dir)" …`."""
    from headprune.results.provenance import PACKAGE

    print(PACKAGE)


@app.command()
def data(
    name: Annotated[
        str | None, typer.Argument(help="an embedded or standard corpus, or the folder of your own")
    ] = None,
) -> None:
    """Fetch a corpus where that is needed, verify it and count it; without a name, list what there is.

    Fetched corpora are kept in $HEADPRUNE_CACHE (default: ~/.cache/headprune). $HEADPRUNE_MIRROR, a folder or a web
    address, is asked first.
    """
    from headprune.data import display
    from headprune.tasks import TASKS

    kinds = list({task.corpora.name: task.corpora for task in TASKS.values() if task.corpora is not None}.values())
    if name is None:
        display.known(console, kinds)
    else:
        display.obtained(console, name, kinds)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="results/PROFILE")],
    models: Annotated[bool, typer.Option(help="load every checkpoint and count its heads and parameters")] = True,
) -> None:
    """Recompute what can be recomputed of a run and report every difference. Exit status 1 if there is one."""
    from headprune.verification import verify as check_run

    report = check_run(folder, models)
    for line in [*map(str, report.differences), *(f"note: {note}" for note in report.notes)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.checked.items()))
    verdict = f"{len(report.differences)} differences" if report.differences else "no difference"
    console.print(f"{folder}: {counts} checked: {verdict}", markup=False, highlight=False, soft_wrap=True)
    if report.differences:
        raise typer.Exit(1)


@app.command()
def failures(
    folder: Annotated[Path, typer.Argument(help="results/PROFILE")],
    lines: Annotated[int, typer.Option(min=0, help="of the trace or the log, to show of each")] = 5,
) -> None:
    """List what failed, diverged, timed out, is missing or damaged, with its reason and the end of its trace or log."""
    from headprune.pipeline import display
    from headprune.pipeline.failures import failures as found

    display.failures(console, folder, found(folder), lines)


@app.command()
def retry(folder: Annotated[Path, typer.Argument(help="results/PROFILE")]) -> None:
    """Forget what failed in a run, and what of it is lost or damaged: the next `snakemake` computes it again."""
    from headprune.pipeline.forgetting import forget_failures

    for path in forget_failures(folder):
        console.print(f"removed {path}")


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="results/PROFILE")],
    elsewhere: Annotated[bool, typer.Option("--elsewhere", help="the last call, on another machine, is over")] = False,
) -> None:
    """Go on with a run, whatever ended it: its last snakemake command again, unlocked, its Slurm jobs cancelled."""
    from headprune.pipeline import calls

    calls.resume(folder, elsewhere, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))


app.command("inspect")(own.inspect_checkpoint)
app.command("prune")(own.prune_checkpoint)
app.command(hidden=True)(jobs.job)
app.command(hidden=True)(jobs.collect)


def main() -> Any:
    """Run a command: errors of the user are one line, everything else keeps its trace."""
    try:
        return app()
    except (OSError, ValueError) as error:
        Console(stderr=True).print(f"[red]error[/red]: {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
