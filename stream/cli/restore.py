"""`wardstream restore`: a backup becomes a data folder again.

Owns the command. Must not know how a backup is checked.
"""

from __future__ import annotations

from pathlib import Path

import click

from connectors.sqlite.backup import restore
from stream.cli import EXIT_DONE
from stream.cli.backup import describe, show_files

HELP = """Put a backup back into a new or empty folder, checked file by file.

The service that is started on it goes on from the last record of the backup. What was acknowledged after that is not in
it: senders that can repeat it should, and what is there already is recognised.

\b
Example:
  wardstream restore /backup/tuesday.tar --data-dir /var/lib/wardstream
"""


@click.command("restore", help=HELP)
@click.argument("backup", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--data-dir", "folder", required=True, type=click.Path(path_type=Path), help="A folder that is new or empty."
)
def command(backup: Path, folder: Path) -> int:
    """Restore it."""
    with show_files("restore") as hear:
        contents = restore(backup, folder, hear)
    click.echo(f"restored {describe(contents)} into {folder}")
    return EXIT_DONE
