"""Methods and their fidelity cards on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from headprune.method.registry import BUILT_IN, Entry

CARDS = BUILT_IN.parent / "docs" / "methods"


def methods(console: Console, entries: Iterable[Entry]) -> None:
    """One line per method, cut to the width of the terminal."""
    entries = list(entries)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", min_width=max((len(entry.name) for entry in entries), default=0))
    table.add_column("kind", min_width=5)
    for title, ratio in (("what it does", 3), ("paper", 2)):
        table.add_column(title, no_wrap=True, overflow="ellipsis", ratio=ratio)
    for entry in entries:
        table.add_row(escape(entry.name), entry.kind, escape(entry.summary), escape(entry.paper))
    console.print(table)
    console.print("[dim]`headprune methods NAME` shows options and fidelity card[/dim]", highlight=False)


def method(console: Console, entry: Entry) -> None:
    """Options with their help, then the fidelity card."""
    paper = f"; {entry.paper}" if entry.paper else ""
    console.print(f"[bold]{escape(entry.name)}[/bold] ({entry.kind} method{escape(paper)})\n{escape(entry.summary)}\n")
    if options := fields(entry.method.Options):  # type: ignore[attr-defined]
        table = Table("option", "default", "what it is", box=SIMPLE_HEAD, pad_edge=False)
        for item in options:
            choices = ", ".join(map(str, item.metadata.get("choices", ())))
            text = item.metadata.get("help", "") + (f" ({choices})" if choices else "")
            table.add_row(escape(item.name), escape(str(item.default)), escape(text))
        console.print(table)
    else:
        console.print("no options")
    path = card(entry)
    if path.is_file():
        console.print(Markdown(path.read_text(encoding="utf-8")))
    else:
        console.print(f"\n[dim]no fidelity card: {escape(str(path))} would be it[/dim]", highlight=False)


def card(entry: Entry) -> Path:
    """Where the fidelity card of a method is: in docs/methods, or beside the file of a method from elsewhere."""
    folder = CARDS if entry.file.parent == BUILT_IN else entry.file.parent
    return folder / f"{entry.name}.md"
