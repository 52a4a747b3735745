"""`wardstream backup`: a copy of a data folder, beside the service that runs on it.

Owns the command and its progress. Must not know how a copy is made to fit together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from connectors.sqlite.backup import Contents, back_up
from connectors.sqlite.backup import Progress as Hear
from events import to_iso
from stream.cli import EXIT_DONE

HELP = """Copy a data folder, while the service runs on it or not.

TARGET is a new folder, or a new file where it ends in .tar; what is there is never overwritten. The copy is checked
before it gets its name. It holds patient data: keep it as you keep the records, and the pseudonym key apart from it.

\b
Examples:
  wardstream backup --data-dir /var/lib/wardstream --to /backup/tuesday
  wardstream backup --data-dir /var/lib/wardstream --to /backup/tuesday.tar
"""


@click.command("backup", help=HELP)
@click.option(
    "--data-dir",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data folder of an embedded service.",
)
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path), help="A new folder, or a new .tar file."
)
def command(folder: Path, target: Path) -> int:
    """Make the backup."""
    with show_files("backup") as hear:
        contents = back_up(folder, target, hear)
    click.echo(f"backed up {describe(contents)} to {target}")
    return EXIT_DONE


def describe(contents: Contents) -> str:
    """Say how many records a backup holds, and up to when.

    >>> describe(Contents("f", 2, "j", 10, 30, 1_767_225_600_000, ()))
    '20 records (11 to 30), up to 2026-01-01T00:00:00Z,'
    """
    records = contents.end - contents.begin
    if records == 0:
        return "no records,"
    until = to_iso(contents.last_received_time)
    return f"{records:,} records ({contents.begin + 1} to {contents.end}), up to {until},"


@contextmanager
def show_files(what: str) -> Iterator[Hear]:
    """Show the file at hand and how much of it is done, on a terminal's standard error, while the block runs."""
    with Progress(
        TextColumn(what), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("")

        def hear(name: str, done: int, total: int) -> None:
            progress.update(task, description=name, completed=done, total=total)

        yield hear
