"""Alerts as they are stored, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Owns the streams: where each goes on, its heartbeat, its end. Must not know how alerts are made or stored.

No stream has a queue. Each reads the store after its own number, a page at a time, and only when its client has taken
the page before: however slow a client is, one page and two small buffers are all that it holds.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web

from connectors.http.access import Scoped, WardsOf
from connectors.http.faults import HttpFault, busy, incident
from connectors.http.limits import (
    ALERTS_PAGE,
    NUMBER_DIGITS_MAX,
    STREAM_BUFFER_BYTES,
    STREAM_RETRY_MS,
    HttpLimits,
)
from connectors.http.ports import NumberedAlert, Reading, Report
from events import Millis, to_iso

HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def read_number(text: str, name: str) -> int:
    """Read a number that a request names; raises `HttpFault`.

    >>> read_number("12", "after")
    12
    """
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX):
        raise HttpFault(400, f"{name}: expected a whole number, 0 or more", code="value")
    return int(text)


def render_event(alert: NumberedAlert) -> bytes:
    r"""Write one alert as an event.

    >>> render_event(NumberedAlert(7, b'{"seq":1}', "raised"))
    b'id: 7\nevent: raised\ndata: {"seq":1}\n\n'
    """
    data = b"".join(b"data: %b\n" % line for line in alert.document.splitlines())
    return b"id: %d\nevent: %b\n%b\n" % (alert.number, alert.kind.encode(), data)


class Live:
    """The open streams."""

    def __init__(
        self,
        reading: Reading,
        limits: HttpLimits,
        clock: Callable[[], Millis],
        report: Report,
        wards_of: WardsOf,
    ) -> None:
        """`wards_of` says which wards a request may read, None where none any more: then its stream ends."""
        self._reading = reading
        self._wards_of = wards_of
        self._limits = limits
        self._clock = clock
        self._report = report
        self._stopping = asyncio.Event()
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self.open = 0

    def stop(self) -> None:
        """End every stream, with a last event that says so."""
        self._stopping.set()

    def gone(self, connection: object) -> None:
        """End the stream of a connection that was lost, if it has one."""
        task = self._tasks.get(connection)
        if task is not None:
            task.cancel()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one stream, from after the number that the client names, else from the newest alert on."""
        if request.method == "HEAD":
            return web.Response(headers=HEADERS)
        named = request.headers.get("Last-Event-ID") or request.query.get("after")
        after = None if named is None else read_number(named, "after")
        if self._stopping.is_set():
            raise busy("the service is stopping")
        if self.open >= self._limits.streams_max:
            raise busy(f"{self._limits.streams_max} streams are open, which is all there may be")
        self.open += 1
        try:
            newest = await self._reading.newest_alert()
            # A number that is not reached yet was given out before a restore: whoever waits for it would wait in vain.
            start = newest if after is None else min(after, newest)
            gap = after is not None and not await self._reading.reaches(after)
            return await self._stream(request, start, gap=gap)
        finally:
            self.open -= 1

    async def _stream(self, request: web.Request, after: int, *, gap: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers=HEADERS)
        response.force_close()
        _bound_buffers(request)
        await response.prepare(request)
        # A task of its own, so that a lost connection ends the stream at once and not at its next heartbeat.
        task = asyncio.create_task(self._run(request, response, after, gap=gap))
        self._tasks[request.protocol] = task
        try:
            await asyncio.wait({task})
        finally:
            del self._tasks[request.protocol]
            task.cancel()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, TimeoutError):
            self._report("stream_too_slow")
        elif error is not None and not isinstance(error, ConnectionError):
            incident(error, self._report)
        if (error is not None or task.cancelled()) and request.transport is not None:
            request.transport.abort()
        return response

    async def _run(self, request: web.Request, response: web.StreamResponse, after: int, *, gap: bool) -> None:
        missed = b'event: gap\ndata: {"after":%d}\n\n' % after if gap else b""
        await self._write(request, response, b"retry: %d\n\n" % STREAM_RETRY_MS + await self._heartbeat() + missed)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while not stopping.done() and (wards := self._wards_of(request)) is not None:
                page = await self._reading.alerts(after, ALERTS_PAGE)
                if page:
                    scoped = Scoped(self._reading, wards)
                    shown = b"".join([render_event(alert) for alert in page if scoped.shows(alert.document)])
                    # What is of other wards only is a sign of life all the same.
                    await self._write(request, response, shown or await self._heartbeat())
                    after = page[-1].number
                elif not await self._wait(after, stopping) and not stopping.done():
                    await self._write(request, response, await self._heartbeat())
        finally:
            stopping.cancel()
        await self._write(request, response, b"event: end\ndata: {}\n\n")

    async def _wait(self, after: int, stopping: asyncio.Task[bool]) -> bool:
        """Wait for an alert; False where none came in time, or the service stops."""
        waiting = asyncio.create_task(self._reading.wait_for_alert(after, self._limits.heartbeat_s))
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.done() and waiting.result()
        finally:
            waiting.cancel()

    async def _heartbeat(self) -> bytes:
        """Say that the line is up, which number is the newest, and what time it is here; it has no `id`."""
        newest = await self._reading.newest_alert()
        return b'event: heartbeat\ndata: {"newest":%d,"clock":"%b"}\n\n' % (newest, to_iso(self._clock()).encode())

    async def _write(self, request: web.Request, response: web.StreamResponse, data: bytes) -> None:
        """Write, and wait until the client has taken most of it. Raises `TimeoutError`, `ConnectionError`."""
        async with asyncio.timeout(self._limits.stream_write_timeout_s):
            await response.write(data)
            await request.writer.drain()


def _bound_buffers(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    transport.set_write_buffer_limits(high=STREAM_BUFFER_BYTES)
    connected: socket.socket | None = transport.get_extra_info("socket")
    if connected is not None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER_BYTES)
