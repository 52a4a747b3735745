"""`wardstream fhir import / keys`: a FHIR server's data taken in once, and the public key that it is to know us by.

Owns the commands. Must not know how an export goes, nor how anything is stored. No output names a patient.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import click
import msgspec
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_exponential_jitter

from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.client import SourceClient
from connectors.fhir_sources.exporting import LOOK_S_MAX, Export
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.importing import bodies_of
from connectors.fhir_sources.settings import FhirServer
from connectors.http.client import FhirClient, FhirClientError, Posted
from events import Millis
from stream.cli import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED_IN_PART
from stream.cli.options import TOKEN_VARIABLE, config_option, read_instant, read_site
from stream.cli.targets import Endpoint, read_target
from stream.links import BUSY_STATUSES

GIVE_UP_S = 600.0
"""A service that takes nothing for so long is not coming back by itself."""

HELP = """What is done once with a FHIR server of [fhir_sources]; `run` and `gateway` ask it for what changes.

\b
Examples:
  wardstream fhir import ehr --config wardstream.toml --to http://127.0.0.1:8080/fhir
  wardstream fhir keys ehr --config wardstream.toml > jwks.json
"""
IMPORT_HELP = """Take in what SERVER has, by a Bulk Data export: fetched to the disk, then sent to a service at --to.

Patients and stays go first, then measurements, the newest first: a bad hour that a good one followed alerts nobody.
What nothing newer supersedes is told as late, by the service's own rule. Sent again, all of it is a duplicate. The
export is deleted on the server at the end. A bearer token for --to is taken from WARDSTREAM_HTTP_TOKEN.

\b
Exit codes: 0 all taken in; 1 failed or stopped: start again; 2 wrong usage; 3 some was refused, or not exported.
"""


@click.group("fhir", help=HELP)
def command() -> None:
    """Group the commands."""


@command.command("import", help=IMPORT_HELP)
@click.argument("name", metavar="SERVER")
@click.option("--to", "target", required=True, metavar="URL", help="The service: http(s)://HOST:PORT/fhir.")
@click.option(
    "--since", callback=read_instant, metavar="TIME", help="Only what has changed since, by the server's clock."
)
@click.option("--level", default="", help="Patient, or Group/ID: that of the export. Default: the whole server.")
@click.option("--look-s", type=click.FloatRange(0.1, LOOK_S_MAX), default=LOOK_S_MAX, show_default=True,
              help="Ask after the export at least so often, though the server says less.")  # fmt: skip
@click.option("--work-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Where files lie meanwhile: all of the export. Default: the temporary folder.")  # fmt: skip
@config_option
def take_in(
    name: str,
    target: str,
    since: Millis | None,
    level: str,
    look_s: float,
    work_dir: Path | None,
    config_path: Path | None,
) -> int:
    """Import."""
    site = read_site(config_path)
    server = _server(name, site.fhir_sources.servers)
    place = read_target(target)
    if not isinstance(place, Endpoint) or place.wire != "fhir":
        raise click.UsageError(f"{target}: expected a running service, such as http://127.0.0.1:8080/fhir")
    folder = Path(tempfile.mkdtemp(prefix="wardstream-import-", dir=work_dir))
    try:
        return asyncio.run(_take_in(server, site.settings.fhir, place.url, since, level, look_s, folder))
    except FhirSourceError as fault:
        click.echo(f"Error: {fault}; {fault.advice}", err=True)
        return EXIT_FAILED
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@command.command("keys")
@click.argument("name", metavar="SERVER")
@config_option
def show_keys(name: str, config_path: Path | None) -> int:
    """Print the public key of smart.key_file as a JWK Set: what the authorization server is to be given."""
    from connectors.fhir_sources.smart import public_keys

    server = _server(name, read_site(config_path).fhir_sources.servers)
    if not server.smart.wanted:
        raise click.UsageError(f"fhir_sources.servers.{name} has no smart.client_id and key_file")
    try:
        click.echo(public_keys(server.smart))
    except FhirSourceError as fault:
        click.echo(f"Error: {fault}", err=True)
        return EXIT_FAILED
    return EXIT_DONE


def _server(name: str, servers: dict[str, FhirServer]) -> FhirServer:
    if name not in servers:
        known = ", ".join(servers) or "none"
        raise click.UsageError(f"[fhir_sources.servers.{name}]: there is no such table; there is: {known}")
    return servers[name]


async def _take_in(
    server: FhirServer, settings: FhirSettings, url: str, since: Millis | None, level: str, look_s: float, folder: Path
) -> int:
    source = SourceClient(server)
    export = Export(source, look_s_max=look_s, told=lambda text: click.echo(text, err=True))
    sink = FhirClient(url, token=os.environ.get(TOKEN_VARIABLE, ""))
    try:
        await export.begin(server.types, since, level)
        manifest = await export.wait()
        files: list[tuple[str, Path]] = []
        for number, file in enumerate(manifest.output):
            path = folder / f"{number}.ndjson"
            size = await export.fetch(manifest, file, path)
            files.append((file.type, path))
            click.echo(f"{file.type}: {size} bytes", err=True)
        tally = Counter[str]()
        for body in bodies_of(server.base_url, files, settings, overlong=lambda: tally.update(overlong=1)):
            posted = await _post(sink, body)
            tally["sent"] += 1
            tally["refused"] += len(posted.issues) or int(not 200 <= posted.status < 300)
    finally:
        await export.end()
        await source.close()
        await sink.close()
    left_out = len(manifest.error)
    click.echo(msgspec.json.encode({"files": len(files), "bodies": tally["sent"], "refused": tally["refused"],
                                    "overlong_lines": tally["overlong"], "error_files": left_out,
                                    "as_of": manifest.transactionTime}).decode())  # fmt: skip
    return EXIT_REFUSED_IN_PART if tally["refused"] or tally["overlong"] or left_out else EXIT_DONE


class _BusyError(Exception):
    """The service has no room at present, or is away."""


async def _post(sink: FhirClient, body: bytes) -> Posted:
    """Send one body until it is taken or refused; raises `FhirSourceError` where the service stays away."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((_BusyError, FhirClientError)),
        stop=stop_after_delay(GIVE_UP_S),
        wait=wait_exponential_jitter(initial=0.2, max=15.0),
        reraise=False,
        retry_error_callback=lambda _state: None,
    ):
        with attempt:
            posted = await sink.send(body)
            if posted.status in BUSY_STATUSES:
                raise _BusyError
            if posted.status in {401, 403, 404}:
                raise FhirSourceError("refused", f"the service at --to says {posted.status}; see {TOKEN_VARIABLE}")
            return posted
    raise FhirSourceError("unreachable", "the service at --to takes nothing")
