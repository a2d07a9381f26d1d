"""Reports on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headprune.check.base import CheckReport

MARKS = {"passed": "[green]✓[/green]", "failed": "[red]✗[/red]", "unreached": "[yellow]–[/yellow]"}


def report(console: Console, report: CheckReport) -> None:
    """Every check with a mark, and of a failed one the reason and the remedy."""
    kind = f" ({report.entry.kind} method)" if report.entry.kind else ""
    console.print(f"[bold]{escape(report.entry.name)}[/bold]{kind}, {escape(str(report.entry.file))}", soft_wrap=True)
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for result in report.results:
        text = escape(result.title) + (f"[dim]: {escape(result.text)}[/dim]" if result.text else "")
        if result.status == "failed":
            text = f"[bold]{escape(result.title)}[/bold]\n{escape(result.text)}"
            text += f"\n[cyan]mend:[/cyan] {escape(result.remedy)}"
        table.add_row(f"  {MARKS[result.status]}", text)
    console.print(table)
    done = sum(result.status == "passed" for result in report.results)
    verdict = "[green]passed[/green]" if report.passed else "[red]refused[/red]"
    console.print(f"{verdict}: {done} of {len(report.results)} checks hold\n")
