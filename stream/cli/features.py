"""`wardstream features PATIENT`: what is known of a patient now, and how old each value is.

Owns the command. Must not know how features are computed.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from connectors.decoded import Identifier
from connectors.sqlite.journal import SqliteJournal
from events import MILLIS_PER_MINUTE, Millis, to_iso
from models.news2 import score_news2
from models.news2_table import Scale
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import read_instant
from stream.records import PatientRecord
from stream.scoring import readings_now
from stream.service import open_for_reading
from stream.versions import load_versions

HELP = """Show PATIENT's current features with the age of each.

PATIENT is the pseudonymous key (as in scores.ndjson) or AUTHORITY|VALUE, the source's own identifier.

\b
Example:
  wardstream features "MRN|4711" --data-dir /var/lib/wardstream --at 2026-03-03T12:00:00Z
"""


@click.command("features", help=HELP)
@click.argument("patient")
@click.option(
    "--data-dir",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data folder of an embedded service.",
)
@click.option(
    "--at",
    default=None,
    callback=read_instant,
    metavar="TIME",
    help="Ages as of this instant. Default: when the patient was last heard of.",
)
def command(patient: str, data_dir: Path, at: Millis | None) -> int:
    """Show them."""
    host = open_for_reading(data_dir, load_versions()[0])
    key = _resolve(patient, data_dir)
    record = host.shelf.find(key) if key else None
    if record is None:
        click.echo("Error: no such patient here. Give the key from scores.ndjson, or AUTHORITY|VALUE.", err=True)
        return EXIT_FAILED
    _show(record, record.heard if at is None else at, host.pipeline.control.scale(key, merged=record.scale_2))
    return EXIT_DONE


def _resolve(patient: str, folder: Path) -> str:
    """Give the patient key: as it is, or looked up by the source's identifier."""
    if "|" not in patient:
        return patient
    authority, _, value = patient.rpartition("|")
    wanted = Identifier(authority, value)
    journal = SqliteJournal(folder, read_only=True)
    for known_authority, known_value, key in journal.identities():
        if Identifier(known_authority, known_value) == wanted:
            return key
    return ""


def _show(record: PatientRecord, at: Millis, scale: Scale) -> None:
    state = record.state
    table = Table(title=f"As of {to_iso(at)}")
    for column in ("feature", "value", "unit", "age", ""):
        table.add_column(column, justify="right" if column in ("value", "age") else "left")
    for name, reading in readings_now(state, at).items():
        feature = state.catalogue.by_name(name)
        age = at - reading.event_time
        stale = feature.max_age_ms is not None and age > feature.max_age_ms
        minutes = age // MILLIS_PER_MINUTE
        table.add_row(
            name,
            f"{reading.value:g}",
            feature.unit,
            f"{minutes // 60} h {minutes % 60:02d} min",
            "STALE" if stale else "",
        )
    console = Console()
    console.print(table)
    news2 = score_news2(state, at, scale)
    missing = ", ".join(news2.missing) or "nothing"
    console.print(f"NEWS2 {news2.total} ({news2.low} to {news2.high}), {news2.band}; missing: {missing}")
