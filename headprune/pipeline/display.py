"""Pictures in the terminal: a run, a cell, a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from headprune.heads import TYPES, HeadSpace
from headprune.pipeline.failures import Failure
from headprune.pipeline.progress import overview
from headprune.pipeline.records import MISSING, find, read
from headprune.results import outputs
from headprune.results.layout import RunFolder, run_of_cell
from headprune.results.vocabulary import UNITS
from headprune.system.terminal import Column, say, show


def run(console: Console, folder: Path) -> None:
    """Progress of a run and what failed in it."""
    say(console, f"{folder}: {overview(folder) or 'not started'}")
    place = RunFolder(folder)
    for path in (path for step in ("pruned", "test", "speed") for path in place.records(step)):
        record = find(path)
        if record["status"] != "ok":
            say(console, f"  {place.cell_name(path)}: {record['status']}: {record['reason']}")
    if done := place.records("test"):
        say(console, f"{len(done)} cells; look at one with: headprune show {done[0].parent}")


def failures(console: Console, folder: Path, found: list[Failure], lines: int) -> None:
    """Every failure with its reason and the last lines of its trace or log; those that others caused without."""
    for failure in found:
        console.print(
            f"[bold]{escape(failure.what)}[/bold]: {failure.status}: {escape(failure.reason)}", soft_wrap=True
        )
        for line in failure.last_lines(0 if failure.upstream else lines):
            console.print(f"    {line}", style="dim", markup=False, highlight=False, soft_wrap=True)
        if failure.log is not None and failure.log.exists() and not failure.upstream:
            console.print(f"    log: {failure.log}", markup=False, highlight=False, soft_wrap=True)
    counts = {status: sum(f.status == status for f in found) for status in sorted({f.status for f in found})}
    summary = ", ".join(f"{count} {status}" for status, count in counts.items()) or "nothing failed"
    console.print(f"{folder}: {summary}", highlight=False, soft_wrap=True)
    if set(counts) - {"missing"}:
        console.print(f"to try again: headprune retry {folder}, then snakemake as before", soft_wrap=True)


def cell(console: Console, folder: Path) -> None:
    """Mask, metrics and signature of one cell.

    :raises DamagedError: its record cannot be read.
    """
    pruned = read(folder / "pruned.json", "pruned")
    say(console, f"{folder}  signature {pruned['signature']}  {pruned['status']}")
    if pruned["reason"]:
        say(console, pruned["reason"])
    if pruned["status"] != "ok":
        return
    mask(console, pruned["heads"], set(pruned["mask"]))
    values: dict[str, Any] = {name: pruned[name] for name in UNITS if pruned.get(name) is not None}
    for name in ("test", "speed"):
        record = find(folder / f"{name}.json", name)
        if record["status"] == "ok":
            values |= {f"{name} {key}": value for key, value in record.items() if key in {*UNITS, "batch_size"}}
        elif record != MISSING:
            say(console, f"{name}: {record['reason']}")
    rows = []
    for name, value in values.items():
        number = value["median"] if isinstance(value, dict) else value[0] if isinstance(value, list) else value
        rows.append((name, f"{number:,.6g}", UNITS.get(name.split()[-1], "")))
    show(console, (Column("metric", "name"), Column("value", "number"), Column("unit")), rows)
    for terms in pruned.get("trainings", []):
        line = f"a training of {terms['updates']:,} updates: initial weights {terms['initial_weights']}, "
        console.print(line + f"data order {terms['data_order']}", highlight=False, soft_wrap=True)
    samples(console, folder)


def samples(console: Console, cell: Path) -> None:
    """Shows how the language model of a cell, RUN/cells/…, goes on from the beginning of a split."""
    run, name = run_of_cell(cell)
    reader = outputs.reader(run.path, name.split("/")[0])
    for split in (split for split in ("valid", "test") if reader.has(name, "sample", split)):
        text = reader.sample(name, split)
        console.print(f"[dim]{escape(text['prompt'])}[/dim]\n{escape(text['continuation'])}", highlight=False)


def mask(console: Console, heads: list[str], kept: set[str]) -> None:
    """Layers down, heads across, one block per attention type: ■ kept, · removed."""
    space = HeadSpace.from_names(heads)
    console.print(f"{len(kept)} of {len(space)} heads kept")
    for kind in TYPES:
        layers = sorted({head.layer for head in space if head.type == kind})
        for layer in layers:
            row = [head for head in space if (head.type, head.layer) == (kind, layer)]
            cells = " ".join("■" if head.name in kept else "·" for head in row)
            console.print(Text(f"  {kind if layer == layers[0] else '':8} {layer}  {cells}"))
