"""What the commands that listen share: the token, room for connections, signals, systemd, and the line that says where.

Owns a listening process's life from its start to its exit code. Must not know what it serves.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Protocol

import click
import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.http.limits import HttpLimits
from connectors.loopback import is_loopback
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import TOKEN_VARIABLE
from stream.people_file import PeopleFile
from stream.service_settings import ServiceSettings

TOKEN_CHARS_MIN = 16
"""A shorter token can be guessed."""
FILES_RESERVED = 128
"""Handles that are no connection of a sender: files and sockets of our own, the interpreter's, and a margin."""


class Running(Protocol):
    """A process that serves."""

    failed: asyncio.Event
    """Set where it cannot go on: the process must end, for a supervisor to start another."""

    async def listen(self) -> dict[str, str]:
        """Begin; give each address that listens, by what it speaks. Raises `OSError` where one cannot be had."""
        ...

    async def stop(self) -> None:
        """End in order."""
        ...

    def lives(self) -> bool:
        """Say whether it works at all."""
        ...


def read_token(settings: ServiceSettings) -> str | None:
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


def make_room_for_connections(settings: ServiceSettings, log: FilteringBoundLogger) -> ServiceSettings:
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


def put_off_hang_ups(people: PeopleFile) -> None:
    """Let SIGHUP not end a process that is only starting, which is what it does by itself: it is answered later."""
    people.wait()
    signal.signal(signal.SIGHUP, lambda _number, _frame: people.reread())


async def serve(
    make: Callable[[], Running],
    log: FilteringBoundLogger,
    *,
    advice: str,
    hang_up: Callable[[], None] | None = None,
) -> int:
    """Serve until told to stop, or until it fails; give the exit code. `advice` says what to do where it failed.

    When it serves, one line of JSON on standard output says where. A second signal ends the process at once. SIGHUP
    calls `hang_up`.
    """
    running = make()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if hang_up is not None:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    told = await running.listen()
    click.echo(json.dumps({"event": "listening", **told}))
    sys.stdout.flush()
    log.info("listening", **told)
    notify("READY=1")
    watchdog = asyncio.create_task(_keep_watchdog(running))
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(running.failed.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in (*waits, watchdog):
        task.cancel()
    notify("STOPPING=1")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    log.info("stopping")
    await running.stop()
    if running.failed.is_set():
        log.error("ended", why=advice)
        return EXIT_FAILED
    log.info("stopped")
    return EXIT_DONE


async def _keep_watchdog(running: Running) -> None:
    """Tell systemd that we live, as often as it wants to hear it, for as long as it is true."""
    interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    while interval_us:
        if running.lives():
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
