"""`wardstream compare`: what two replays told, side by side.

Owns the options and the tables. Must not know how alerts are matched.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream.cli import EXIT_DONE, EXIT_REFUSED_IN_PART
from stream.cli.progress import output_console
from stream.printable import in_a_cell

if TYPE_CHECKING:
    from stream.comparing.report import Comparison, Difference, Told

ROWS_SHORT = 40
PATIENT_SHOWN = 8
COLOURS = {"appeared": "yellow", "vanished": "red", "moved": "cyan", "changed": "cyan"}

HELP = """Name each alert that appeared, vanished or moved from the replay in FIRST to the one in SECOND, and why.

Both are folders that `wardstream replay SOURCE --out DIR` wrote, of the same SOURCE: by another version, another
configuration or another release. An alert counts as its ward heard it: one that was in shadow in FIRST and is told
in SECOND has appeared. Why is said by the scores of that moment: the sub-scores of NEWS2, the risk, the filter that
kept it back, or the message that was refused.

\b
Examples:
  wardstream replay journal:/var/lib/wardstream --from 2026-03-03 --to 2026-03-04 --out as-it-was
  wardstream replay journal:/var/lib/wardstream --from 2026-03-03 --to 2026-03-04 --model NEW --out tried
  wardstream compare as-it-was tried
  wardstream compare as-it-was tried --json - | jq .counts

\b
Exit codes: 0 compared; 3 (with --strict) an alert is not the same; 1 failed; 2 wrong usage.
"""


@click.command("compare", help=HELP)
@click.argument("first", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("second", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
              help="Write the report as JSON; - is standard output, in the place of the tables.")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Every alert that differs, not only the first ones.")
@click.option("--strict", is_flag=True, help="Exit with 3 where an alert is not the same.")
def command(first: Path, second: Path, json_path: Path | None, *, everything: bool, strict: bool) -> int:
    """Compare, and report."""
    from stream.comparing.report import bytes_of, compare

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console, shown = Console(stderr=True), sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task("compare", total=bytes_of(first) + bytes_of(second))
        found = compare(first, second, lambda count: progress.advance(task, count))
    text = msgspec.json.format(msgspec.json.encode(found), indent=2)
    to_output = json_path is not None and str(json_path) == "-"
    if to_output:
        click.echo(text.decode())
    else:
        if json_path is not None:
            json_path.write_bytes(text + b"\n")
        _show(found, output_console(), everything=everything)
    return EXIT_REFUSED_IN_PART if strict and found.differences else EXIT_DONE


def _show(found: Comparison, console: Console, *, everything: bool) -> None:
    counts = ", ".join(f"{found.counts.get(kind, 0):,} {kind}" for kind in ("same", *COLOURS))
    console.print(f"Alerts that a ward heard: {counts}.", highlight=False)
    if found.counts.get("unheard"):
        console.print(f"{found.counts['unheard']:,} more no ward heard of, in either run.", highlight=False)
    if found.identical:
        console.print("All outputs are the same, bit for bit.")
    for name, (before, after) in found.versions.items():
        words = ("(none)" if value in (None, "") else str(value) for value in (before, after))
        console.print(in_a_cell(f"{name}: {' -> '.join(words)}"), highlight=False)
    if any(figure.first != figure.second for figure in found.figures):
        console.print(_figures(found))
    if found.differences:
        rows = found.differences if everything else found.differences[:ROWS_SHORT]
        console.print(_alerts(rows))
        if len(found.differences) > len(rows):
            console.print(f"  … {len(found.differences) - len(rows):,} more: --all or --json", style="dim")


def _figures(found: Comparison) -> Table:
    table = Table(title="Figures that differ", title_justify="left")
    for column in ("", "first", "second"):
        table.add_column(column, justify="right" if column else "left")
    for figure in found.figures:
        if figure.first != figure.second:
            table.add_row(figure.name.replace("_", " "), _number(figure.first), _number(figure.second))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"


def _alerts(rows: tuple[Difference, ...]) -> Table:
    table = Table(title="Alerts that differ, in order of time (UTC)", title_justify="left")
    for column in ("", "patient", "of", "first: told at, where", "second: told at, where", "why"):
        table.add_column(column)
    for one in rows:
        kind = f"[{COLOURS[one.kind]}]{one.kind}[/]"
        trigger = one.trigger.replace("news2_floor", "NEWS2")
        told = (_told(one.first), f"{_told(one.second)}{_later(one)}")
        table.add_row(kind, in_a_cell(one.patient[:PATIENT_SHOWN]), trigger, *told, in_a_cell(one.why))
    return table


def _told(one: Told | None) -> str:
    if one is None or not one.told:
        return "-"
    return in_a_cell(f"{one.told[:16].replace('T', ' ')} {one.ward}, {one.bed}")


def _later(one: Difference) -> str:
    if not one.moved_s:
        return ""
    minutes, word = abs(one.moved_s) // 60, "later" if one.moved_s > 0 else "earlier"
    return f" ({minutes} min {word})" if minutes else f" ({abs(one.moved_s)} s {word})"
