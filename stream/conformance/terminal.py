"""A report on the terminal: the verdict, what to do, then the figures.

Owns the drawing. Must not know what is in a table.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stream.conformance.shape import Report
from stream.conformance.tables import ROWS_SHORT, tables_of
from stream.printable import in_a_cell

VERDICTS = {
    "ready": ("green", "READY", "nothing was found that keeps this feed from going live"),
    "ready_with_findings": ("yellow", "READY, WITH FINDINGS", "nothing has to be mended; look at what follows"),
    "not_ready": ("red", "NOT READY", "mend what is marked MUST, and check again"),
}
COLOURS = {"must": "red", "should": "yellow", "note": "dim"}


def show(report: Report, console: Console, *, whole: bool = False) -> None:
    """Draw a report; `whole` draws every row of every table."""
    colour, word, meaning = VERDICTS[report.verdict]
    console.print(f"[bold {colour}]{word}[/]: {meaning}.")
    console.print(
        f"{report.account.messages:,} messages of {report.sources} SOURCE, configuration {report.configuration}"
    )
    if report.findings:
        console.print()
    lines = Table.grid(padding=(0, 1))
    for finding in report.findings:
        where = f" [dim]\\[{in_a_cell(finding.example)}][/]" if finding.example else ""
        lines.add_row(
            f"[{COLOURS[finding.severity]}]{finding.severity.upper()}[/]",
            f"{in_a_cell(finding.title)}{where}\n[italic]→ {in_a_cell(finding.action)}[/]",
        )
    console.print(lines)
    for shown in tables_of(report):
        table = Table(title=shown.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
        for number, column in enumerate(shown.columns):
            table.add_column(column, justify="left" if number == 0 or not _numeric(shown.rows, number) else "right")
        rows = shown.rows if whole else shown.rows[:ROWS_SHORT]
        for row in rows:
            table.add_row(*map(in_a_cell, row))
        console.print(table)
        if len(shown.rows) > len(rows):
            console.print(f"  … {len(shown.rows) - len(rows):,} more: --all, --html or --json", style="dim")
        if shown.remark:
            console.print(f"  {shown.remark}", style="dim")


def _numeric(rows: Sequence[tuple[str, ...]], column: int) -> bool:
    """Whether a column holds numbers alone."""
    cells = [row[column] for row in rows if row[column]]
    return bool(cells) and all(cell.replace(",", "").replace(".", "").isdigit() for cell in cells)
