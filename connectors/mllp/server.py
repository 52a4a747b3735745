"""The MLLP server: it listens, and lets in as many as there is room for.

Owns the listening socket, the connections' places and the orderly stop. Must not know what is said on a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import socket
from collections.abc import Callable, Iterator

from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import Intake
from connectors.mllp.connection import READ_BYTES, Connection, Service
from connectors.mllp.limits import MllpLimits
from connectors.mllp.notice import Notice, Report
from connectors.mllp.room import Room
from events import MILLIS_PER_SECOND, Millis

BACKLOG = 1_024
"""Connections that may wait to be accepted: all engines of a hospital, when they come back at once."""
KEEPALIVE_S = 60
"""A silent peer is asked after so long, and every quarter of it: one whose power failed keeps its place 2 minutes."""
KEEPALIVE_PROBES = 4


class MllpServer:
    """Listens for MLLP on one port, and answers each message by what the intake made of it.

    At the limit of connections, the one that has been silent longest, of those that have never sent a message, makes
    room for a new one; where all have sent some, the new one is refused.
    """

    def __init__(
        self,
        intake: Intake,
        settings: Hl7Settings,
        limits: MllpLimits,
        *,
        now: Callable[[], Millis],
        report: Report,
    ) -> None:
        self._limits = limits
        self._report = report
        self._service = Service(
            intake,
            settings,
            limits,
            now,
            report,
            _control_ids(now),
            asyncio.Semaphore(1),
            Room(limits.connections_max * limits.messages_in_flight_max, limits.bytes_in_flight_total_max),
            Room(1, limits.bytes_begun_total_max),
        )
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: dict[Connection, None] = {}
        """Those that have a place; one that was evicted has none, and may still be waiting for the intake."""
        self._silent: dict[Connection, None] = {}
        """Those that have never sent a message, the longest idle first."""

    async def start(self, host: str, port: int) -> int:
        """Listen, and give the port (which 0 leaves to the system); raises `OSError` where it cannot be had."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=READ_BYTES, backlog=BACKLOG)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self, grace_s: float) -> None:
        """Stop accepting and reading; store and answer what was read, for `grace_s` at the most, and close."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._serving):
            connection.stop()
        tasks = list(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._serving)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Give a connection its place, or refuse it."""
        number = next(self._numbers)
        peer = writer.get_extra_info("peername")
        host = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._make_room():
            self._report(Notice("refused", number, host=host))
            writer.transport.abort()
            return
        _keep_alive(writer.get_extra_info("socket"))
        connection = Connection(number, reader, writer, self._service, self._note_activity)
        self._report(Notice("opened", number, host=host))
        self._silent[connection] = None
        self._serving[connection] = None
        task = asyncio.get_running_loop().create_task(connection.serve(), name=f"mllp {number}")
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._note_end, connection))

    def _make_room(self) -> bool:
        if self._server is None or not self._server.is_serving():
            return False
        if len(self._serving) < self._limits.connections_max:
            return True
        oldest = next(iter(self._silent), None)
        if oldest is None:
            return False
        oldest.cut("evicted")
        self._forget(oldest)
        return True

    def _note_activity(self, connection: Connection) -> None:
        if connection not in self._silent:
            return
        del self._silent[connection]
        if not connection.has_spoken:
            self._silent[connection] = None

    def _note_end(self, connection: Connection, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._forget(connection)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # ours: a connection ends by a reason, never by an exception
            self._report(Notice("fault", connection.number, code=type(error).__name__))
            told = {"message": "an MLLP connection failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(told)

    def _forget(self, connection: Connection) -> None:
        self._silent.pop(connection, None)
        self._serving.pop(connection, None)


def _control_ids(now: Callable[[], Millis]) -> Iterator[str]:
    """Number our answers, beginning with the second of the start: unique over restarts, and within 20 characters."""
    start = f"{now() // MILLIS_PER_SECOND:X}"
    for number in itertools.count(1):
        yield f"{start}W{number:X}"  # letters and digits alone: never to be escaped


def _keep_alive(peer: socket.socket) -> None:
    """Have the system ask after a silent peer, where it can be told how."""
    with contextlib.suppress(OSError, AttributeError):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S // 4)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
