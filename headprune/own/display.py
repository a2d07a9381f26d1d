"""Checkpoints and what became of them, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from headprune.heads import TYPES
from headprune.own.early import check
from headprune.system import stopping
from headprune.system.terminal import Column, say, show

if TYPE_CHECKING:
    from headprune.own.inspection import Inspection
    from headprune.own.request import PruningRequest


def inspection(console: Console, found: Inspection) -> None:
    """An inspection: what the checkpoint is, its heads by type, its parameters by part, and the verdict."""
    say(console, f"{found.path}: architecture {found.architecture}, task {found.task}")
    pair = "-".join(language for language in found.languages if language) or "languages not told"
    updates = "updates not told" if found.updates is None else f"{found.updates:,} updates"
    words = ", ".join(f"{part} {count:,} words" for part, count in found.words.items())
    say(console, f"{pair}, {updates}, arguments in {found.form!r}, {words}")
    for place in found.dictionaries:
        say(console, f"dictionary {place}")
    total = sum(found.parameters.values())
    rows = [[part, f"{count:,}", f"{count / total:.1%}"] for part, count in found.parameters.items()]
    show(console, [Column("parameters", "name"), Column("number", "number"), Column("share", "number")], rows)
    say(console, f"{total:,} parameters")
    for kind in TYPES:
        modules = [count for name, count in found.heads.items() if name.startswith(f"{kind}.")]
        if modules:
            say(console, f"{kind}: {sum(modules)} heads in {len(modules)} modules ({' + '.join(map(str, modules))})")
    if found.refusal:
        say(console, f"cannot be pruned: {found.refusal}")
    else:
        say(console, f"can be pruned: {sum(found.heads.values())} heads")


def watched(console: Console, request: PruningRequest) -> Mapping[str, Any]:
    """Do what a request asks for, with a bar of its steps meanwhile. Asked to end, it ends where it can go on."""
    check(request)  # before torch is imported
    from headprune.own.run import prune

    columns = Progress.get_default_columns()
    with stopping.listening(), Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("opening the model", total=None)

        def tell(done: int, total: int, what: str) -> None:
            progress.update(bar, completed=done, total=total, description=what)

        try:
            return prune(request, tell)
        except stopping.Stopped:
            say(console, f"stopped; called again it goes on with what is in {request.out}")
            raise


def summary(console: Console, out: Path, found: Mapping[str, Any]) -> None:
    """The models that came out, and where they are."""
    from headprune.own.page import noise  # imports torch, which is there by now

    metric = found["metric"]
    rows = []
    for record in found["models"]:
        test = record.get("against_unpruned")
        change = [f"{test['difference']:+.2f}", f"{test['p_value']:.2g}"] if test else ["", ""]
        sizes = [f"{record['parameters']:,}", f"{record['macs_per_token']:,.0f}"]
        heads = f"{record['heads_kept']} of {record['heads']}"
        rows.append([heads, f"{record['scores'][metric]:.2f}", *change, *sizes])
    titles = {metric: False, "difference": False, "p": False, "parameters": False, "MACs": True}
    show(console, [Column("heads", "name"), *(Column(each, "number", spare) for each, spare in titles.items())], rows)
    for sentence in noise(found):
        say(console, sentence)
    for target, reached in found["targets"].items():
        say(console, f"{target}: {reached['heads_kept']} heads")
    say(console, f"{out / 'summary.md'} tells how they are used")
