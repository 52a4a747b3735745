"""`wardstream features PATIENT`: what is known of a patient now, and how old each value is.

Owns the command. Must not know how features are computed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from connectors.decoded import Identifier
from connectors.redis.connection import RedisConnectionError, connect
from connectors.redis.identity_store import RedisIdentityStore
from connectors.redis.layout import Client, LayoutError
from connectors.redis.settings import PASSWORD_VARIABLE, RedisSettings
from connectors.redis.views import StoredView, read_stored_view
from connectors.sqlite.journal import SqliteJournal
from events import MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis, to_iso
from features.store import StoreFault
from models.news2 import score_news2
from models.news2_table import Scale
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import config_option, read_instant, read_site
from stream.features_view import FeaturesView, UnknownViewError, read_view
from stream.records import PatientRecord
from stream.scoring import readings_now
from stream.service import open_for_reading
from stream.versions import load_versions

HELP = """Show PATIENT's current features with the age of each.

With --data-dir, those of an embedded service's folder; without it, those of the live service, read from Redis as the
[redis] table of wardstream.toml says (password: the environment variable WARDSTREAM_REDIS_PASSWORD).

PATIENT is the pseudonymous key (as in scores.ndjson) or AUTHORITY|VALUE, the source's own identifier.

\b
Examples:
  wardstream features 0b5d0e8c-... --config wardstream.toml
  wardstream features "MRN|4711" --data-dir /var/lib/wardstream --at 2026-03-03T12:00:00Z
"""

UNCOMMITTED_MS_MAX = 5 * MILLIS_PER_MINUTE
"""A partition that somebody works is committed each minute, for a tick comes that often; a restart takes some."""


@click.command("features", help=HELP)
@click.argument("patient")
@click.option(
    "--data-dir",
    default=None,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data folder of an embedded service.",
)
@click.option("--live", is_flag=True, help="The live service's, from Redis: what is meant without --data-dir.")
@config_option
@click.option(
    "--at",
    default=None,
    callback=read_instant,
    metavar="TIME",
    help="Ages as of this instant. Default: of a data folder, when the patient was last heard of; of Redis, now.",
)
def command(patient: str, data_dir: Path | None, *, live: bool, config_path: Path | None, at: Millis | None) -> int:
    """Show them."""
    if data_dir is not None and live:
        raise click.UsageError("--live and --data-dir are two services: name one.")
    if data_dir is not None:
        return _from_folder(patient, data_dir, at)
    return _from_redis(patient, read_site(config_path).redis, int(time.time() * 1000) if at is None else at)


# -- a data folder ---------------------------------------------------------------------------------------------------


def _from_folder(patient: str, data_dir: Path, at: Millis | None) -> int:
    host = open_for_reading(data_dir, load_versions()[0])
    key = _resolve(patient, data_dir)
    record = host.shelf.find(key) if key else None
    if record is None:
        return _failed("no such patient here. Give the key from scores.ndjson, or AUTHORITY|VALUE.")
    moment = record.heard if at is None else at
    _show(record, moment, host.pipeline.control.scale(key, merged=record.is_on_scale_2(moment)))
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
    table = _table(at)
    for name, reading in readings_now(state, at).items():
        feature = state.catalogue.by_name(name)
        age = at - reading.event_time
        stale = feature.max_age_ms is not None and age > feature.max_age_ms
        _add(table, name, reading.value, feature.unit, age, stale=stale)
    console = Console()
    console.print(table)
    news2 = score_news2(state, at, scale)
    missing = ", ".join(news2.missing) or "nothing"
    console.print(f"NEWS2 {news2.total} ({news2.low} to {news2.high}), {news2.band}; missing: {missing}")


# -- Redis -----------------------------------------------------------------------------------------------------------


def _from_redis(patient: str, settings: RedisSettings, at: Millis) -> int:
    try:
        client = connect(settings, os.environ.get(PASSWORD_VARIABLE, ""))
        try:
            key = _key_in_redis(patient, client, settings.prefix)
            stored = read_stored_view(client, settings.prefix, key) if key else None
        finally:
            client.close()
        view = None if stored is None else read_view(stored.document)
    except (RedisConnectionError, LayoutError, StoreFault, UnknownViewError) as error:
        return _failed(str(error))
    if stored is None or view is None:
        return _failed(
            "no such patient in Redis. Give the key as in scores.v1, or AUTHORITY|VALUE; the discharged are forgotten."
        )
    _show_view(view, stored, at)
    return EXIT_DONE


def _key_in_redis(patient: str, client: Client, prefix: str) -> str:
    """Give the patient key: as it is, or looked up by the source's identifier (which a reader of views may not)."""
    if "|" not in patient:
        return patient
    authority, _, value = patient.rpartition("|")
    name = (authority, value)
    link = RedisIdentityStore(client, prefix).look([name], ()).links.get(name)
    return "" if link is None else link.patient


def _show_view(view: FeaturesView, stored: StoredView, at: Millis) -> None:
    table = _table(at)
    for name, feature in view.features.items():
        if feature.event_time <= at:
            held_back = name in view.held_back
            _add(table, name, feature.value, feature.unit, at - feature.event_time,
                 stale=feature.stale(at), note="newer value quarantined" if held_back else "")  # fmt: skip
    console = Console()
    console.print(table)
    place = view.location
    where = ", ".join(f"{name} {text}" for name, text in (("ward", place.ward), ("bed", place.bed)) if text)
    console.print(f"{where or 'no place known'}; {'admitted' if view.admitted else 'not admitted'}")
    lag_s = max(0, view.written_at - view.as_of) // MILLIS_PER_SECOND
    console.print(f"last heard of {to_iso(view.as_of)}; written {lag_s} s later")
    if stored.committed_at is None or at - stored.committed_at > UNCOMMITTED_MS_MAX:
        when = "ever" if stored.committed_at is None else f"since {to_iso(stored.committed_at)}"
        click.echo(f"Warning: no worker has committed anything to partition {stored.partition} {when}.", err=True)


# -- both ------------------------------------------------------------------------------------------------------------


def _table(at: Millis) -> Table:
    table = Table(title=f"As of {to_iso(at)}")
    for column in ("feature", "value", "unit", "age", ""):
        table.add_column(column, justify="right" if column in ("value", "age") else "left")
    return table


def _add(table: Table, name: str, value: float, unit: str, age: Millis, *, stale: bool, note: str = "") -> None:
    minutes = age // MILLIS_PER_MINUTE
    notes = [text for text in ("STALE" if stale else "", note) if text]
    table.add_row(name, f"{value:g}", unit, f"{minutes // 60} h {minutes % 60:02d} min", ", ".join(notes))


def _failed(why: str) -> int:
    click.echo(f"Error: {why}", err=True)
    return EXIT_FAILED
