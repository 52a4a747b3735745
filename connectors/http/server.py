"""The HTTP server: its routes, who may use them, and its start and stop.

Owns the assembly. Must not know what is stored or decided: it offers what comes to the `Intake` and passes on what
`Reading` gives.

With a token set, every route but `/health/*` and the board's page asks for it as `Authorization: Bearer`; never in an
address, for addresses end up in logs. Whoever may act has a token of his own, which opens what is read too, of his
wards (`connectors.http.access`); `/acts` takes no other. The page is without data: it asks for the token and keeps it
for its tab. A request that a browser makes for another site's page is refused, token or not.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.access import Access
from connectors.http.acting import ACTS_PATH, Acting, Entrance
from connectors.http.asking import Asking
from connectors.http.checking import CHECK_PATH, Checking
from connectors.http.connection import ConnectionPool, Runner
from connectors.http.faults import ISSUE_TYPES, HttpFault, incident, not_stored
from connectors.http.limits import (
    CLOSING_S,
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    LINGER_S,
    READ_BUFFER_BYTES,
    HttpLimits,
)
from connectors.http.live import Live
from connectors.http.ports import Reading, Report
from connectors.http.taking import Taking
from connectors.http.telling import TELLING_PATH, Telling
from connectors.intake import Intake, NotStoredError
from connectors.loopback import is_loopback
from events import Millis

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every answer that does not set its own."""


class HttpFigures(msgspec.Struct, frozen=True):
    """What the server counts: for metrics and for a look from outside."""

    connections: int
    streams: int
    bodies_bytes: int
    requests: dict[tuple[str, int], int]
    """By route (as it is declared, never as it was asked) and status."""


def wall_clock() -> Millis:
    """Give the time, in milliseconds."""
    return time.time_ns() // 1_000_000


class HttpServer:
    """Serves HTTP on one port. To be made, started and stopped on one event loop."""

    def __init__(
        self,
        intake: Intake,
        reading: Reading,
        hl7: Hl7Settings,
        fhir: FhirSettings,
        limits: HttpLimits,
        *,
        token: str | None,
        report: Report,
        clock: Callable[[], Millis] = wall_clock,
        any_host: bool = False,
        entrance: Entrance | None = None,
        telling: Telling | None = None,
    ) -> None:
        """`any_host` serves whatever Host a request names: something in front of us asks who is there.

        `entrance` says who may act; without one nobody may. `telling` takes what servers tell that we subscribed to.
        """
        if token is not None and not token.strip():
            raise ValueError("token: empty; expected a secret of some length, or none at all")
        self._limits = limits
        self._report = report
        self._taking = Taking(intake, hl7, fhir, limits, clock)
        self._checking = Checking(hl7, fhir, limits, self._taking.room)
        self._acting = Acting(intake, reading, entrance, limits, clock)
        self._telling = telling
        self._open = token is None
        self._access = Access(token, self._acting.who)
        self._live = Live(reading, limits, clock, report, self._access.wards_of)
        self._asking = Asking(reading, self._access.wards_of)
        self._requests: Counter[tuple[str, int]] = Counter()
        self._idle = asyncio.Event()
        self._runner: Runner | None = None
        self._site: web.TCPSite | None = None
        self._loopback_only = False
        self._any_host = any_host

    @property
    def figures(self) -> HttpFigures:
        """Give the counts as they are now."""
        pool = self._pool
        return HttpFigures(
            connections=pool.open if pool is not None else 0,
            streams=self._live.open,
            bodies_bytes=self._taking.room.held_bytes,
            requests=dict(self._requests),
        )

    async def start(self, host: str, port: int) -> int:
        """Listen, and give the port (another one than asked for, where 0 was). Raises `OSError`."""
        self._loopback_only = not self._any_host and _names_loopback(f"[{host}]")
        app = web.Application(middlewares=[self._guard], client_max_size=self._limits.body_bytes_max)
        app.on_response_prepare.append(_dress)
        self._add_routes(app)
        self._runner = Runner(
            app,
            self._limits.connections_max,
            self._report,
            access_log=None,
            keepalive_timeout=self._limits.idle_timeout_s,
            lingering_time=LINGER_S,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            read_bufsize=READ_BUFFER_BYTES,
            auto_decompress=False,
            shutdown_timeout=CLOSING_S,
        )
        await self._runner.setup()
        if self._pool is not None:
            self._pool.on_lost = self._live.gone
        self._site = web.TCPSite(self._runner, host, port)
        try:
            await self._site.start()
        except OSError:
            await self._runner.cleanup()
            self._runner = self._site = None  # there is nothing to stop
            raise
        return self._site.port

    async def stop(self, grace_s: float) -> None:
        """Listen no more, end the streams, answer what is under way within `grace_s`, then close everything."""
        if self._runner is None or self._site is None:
            return
        self._taking.stopping = self._acting.stopping = True
        self._live.stop()
        await self._site.stop()
        try:
            async with asyncio.timeout(grace_s):
                while self._pool is not None and self._pool.working:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            self._report("stopped_with_requests", requests=self._pool.working if self._pool is not None else 0)
        await self._runner.cleanup()
        self._runner = self._site = None

    @property
    def _pool(self) -> ConnectionPool | None:
        return None if self._runner is None else self._runner.pool

    def _add_routes(self, app: web.Application) -> None:
        told: tuple[tuple[str, str, Handler], ...] = (
            ("POST", f"{TELLING_PATH}/{{source}}", self._told),
            ("PUT", f"{TELLING_PATH}/{{source}}/{{kind}}/{{id}}", self._told),
            ("POST", f"{TELLING_PATH}/{{source}}/{{kind}}/{{id}}", self._told),
        )
        ways: tuple[tuple[str, str, Handler], ...] = (
            *(told if self._telling is not None else ()),
            ("POST", "/fhir", self._taking.fhir),
            ("POST", "/fhir/{kind}", self._taking.fhir),
            ("PUT", "/fhir/{kind}/{id}", self._taking.fhir),
            ("POST", "/hl7", self._taking.hl7),
            ("POST", CHECK_PATH, self._checking.check),
            ("POST", ACTS_PATH, self._acting.act),
            ("GET", "/alerts/stream", self._live.serve),
            ("HEAD", "/alerts/stream", self._live.serve),
        )
        for method, path, handler in ways:
            app.router.add_route(method, path, handler, expect_handler=_expect)
        for path, handler in self._asking.routes():
            app.router.add_get(path, handler, expect_handler=_expect)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        pool = self._pool
        assert pool is not None, "requests come while the server runs"
        try:
            with pool.at_work(request.protocol):
                response = await self._answer(request, handler)
        finally:
            self._idle.set()
        resource = request.match_info.route.resource
        route = "none" if resource is None else resource.canonical
        self._requests[route, response.status] += 1
        self._report("answered", route=route, status=response.status)
        if self._taking.stopping:
            response.force_close()
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check_origin(request)
            self._check_host(request)
            self._check_token(request)
            return await handler(request)
        except HttpFault as fault:
            return fault.answer()
        except NotStoredError as error:
            self._report("not_stored", reason=error.reason)
            return not_stored(error)
        except web.HTTPException as error:
            return _answer_http(request, error)
        except ConnectionError:
            raise  # the client is gone: nobody is there to be answered
        except Exception as error:  # noqa: BLE001 - our own bug; it is answered, numbered and told, and serving goes on
            return incident(error, self._report)

    async def _told(self, request: web.Request) -> web.StreamResponse:
        assert self._telling is not None, "there is no such route without it"
        if self._taking.stopping:
            raise NotStoredError("stopping")
        return await self._telling.receive(request, self._taking.room, self._limits)

    def _check_host(self, request: web.Request) -> None:
        """Refuse a page whose own name was made to lead to 127.0.0.1 (DNS rebinding): it is of our origin then."""
        if self._open and self._loopback_only and not _names_loopback(request.host):
            raise HttpFault(403, "without a token, this is served under the machine's own name only", close=True)

    def _check_token(self, request: web.Request) -> None:
        if request.path == ACTS_PATH and request.method == "POST":
            return  # It asks who acts by itself.
        if request.match_info.handler == self._told:
            return  # It asks for the secret of a subscription by itself.
        if self._access.wards_of(request) is None:
            self._report("unauthorized")
            headers = {"WWW-Authenticate": 'Bearer realm="wardstream"'}
            raise HttpFault(401, "a valid bearer token is needed", headers=headers, close=True)


def _answer_http(request: web.Request, error: web.HTTPException) -> web.Response:
    """Say in FHIR's words what aiohttp found: no such path, no such method."""
    if not isinstance(error, web.HTTPMethodNotAllowed):
        text = "there is nothing at this path" if error.status == 404 else "the request cannot be served"
        return HttpFault(error.status, text, code=ISSUE_TYPES.get(error.status, "processing"), close=True).answer()
    allow = {"Allow": ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))}
    if request.method == "OPTIONS":
        return web.Response(status=204, headers=allow)
    return HttpFault(405, "this method is not for this path", headers=allow, close=True).answer()


def _check_origin(request: web.Request) -> None:
    """Refuse what a browser sends on behalf of another site: it would write into our journal as its user."""
    origin = request.headers.get("Origin")
    # Not parsed: what is no origin of ours, letter by letter, is another's.
    if origin is not None and origin.lower().partition("://")[2] != request.host.lower():
        raise HttpFault(403, "requests from the pages of another site are not served", close=True)


def _names_loopback(host: str) -> bool:
    """Say whether a Host header names this machine by an address or name that no DNS can give away.

    >>> _names_loopback("127.0.0.1:80"), _names_loopback("[::1]"), _names_loopback("evil.example"), _names_loopback("")
    (True, True, False, False)
    """
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name.lower())


async def _expect(_request: web.Request) -> None:
    """Leave `100 Continue` to the reading of the body, which comes after the checks."""


async def _dress(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "wardstream"  # aiohttp has put its own there, with its version
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
