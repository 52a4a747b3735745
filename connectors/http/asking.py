"""The routes that are asked: health, patients, alerts, feeds, metrics, version, and the board's page.

Owns their forms. Must not know how an answer came about: `Reading` gives documents that are JSON already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version

import msgspec
from aiohttp import web

from connectors.http.access import Scoped, WardsOf
from connectors.http.faults import HttpFault
from connectors.http.limits import ALERTS_PAGE, ALERTS_PAGE_MAX
from connectors.http.live import read_number
from connectors.http.page import load_page
from connectors.http.ports import Condition, Reading

KEY_CHARS_MAX = 128
"""A patient's key or a ward's name that is longer names nobody: keys have 32 characters."""

_encode = msgspec.json.Encoder().encode
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Asking:
    """The handlers, over what may be asked."""

    def __init__(self, reading: Reading, wards_of: WardsOf) -> None:
        self._reading = reading
        self._wards_of = wards_of
        self._page = load_page()
        self._version = _encode({"name": "wardstream", "version": _version()})

    def routes(self) -> tuple[tuple[str, Handler], ...]:
        """Give each path and its handler."""
        return (
            ("/", self.page),
            ("/health/live", self.live),
            ("/health/ready", self.ready),
            ("/metrics", self.metrics),
            ("/patients", self.patients),
            ("/patients/{key}", self.patient),
            ("/alerts", self.alerts),
            ("/alerts/open", self.open_alerts),
            ("/feeds", self.feeds),
            ("/version", self.version),
        )

    def _scoped(self, request: web.Request) -> Scoped:
        """Give what the request may read. Who may read nothing any more since it was let in, reads nothing."""
        wards = self._wards_of(request)
        if wards is None:
            raise HttpFault(401, "a valid bearer token is needed", close=True)
        return Scoped(self._reading, wards)

    async def page(self, _request: web.Request) -> web.Response:
        """Give the board's page."""
        headers = {"Content-Security-Policy": self._page.policy}
        return web.Response(body=self._page.body, content_type="text/html", charset="utf-8", headers=headers)

    async def live(self, _request: web.Request) -> web.Response:
        """Say whether the process works: 200 or 503."""
        return _health(self._reading.live())

    async def ready(self, _request: web.Request) -> web.Response:
        """Say whether it takes messages in: 200 or 503."""
        return _health(self._reading.ready())

    async def metrics(self, _request: web.Request) -> web.Response:
        """Give the metrics."""
        body, content_type = self._reading.metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def patients(self, request: web.Request) -> web.Response:
        """Give the patients of a ward, or all."""
        ward = request.query.get("ward") or None
        if ward is not None and len(ward) > KEY_CHARS_MAX:
            raise HttpFault(400, "ward: too long", code="value")
        return _json(await self._scoped(request).patients(ward))

    async def patient(self, request: web.Request) -> web.Response:
        """Give one patient."""
        key = request.match_info["key"]
        document = await self._scoped(request).patient(key) if len(key) <= KEY_CHARS_MAX else None
        if document is None:
            raise HttpFault(404, "no patient has this key")
        return _json(document)

    async def alerts(self, request: web.Request) -> web.Response:
        """Give the alert events after a number, and where to go on: `next` is the next request's `after`."""
        after = read_number(request.query.get("after", "0"), "after")
        limit = read_number(request.query.get("limit", str(ALERTS_PAGE)), "limit")
        if not 1 <= limit <= ALERTS_PAGE_MAX:
            raise HttpFault(400, f"limit: expected 1 to {ALERTS_PAGE_MAX}", code="value")
        page = await self._reading.alerts(after, limit)
        following = page[-1].number if page else after
        scoped = self._scoped(request)
        documents = b",".join([alert.document for alert in page if scoped.shows(alert.document)])
        return _json(b'{"alerts":[%b],"next":%d}' % (documents, following))

    async def open_alerts(self, request: web.Request) -> web.Response:
        """Give the newest event of every open alert."""
        return _json(await self._scoped(request).open_alerts())

    async def feeds(self, _request: web.Request) -> web.Response:
        """Give each feed's counts and silence."""
        return _json(await self._reading.feeds())

    async def version(self, _request: web.Request) -> web.Response:
        """Give the service's version."""
        return _json(self._version)


def _health(condition: Condition) -> web.Response:
    body = _encode({"status": "ok" if condition.well else "failing", "problems": condition.problems})
    return _json(body, 200 if condition.well else 503)


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


def _version() -> str:
    try:
        return version("wardstream")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"
