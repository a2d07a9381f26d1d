"""`headprune …`: what a user asks for, and the jobs that Snakemake runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from headprune.config import ConfigError, load
from headprune.method import load_methods
from headprune.method.registry import BUILT_IN

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
console = Console()

ConfigFile = Annotated[Path, typer.Argument(help="a profile: workflows/config/NAME.yaml")]
RunFolder = Annotated[Path, typer.Argument(help="results/PROFILE, or the folder of one cell in it")]


@app.command()
def methods(
    directory: Annotated[list[Path] | None, typer.Option(help="further folders with method files")] = None,
) -> None:
    """List the pruning methods with their kind, options and paper."""
    table = Table("method", "kind", "options", "paper", title="pruning methods")
    for entry in load_methods(BUILT_IN, *(directory or [])).values():
        defaults = entry.method.Options()  # type: ignore[attr-defined]
        options = ", ".join(f"{key}={value}" for key, value in vars(defaults).items())
        table.add_row(entry.name, entry.kind, options, entry.paper)
    console.print(table)


@app.command()
def plan(config: ConfigFile, cores: Annotated[int, typer.Option(help="cores the run may use")] = 2) -> None:
    """Check a profile and show its cells, jobs and estimated hours. Nothing is written or run."""
    from headprune.pipeline.plan import Plan

    grid = Plan(load(config))
    table = Table("method", "budgets", "seeds", "cells", title=f"profile {grid.config.profile}")
    for model in grid.config.models:
        for method in grid.config.methods:
            seeds = grid.seeds(method)
            cells = sum(len(grid.cells_of(model, method.label, seed)) for seed in seeds)
            budgets = " ".join(map(str, grid.budgets(method, model)))
            table.add_row(f"{model}/{method.label}", budgets, " ".join(map(str, seeds)), str(cells))
    console.print(table)
    hours = sum(grid.estimate(job) for job in grid.jobs) / 3600
    console.print(
        f"{len(grid.cells)} cells, {len(grid.jobs)} jobs, about {hours:.1f} core hours: "
        f"{hours / cores:.1f} hours on {cores} cores"
    )


@app.command()
def show(folder: RunFolder) -> None:
    """Show what a run or one of its cells did: the mask as a layer × head picture, metrics, signature."""
    from headprune.pipeline import display

    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; runs lie under results/")
    if (folder / "pruned.json").exists():
        display.cell(console, folder)
    elif (folder / "cells").is_dir() or (folder / "progress").is_dir():
        display.run(console, folder)
    else:
        raise ConfigError(f"{folder} is neither a results folder nor a cell of one (no cells/, no pruned.json)")


@app.command()
def data(name: Annotated[str, typer.Argument(help="an embedded corpus or the folder of your own")]) -> None:
    """Find a corpus and verify its checksums."""
    from headprune.data import corpus, read_pairs

    found = corpus(name)
    for split in ("train", "valid", "test"):
        console.print(f"{found.name} {split}: {len(read_pairs(found, split)):,} pairs, verified")
    console.print(f"licence: {found.licence}")


@app.command()
def retry(folder: Annotated[Path, typer.Argument(help="results/PROFILE")]) -> None:
    """Forget the failed cells of a run, so that the next `snakemake` computes them again."""
    from headprune.pipeline.jobs import forget_failures

    for path in forget_failures(folder):
        console.print(f"removed {path}")


@app.command(hidden=True)
def job(
    kind: str,
    spec: Annotated[str, typer.Option(help="JSON of Plan.specification")],
    receipt: Annotated[Path, typer.Option(help="file to write when done")],
) -> None:
    """Run one job of the DAG."""
    from headprune.pipeline.jobs import run

    run(kind, json.loads(spec), receipt)


@app.command(hidden=True)
def collect(config: Annotated[str, typer.Option(help="JSON of the whole configuration")]) -> None:
    """Gather all cells into the result tables."""
    from headprune.pipeline.collect import collect as gather
    from headprune.pipeline.plan import Plan

    counts = gather(Plan(load(json.loads(config))))
    print("cells: " + ", ".join(f"{count} {status}" for status, count in counts.items()), flush=True)


def main() -> Any:
    """Runs a command: errors of the user are one line, everything else keeps its trace."""
    try:
        return app()
    except (ConfigError, FileNotFoundError, ValueError) as error:
        Console(stderr=True).print(f"[red]error[/red]: {error}", highlight=False, markup=True)
        sys.exit(2)
