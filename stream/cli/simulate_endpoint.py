"""`wardstream simulate` to an endpoint: wires sender, schedule, bookmark and view together.

Owns signals, the bookmark's comings and goings, and the exit code. Must not know how a message is sent or settled.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from events import from_iso, to_iso
from stream.cli import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED_IN_PART
from stream.cli.options import TOKEN_VARIABLE, code_version, warn
from stream.cli.sending_view import show_sending, summarise
from stream.cli.targets import Endpoint
from stream.lane import Patience, SendError
from stream.links import FhirLink, Link, MllpLink
from stream.pacing import Schedule, present_of
from stream.resuming import SAVE_EVERY_S, Bookmark, BookmarkError, Ledger, load_bookmark, save_bookmark
from stream.sending import Sender
from stream.traffic import Rendered, Traffic, TrafficError, rendered_ahead

ANSWER_TIMEOUT_S = 30.0
"""For one acknowledgement; a service that stores answers in milliseconds, one that is stuck should be found out."""


class SendingOptions(msgspec.Struct, frozen=True):
    """The options that are for endpoints, as given, with their defaults."""

    rate: float = 0.0
    speed: float = 0.0
    connections: int = 1
    window: int = 1
    resume: str = ""
    retry: bool = False
    give_up_after: float = 300.0


def send(place: Endpoint, traffic: Traffic, options: SendingOptions, *, live: bool) -> int:
    """Send, and give the exit code; raises `click.UsageError`."""
    make_link = _link_maker(place, options)
    ledger, save = Ledger(), None
    if options.resume:
        path = Path(options.resume)
        bookmark = _go_on_from(path, _bookmark(place, traffic, live=live))
        traffic = msgspec.structs.replace(traffic, start_time=from_iso(bookmark.start_time), skip=bookmark.settled)
        ledger = Ledger(bookmark.settled, bookmark.refused)

        def save() -> None:
            so_far = {"settled": ledger.settled, "refused": ledger.refused}
            save_bookmark(path, msgspec.structs.replace(bookmark, **so_far))

        save()  # a place that cannot be written is found out before anything is sent
    patience = Patience(retry=options.retry, give_up_after_s=options.give_up_after)
    sender = Sender(make_link, connections=options.connections, window=options.window, patience=patience, ledger=ledger)
    started_s = time.monotonic()
    failure = ""
    try:
        asyncio.run(_run(sender, traffic, options, save, live=live))
    except (SendError, TrafficError) as error:
        failure = str(error)
    except asyncio.CancelledError:
        failure = "stopped at once"
    summarise(place.url, sender.counts, ledger, time.monotonic() - started_s, resumed=bool(options.resume))
    if failure or sender.stopped:
        how = "the same command goes on from here" if options.resume else "--resume FILE would let it go on from here"
        click.echo(f"Error: {failure}; {how}" if failure else f"Stopped; {how}", err=True)
        return EXIT_FAILED
    return EXIT_REFUSED_IN_PART if ledger.refused else EXIT_DONE


async def _run(
    sender: Sender, traffic: Traffic, options: SendingOptions, save: Callable[[], None] | None, *, live: bool
) -> None:
    done = asyncio.Event()
    keeper = asyncio.create_task(_keep(sender, save, done))
    view = asyncio.create_task(show_sending(sender.counts))
    _listen(sender)
    try:
        async with rendered_ahead(traffic) as messages:
            first = await anext(messages, None)
            if first is not None:
                now_time = time.time_ns() // 1_000_000
                first_time = present_of(traffic.start_time, now_time, options.speed) if live else first.sent_time
                schedule = Schedule(time.monotonic(), options.rate, options.speed, first_time)
                await sender.run(_chain(first, messages), schedule)
    finally:
        done.set()
        view.cancel()
        await asyncio.wait([keeper, view])
    await keeper


def _listen(sender: Sender) -> None:
    """The first Ctrl-C or SIGTERM ends cleanly, the second at once."""
    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    assert running is not None

    def end() -> None:
        if sender.stopped:
            running.cancel()
        sender.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)


async def _keep(sender: Sender, save: Callable[[], None] | None, done: asyncio.Event) -> None:
    """Write the bookmark now and then where it has moved, and at the end; where that fails, sending ends."""
    if save is None:
        return
    kept = sender.ledger.settled
    try:
        while not done.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(SAVE_EVERY_S):
                    await done.wait()
            if sender.ledger.settled != kept:
                kept = sender.ledger.settled
                await asyncio.to_thread(save)
        if sender.ledger.settled != kept:  # what was settled during the last save
            await asyncio.to_thread(save)
    except OSError:
        sender.stop()
        raise


async def _chain(first: Rendered, others: AsyncIterator[Rendered]) -> AsyncIterator[Rendered]:
    yield first
    async for rendered in others:
        yield rendered


def _bookmark(place: Endpoint, traffic: Traffic, *, live: bool) -> Bookmark:
    start_time = to_iso(traffic.start_time)
    return Bookmark(
        traffic.seed, traffic.beds, traffic.hours, start_time, live, place.protocol, code_version()
    )  # fmt: skip


def _go_on_from(path: Path, asked: Bookmark) -> Bookmark:
    """Give the bookmark to go on from: the file's, where it is of the same hospital, or a new one."""
    try:
        found = load_bookmark(path)
    except BookmarkError as error:
        raise click.UsageError(str(error)) from None
    if found is None:
        return asked
    if found.live and asked.live:
        asked = msgspec.structs.replace(asked, start_time=found.start_time)  # `now` was then
    differences = found.differences(asked)
    if differences:
        raise click.UsageError(
            f"{path.name} was begun otherwise: {', '.join(differences)}. Give the same again, or another file"
        )
    return found


def _link_maker(place: Endpoint, options: SendingOptions) -> Callable[[], Link]:
    if place.protocol == "mllp":
        return lambda: MllpLink(place.host, place.port, window=options.window, ack_timeout_s=ANSWER_TIMEOUT_S)
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise click.UsageError(f"{TOKEN_VARIABLE}: not a bearer token")
    if token and not place.encrypted and not place.loopback:
        warn("the bearer token goes over the network unencrypted; https:// would protect it")
    return lambda: FhirLink(place.url, token=token, timeout_s=ANSWER_TIMEOUT_S)
