"""Methods and their fidelity cards on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from headprune.method.entry import BUILT_IN, Entry
from headprune.system.bundled import bundled
from headprune.system.terminal import Column, say, show

CARDS = bundled("docs/methods")


def methods(console: Console, entries: Iterable[Entry]) -> None:
    """A row per method."""
    columns = (Column("method", "name"), Column("kind", "name"), Column("what it does"), Column("paper", spare=True))
    show(console, columns, [(entry.name, entry.kind, entry.summary, entry.paper) for entry in entries])
    console.print("[dim]`headprune methods NAME` shows options and fidelity card[/dim]", highlight=False)


def method(console: Console, entry: Entry) -> None:
    """Options with their help, then the fidelity card."""
    paper = f"; {entry.paper}" if entry.paper else ""
    console.print(f"[bold]{escape(entry.name)}[/bold] ({entry.kind} method{escape(paper)})\n{escape(entry.summary)}\n")
    if options := fields(entry.method.Options):  # type: ignore[attr-defined]
        rows = []
        for item in options:
            choices = ", ".join(map(str, item.metadata.get("choices", ())))
            text = item.metadata.get("help", "") + (f" ({choices})" if choices else "")
            space = item.metadata.get("space")
            rows.append((item.name, str(item.default), text + (f"; tuned over {space}" if space else "")))
        columns = (Column("option", "name"), Column("default", "name"), Column("what it is"))
        show(console, columns, rows)
    else:
        console.print("no options")
    path = card(entry)
    if path.is_file():
        console.print(Markdown(path.read_text(encoding="utf-8")))
    else:
        say(console, f"\nno fidelity card: {path} would be it")


def card(entry: Entry) -> Path:
    """Path of a method's fidelity card: in docs/methods, or beside the file of a method from elsewhere."""
    folder = CARDS if entry.file.parent == BUILT_IN else entry.file.parent
    return folder / f"{entry.name}.md"
