"""Health and metrics of one process over HTTP: what a supervisor, a load balancer and Prometheus ask.

Owns the routes. Must not know what makes a process well: it asks. Nothing here names a patient, so no token is
asked for; it listens on loopback unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from connectors.http.ports import Condition

CLOSING_S = 1.0
"""How long an answer under way has to leave when the process stops."""
METRICS_TYPE_DEFAULT = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_encode = msgspec.json.Encoder().encode


def _empty_metrics() -> tuple[bytes, str]:
    return b"# EOF\n", METRICS_TYPE_DEFAULT


class HealthServer:
    """Serves `/health/live`, `/health/ready` and `/metrics`. To be made, started and stopped on one event loop.

    Both healths answer 200 or 503 with `{"well": …, "status": "ok" or "failing", "problems": […]}`, and `notes`
    where there are any. A question that
    fails by a bug of ours is answered 503 too: a process that cannot say how it is, is not well.
    """

    def __init__(
        self,
        live: Callable[[], Condition],
        ready: Callable[[], Condition],
        metrics: Callable[[], tuple[bytes, str]] = _empty_metrics,
        answers: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
    ) -> None:
        """`answers` gives what else is answered, as JSON, by path."""
        self._answers = dict(answers or {})
        self._live = live
        self._ready = ready
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and give the port (which 0 leaves to the system). Raises `OSError`."""
        app = web.Application()
        app.router.add_get("/health/live", self._serve_live)
        app.router.add_get("/health/ready", self._serve_ready)
        app.router.add_get("/metrics", self._serve_metrics)
        for path, answer in self._answers.items():
            app.router.add_get(path, _serve_answer(answer))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError:
            await self.stop()
            raise
        return site.port

    async def stop(self) -> None:
        """Listen no more."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _serve_live(self, _request: web.Request) -> web.Response:
        return _health(self._live)

    async def _serve_ready(self, _request: web.Request) -> web.Response:
        return _health(self._ready)

    async def _serve_metrics(self, _request: web.Request) -> web.Response:
        body, content_type = self._metrics()
        return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def _serve_answer(answer: Callable[[], Awaitable[object]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_request: web.Request) -> web.Response:
        body = _encode(await answer())
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    return serve


def _health(ask: Callable[[], Condition]) -> web.Response:
    try:
        condition = ask()
    except Exception as fault:  # noqa: BLE001 - our own bug; it is told as what it is
        condition = Condition(well=False, problems=(f"the question itself fails: {type(fault).__name__}",))
    well = condition.well
    notes = {"notes": condition.notes} if condition.notes else {}
    body = _encode({"well": well, "status": "ok" if well else "failing", "problems": condition.problems, **notes})
    headers = {"Cache-Control": "no-store"}
    return web.Response(status=200 if well else 503, body=body, content_type="application/json", headers=headers)
