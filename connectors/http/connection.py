"""Connections: how many there may be, who makes room for whom, and what is answered to what is no HTTP.

Owns our three subclasses of aiohttp's server side. Must not know a route. aiohttp is pinned exactly, and
`tests/connectors/http/test_connections.py` holds it to what is used of it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from connectors.http.faults import HttpFault, incident
from connectors.http.limits import WRITE_TIMEOUT_S
from connectors.http.ports import Report


class Connection(RequestHandler):
    """One connection. aiohttp would log what it cannot read, and answer in plain text; neither is wanted."""

    report: Report

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer; who does not take it in time is let go, for it stands in our memory."""
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            self.report("answer_not_taken")
            if self.transport is not None:
                self.transport.abort()
            return resp, True

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it may quote what was sent
    ) -> web.StreamResponse:
        """Answer what is no HTTP, without a word of it in any log."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if isinstance(exc, ConnectionError):
            raise exc  # the client is gone: no fault of ours, and nobody to be answered
        if status >= 500:
            return incident(exc or RuntimeError(), self.report)
        kind = type(exc).__name__
        self.report("unreadable", error=kind)
        if isinstance(exc, LineTooLong):
            return HttpFault(431, "the request line or a header field is too long", close=True).answer()
        return HttpFault(400, f"not HTTP as we read it ({kind})", code="structure", close=True).answer()

    def log_exception(self, *_args: Any, **fields: Any) -> None:
        """Tell of an error of the server's own, by its type only."""
        self.report("connection_failed", error=type(fields.get("exc_info")).__name__)


class ConnectionPool(web.Server):
    """All connections. One more than may be closes that which has been idle the longest, so that no number of idle
    ones keeps anybody out; where none is idle, the new one is closed.
    """

    def __init__(self, served: web.Server, connections_max: int, report: Report, **kwargs: Any) -> None:
        super().__init__(served.request_handler, request_factory=served.request_factory, **kwargs)
        self._connections_max = connections_max
        self._report = report
        self._idle: dict[RequestHandler, None] = {}
        self._open: set[RequestHandler] = set()
        self.on_lost: Callable[[object], None] = lambda _connection: None

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._open)

    def __call__(self) -> RequestHandler:
        """Make a connection, as asyncio asks for each that comes in."""
        connection = Connection(self, loop=self._loop, **self._kwargs)
        connection.report = self._report
        return connection

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count it, and make room for it."""
        super().connection_made(handler, transport)
        self._open.add(handler)
        self._idle[handler] = None
        if len(self._open) > self._connections_max:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._open.discard(oldest)
            self._report("connection_evicted")
            oldest.force_close()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget it."""
        super().connection_lost(handler, exc)
        self._open.discard(handler)
        self._idle.pop(handler, None)
        self.on_lost(handler)

    @contextmanager
    def at_work(self, connection: object) -> Iterator[None]:
        """Mark a connection as one that is being served: it makes room for nobody."""
        handler = cast("RequestHandler", connection)
        self._idle.pop(handler, None)
        try:
            yield
        finally:
            if handler in self._open:
                self._idle[handler] = None

    @property
    def working(self) -> int:
        """How many connections are being served just now."""
        return len(self._open) - len(self._idle)


class Runner(web.AppRunner):
    """aiohttp's runner, with our connections."""

    def __init__(self, app: web.Application, connections_max: int, report: Report, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._connections_max = connections_max
        self._report = report
        self.pool: ConnectionPool | None = None

    async def _make_server(self) -> web.Server:
        served = await super()._make_server()
        self.pool = ConnectionPool(served, self._connections_max, self._report, **self._kwargs)
        return self.pool
