"""`wardstream doctor`: checks the installation, the configuration and a data folder, and says what to do.

Owns the list of checks. Must not know how anything is mended: each finding names the step.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import click
from packaging.requirements import Requirement
from rich.console import Console

from connectors.batches.inbox import FAILED, RESULTS_SUFFIX
from connectors.kafka.settings import PASSWORD_VARIABLE as KAFKA_PASSWORD
from connectors.mllp.tls import problems
from connectors.redis.settings import PASSWORD_VARIABLE as REDIS_PASSWORD
from connectors.sqlite.journal import JournalError, SqliteJournal
from connectors.sqlite.state_store import SqliteStateStore
from events import Millis
from stream.catalogues import catalogue_for
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import PSEUDONYM_KEY_VARIABLE, TOKEN_VARIABLE, config_option, read_settings, read_site
from stream.service import STATE_FILE
from stream.settings import ConfigurationError
from stream.versions import load_versions

FREE_BYTES_MIN = 1024**3
"""Below 1 GiB free a journal of a mid-sized hospital fills within a day."""
SQLITE_MIN = (3, 35, 0)
"""The first SQLite with the upsert and returning clauses that stores of ours may use."""

LIVE_TABLES = {"kafka", "redis", "live"}
"""A configuration with one of these is of a live installation."""

Finding = tuple[bool, str, str]
"""(well, what was looked at, what to do if not well)."""


HELP = """Check versions, configuration, model versions and a data folder; exit 1 where something is wrong.

Where the configuration has [kafka], [redis] or [live], Kafka and Redis are looked at too: reached and secured as it
says, topics as declared, nothing thrown out or forgotten, clocks, trusted versions, names. Nothing is changed.

\b
Examples:
  wardstream doctor --config wardstream.toml --data-dir /var/lib/wardstream
  wardstream doctor --config live.toml
"""


@click.command("doctor", help=HELP)
@config_option
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="A data folder to look at.")
def command(config_path: Path | None, data_dir: Path | None) -> int:
    """Run the checks; exit 1 where something is wrong."""
    console = Console()
    findings = [
        *_packages(),
        *_configuration(config_path),
        *_pseudonyms(),
        *_people(config_path),
        *_feed_limits(config_path),
        *_mllp(config_path),
        *_batch(config_path),
        *_fhir_sources(config_path),
        *_versions(),
        *(_data_folder(data_dir) if data_dir else ()),
        *_live(config_path),
    ]
    for well, subject, remedy in findings:
        console.print(f"[green]ok[/]    {subject}" if well else f"[red]WRONG[/] {subject}\n      {remedy}")
    return EXIT_DONE if all(well for well, _subject, _remedy in findings) else EXIT_FAILED


def _packages() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield sys.version_info >= (3, 11), f"Python {python}", "install Python 3.11 or later and run `make setup` again"
    yield sqlite3.sqlite_version_info >= SQLITE_MIN, f"SQLite {sqlite3.sqlite_version}", "use a newer Python build"
    for text in requires("wardstream") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = "missing"
        well = found != "missing" and requirement.specifier.contains(found, prereleases=True)
        yield well, f"{requirement.name} {found}", f"needs {requirement}: run `make setup`"


def _live(path: Path | None) -> Iterator[Finding]:
    """Look at Kafka and Redis, where the configuration is of a live installation."""
    try:
        site = read_site(path)
        catalogue = catalogue_for(site.settings)
    except ConfigurationError:
        return  # told already
    if path is None or not LIVE_TABLES & tomllib.loads(path.read_text(encoding="utf-8")).keys():
        return
    from stream.live.doctor import KafkaDoctor
    from stream.live.redis_doctor import RedisDoctor

    passwords = os.environ.get(KAFKA_PASSWORD, ""), os.environ.get(REDIS_PASSWORD, "")
    kafka = KafkaDoctor(site.kafka, site.live, passwords[0], load_versions()[0], now=_now())
    yield from asyncio.run(kafka.examine())
    yield from RedisDoctor(site.redis, site.kafka, passwords[1], catalogue, _now).examine()


def _now() -> Millis:
    return time.time_ns() // 1_000_000


def _configuration(path: Path | None) -> Iterator[Finding]:
    name = "configuration: the defaults" if path is None else f"configuration {path.name}"
    try:
        catalogue_for(read_settings(path))
    except ConfigurationError as error:
        yield False, name, str(error)
    else:
        yield True, name, ""


def _pseudonyms() -> Iterator[Finding]:
    own = bool(os.environ.get(PSEUDONYM_KEY_VARIABLE))
    name = "pseudonym key: the site's own" if own else "pseudonym key: the PUBLIC one, which hides nobody; set "
    yield True, name if own else f"{name}{PSEUDONYM_KEY_VARIABLE} before outputs leave the house", ""


def _people(path: Path | None) -> Iterator[Finding]:
    """Say loudly where nobody is asked who acts."""
    try:
        people = read_site(path).people
    except ConfigurationError:
        return  # told already
    if not people.configured:
        text = "people: NOBODY may act over HTTP; on Kafka acknowledgements are taken UNSIGNED, and nothing else is; "
        yield True, f"{text}`wardstream people add` before a ward answers alerts", ""
        return
    yield (
        people.require_signed_acts,
        f"people: {len(people.actors)} may act",
        "require_signed_acts is off: whoever may write ack.ingest.v1 acknowledges alerts in any name; turn it on",
    )


def _feed_limits(path: Path | None) -> Iterator[Finding]:
    """Say where a limit can be set by whoever reaches the way in: a record's author is what a sender writes."""
    try:
        chosen = read_settings(path).fhir.limits
    except ConfigurationError:
        return  # told already
    if chosen:
        yield (
            bool(os.environ.get(TOKEN_VARIABLE)),
            f"[fhir] limits: {len(chosen)} codes of Flags and ServiceRequests set limits",
            f"{TOKEN_VARIABLE} is not set: whoever reaches POST /fhir can set them in a named author's name; set it",
        )


def _mllp(path: Path | None) -> Iterator[Finding]:
    """Look at the files of MLLP's TLS, and how long the certificate counts."""
    try:
        mllp = read_site(path).mllp
    except ConfigurationError:
        return  # told already
    if not mllp.encrypted:
        yield True, "MLLP: without TLS, and nobody is asked who sends; let only the engine reach it", ""
        return
    mutual = "senders show a certificate" if mllp.tls_client_ca else "senders are not asked for a certificate"
    found = problems(mllp, datetime.now(UTC))
    yield not found, f"MLLP: TLS; {mutual}", "; ".join(found)


def _batch(path: Path | None) -> Iterator[Finding]:
    """Look at the watched folder, and whether anybody looks at what failed."""
    try:
        name = read_site(path).batch.folder
    except ConfigurationError:
        return  # told already
    if not name:
        return
    folder = Path(name)
    if not (folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
        yield False, f"watched folder {folder}", "batch.folder: make it, writable by the service's user"
        return
    failed = folder / FAILED
    count = sum(1 for one in failed.glob(f"*{RESULTS_SUFFIX}")) if failed.is_dir() else 0
    remedy = "look at their results, mend them, put them back, and remove them from there"
    yield count == 0, f"watched folder {folder}: {count} files in {FAILED}", remedy


def _fhir_sources(path: Path | None) -> Iterator[Finding]:
    """Ask the FHIR servers that are a source."""
    try:
        site = read_site(path)
    except ConfigurationError:
        return  # told already
    if not site.fhir_sources.servers:
        return
    from connectors.fhir_sources.checking import examine
    from stream.fhir_sources import check_bases

    try:
        check_bases(site.fhir_sources, site.settings.fhir)
    except ConfigurationError as error:
        yield False, "FHIR sources", str(error)

    async def ask() -> list[Finding]:
        servers = site.fhir_sources.servers.items()
        return [finding for name, server in servers async for finding in examine(name, server, _now)]

    yield from asyncio.run(ask())


def _versions() -> Iterator[Finding]:
    versions, wrong = load_versions()
    yield (
        bool(versions),
        f"model versions: {', '.join(versions) or 'none'}",
        "reinstall: the shipped version is missing",
    )
    for line in wrong:
        yield False, f"model version {line}", "remove the file or bring the release that wrote it"


def _data_folder(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield False, f"data folder {folder}", "make it, owned by the service's user with mode 0700"
        return
    free = shutil.disk_usage(folder).free
    yield (
        free >= FREE_BYTES_MIN,
        f"free space {free // 1024**2} MiB",
        "free some space: a full disk stops acknowledgements",
    )
    mode = folder.stat().st_mode & 0o077
    yield mode == 0, f"data folder's mode {folder.stat().st_mode & 0o777:o}", "chmod 700: it holds patient identifiers"
    if not (folder / "journal.db").exists():
        yield True, "no journal yet", ""
        return
    try:
        journal = SqliteJournal(folder, read_only=True)
        end, watermark = journal.end(), SqliteStateStore(folder / STATE_FILE, read_only=True).watermark()
    except (JournalError, sqlite3.DatabaseError) as error:
        yield False, "journal", str(error)
        return
    yield (
        watermark <= end,
        f"journal of {end} records, folded to {watermark}",
        ("the state is ahead of the log: restore the folder from a backup, or remove state.db* to refold"),
    )
