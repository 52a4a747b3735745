"""`wardstream run`: the embedded service.

Owns the command: its options, signals, the line that says where it listens, and exit codes. Must not know how the
service works.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import click
import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.http.limits import HttpLimits
from connectors.loopback import is_loopback
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import (
    TOKEN_VARIABLE,
    code_version,
    config_option,
    make_release,
    model_option,
    models_folder_option,
    read_pseudonyms,
    read_site,
)
from stream.host import Release
from stream.logs import set_up_logs
from stream.run import RunningService
from stream.service import EmbeddedService
from stream.service_settings import PORT_MAX, ServiceSettings

MILLIS_PER_DAY = 86_400_000
TOKEN_CHARS_MIN = 16
"""A shorter token can be guessed."""

HELP = """Run the embedded service: HL7 v2 over MLLP, FHIR and HL7 v2 over HTTP, alerts out; one process, one folder.

A message is acknowledged when it is on the disk. Kill it at any moment and start it again: nothing acknowledged is
lost, and its outputs are those of a replay of its journal. When it listens, one line of JSON on standard output says
where; logs are JSON on standard error. SIGTERM stops it in order.

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
    token = _token(settings)
    log = set_up_logs(settings.log_level)
    settings = _make_room_for_connections(settings, log)
    release, versions = make_release(site.settings, model_name, models_dir)
    log.info("opening", version=code_version())
    service = EmbeddedService(
        folder,
        release,
        versions,
        read_pseudonyms(),
        retention_ms=int(settings.retention_days * MILLIS_PER_DAY),
        warn=lambda text: log.warning("journal", text=text),
    )
    return asyncio.run(_serve(folder, service, settings, release, token, log, trust_clock=trust_clock))


def _token(settings: ServiceSettings) -> str | None:
    """Give the token of the environment; refuses to serve patients to a network without one."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip() or None
    if token is not None and len(token) < TOKEN_CHARS_MIN:
        raise click.UsageError(f"{TOKEN_VARIABLE} is shorter than {TOKEN_CHARS_MIN} characters")
    if token is None and not settings.http_without_token and not is_loopback(settings.http_host):
        raise click.UsageError(
            f"HTTP would listen on {settings.http_host}, beyond this machine, and nobody would be asked who they are: "
            f"set {TOKEN_VARIABLE}, or listen on 127.0.0.1"
        )
    return token


FILES_RESERVED = 128
"""Handles that are no connection of a sender: SQLite's files, the interpreter's own, and a margin."""


def _make_room_for_connections(settings: ServiceSettings, log: FilteringBoundLogger) -> ServiceSettings:
    """Raise the process's limit of open files as far as it may, and take no more connections than fit.

    Past the limit nobody is let in any more, not even who asks whether we live, and asyncio logs that without end.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    http_max = HttpLimits().connections_max
    wanted = settings.mllp_connections_max + http_max + FILES_RESERVED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings
    room = soft - http_max - FILES_RESERVED
    if room < 1:
        raise click.UsageError(f"only {soft} files may be open (ulimit -n); {wanted} are needed")
    log.warning("few_files", open_files_max=soft, needed=wanted, mllp_connections_max=room)
    return msgspec.structs.replace(settings, mllp_connections_max=room)


async def _serve(
    folder: Path,
    service: EmbeddedService,
    settings: ServiceSettings,
    release: Release,
    token: str | None,
    log: FilteringBoundLogger,
    *,
    trust_clock: bool,
) -> int:
    running = RunningService(
        folder, service, settings, version=release.code_version, log=log, token=token, trust_clock=trust_clock
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    mllp_port, http_port = await running.start()
    listening = {"mllp": _address(settings.mllp_host, mllp_port), "http": _address(settings.http_host, http_port)}
    click.echo(json.dumps({"event": "listening", **listening}))
    sys.stdout.flush()
    log.info("listening", **listening)
    notify("READY=1")
    watchdog = asyncio.create_task(_keep_watchdog(running))
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(running.failed.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in (*waits, watchdog):
        task.cancel()
    notify("STOPPING=1")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)  # A second one ends the process at once.
    log.info("stopping")
    await running.stop()
    if running.failed.is_set():
        log.error("ended", why="a thread died; start again: nothing acknowledged is lost")
        return EXIT_FAILED
    log.info("stopped")
    return EXIT_DONE


def _address(host: str, port: int) -> str:
    """Write an address as in a URL.

    >>> _address("127.0.0.1", 80), _address("::1", 80)
    ('127.0.0.1:80', '[::1]:80')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _keep_watchdog(running: RunningService) -> None:
    """Tell systemd that we live, as often as it wants to hear it, for as long as it is true."""
    interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    while interval_us:
        if running.serving.live().well:
            notify("WATCHDOG=1")
        await asyncio.sleep(interval_us / 2_000_000)


def notify(state: str) -> None:
    """Tell systemd a state (sd_notify(3)): one datagram to the socket it names; nothing where it names none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.send(state.encode())
