"""`wardstream run`: the embedded service.

Owns the command: its options, signals, the line that says where it listens, and exit codes. Must not know how the
service works.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import msgspec

from events import MILLIS_PER_DAY
from stream.cli.listening import make_room_for_connections, put_off_hang_ups, read_token, serve
from stream.cli.options import (
    code_version,
    config_option,
    make_release,
    model_option,
    models_folder_option,
    read_pseudonyms,
    read_site,
)
from stream.listening import WaysIn
from stream.logs import set_up_logs
from stream.people_file import PeopleFile
from stream.run import RunningService
from stream.service import EmbeddedService
from stream.service_settings import PORT_MAX

HELP = """Run the embedded service: HL7 v2 over MLLP, FHIR and HL7 v2 over HTTP, alerts out; one process, one folder.

A message is acknowledged when it is on the disk. Kill it at any moment and start it again: nothing acknowledged is
lost, and its outputs are those of a replay of its journal. When it listens, one line of JSON on standard output says
where; logs are JSON on standard error. SIGTERM stops it in order; SIGHUP reads [people] again.

\b
Try it:
  wardstream run --data-dir ward/
  wardstream simulate mllp://127.0.0.1:2575 --start now --speed 60      (in another terminal)
  open http://127.0.0.1:8080/                                           (the board)

\b
For a site: wardstream run --config wardstream.toml    (see docs/operations.md and deploy/)
Environment: WARDSTREAM_PSEUDONYM_KEY (your own key for pseudonyms), WARDSTREAM_HTTP_TOKEN (bearer token for HTTP;
needed where HTTP listens beyond loopback).
"""


@click.command("run", help=HELP)
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), help="The data folder; made where it is not there."
)
@click.option("--mllp-port", type=click.IntRange(0, PORT_MAX), help="Default 2575; 0 takes a free one.")
@click.option("--http-port", type=click.IntRange(0, PORT_MAX), help="Default 8080; 0 takes a free one.")
@click.option("--mllp-host", help="Default 127.0.0.1.")
@click.option("--http-host", help="Default 127.0.0.1. Anything beyond loopback needs a token.")
@click.option("--trust-clock", is_flag=True, help="Believe the machine's clock though it jumped far ahead.")
@config_option
@model_option
@models_folder_option
def command(
    data_dir: Path | None,
    mllp_port: int | None,
    http_port: int | None,
    mllp_host: str | None,
    http_host: str | None,
    config_path: Path | None,
    model_name: str | None,
    models_dir: Path | None,
    *,
    trust_clock: bool,
) -> int:
    """Run until told to stop."""
    site = read_site(config_path)
    given = {"mllp_port": mllp_port, "http_port": http_port, "mllp_host": mllp_host, "http_host": http_host}
    settings = msgspec.structs.replace(
        site.service, **{name: value for name, value in given.items() if value is not None}
    )
    if not (settings.mllp_host and settings.http_host):
        raise click.UsageError("an empty host would be every address there is: name one, such as 127.0.0.1")
    folder = data_dir or (Path(settings.data_dir) if settings.data_dir else None)
    if folder is None:
        raise click.UsageError("name the data folder: --data-dir DIR, or data_dir under [service] in the configuration")
    token = read_token(settings)
    log = set_up_logs(settings.log_level)
    people = PeopleFile(config_path, site.people, log)
    put_off_hang_ups(people)
    settings = make_room_for_connections(settings, log)
    release, versions = make_release(site.settings, model_name, models_dir, trusted=site.live.version_keys)
    log.info("opening", version=code_version())
    service = EmbeddedService(
        folder,
        release,
        versions,
        read_pseudonyms(),
        retention_ms=int(settings.retention_days * MILLIS_PER_DAY),
        warn=lambda text: log.warning("journal", text=text),
    )

    def make() -> RunningService:
        running = RunningService(
            folder,
            service,
            settings,
            version=release.code_version,
            log=log,
            token=token,
            people=site.people,
            ways=WaysIn(site.mllp, site.batch, site.fhir_sources),
            trust_clock=trust_clock,
        )
        people.begin(running.use_people)
        return running

    advice = "a thread died; start again: nothing acknowledged is lost"
    return asyncio.run(serve(make, log, advice=advice, hang_up=people.reread))
