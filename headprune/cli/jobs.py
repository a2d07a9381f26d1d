"""The commands that the rules of the workflow call; `headprune --help` leaves them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def job(
    kind: str,
    spec: Annotated[str, typer.Option(help="JSON of its specification; -: from the standard input")],
    receipt: Annotated[Path, typer.Option(help="file to write when done")],
    attempt: Annotated[int, typer.Option(help="counted from 1; the parent of the job reads it")] = 1,
    minutes: Annotated[float | None, typer.Option(help="time limit; the parent of the job keeps it")] = None,
) -> None:
    """Run one job of the DAG."""
    from headprune.pipeline.jobs import run
    from headprune.pipeline.specification import parsed, require_meaning
    from headprune.pipeline.supervisor import read_spec

    given = parsed(read_spec(spec), kind)
    require_meaning(given)
    run(kind, given, receipt)


def collect(
    config: Annotated[str, typer.Option(help="JSON of the whole configuration; -: from the standard input")],
) -> None:
    """Gather all cells into the result tables."""
    from headprune.config import load
    from headprune.pipeline.collect import collect as gather
    from headprune.pipeline.plan import Plan
    from headprune.pipeline.specification import json_object
    from headprune.pipeline.supervisor import read_spec

    values = json_object(read_spec(config), "--config")
    counts = gather(Plan(load(values)), lambda line: print(line, flush=True))
    print("cells: " + ", ".join(f"{count} {status}" for status, count in counts.items()), flush=True)
