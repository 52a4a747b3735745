"""The MLLP server: it listens, and lets in as many as there is room for.

Owns the listening socket, the connections' places and the orderly stop. Must not know what is said on a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import socket
import ssl
from collections.abc import Callable, Iterator

from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import Intake
from connectors.mllp.connection import READ_BYTES, Connection, Service
from connectors.mllp.limits import MllpLimits
from connectors.mllp.notice import Notice, Report, Why
from connectors.mllp.room import Room
from connectors.mllp.tls import TlsFiles
from events import MILLIS_PER_SECOND, Millis

BACKLOG = 1_024
"""Connections that may wait to be accepted: all engines of a hospital, when they come back at once."""
KEEPALIVE_S = 60
"""A silent peer is asked after so long, and every quarter of it: one whose power failed keeps its place 2 minutes."""
KEEPALIVE_PROBES = 4
HANDSHAKE_S = 10.0
"""A TLS handshake takes two round trips; a peer that has not ended it by then holds a place for nothing."""


class MllpServer:
    """Listens for MLLP on one port or several, and answers each message by what the intake made of it.

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
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: dict[Connection, None] = {}
        """Those that have a place; one that was evicted has none, and may still be waiting for the intake."""
        self._silent: dict[Connection, None] = {}
        """Those that have never sent a message, the longest idle first."""
        self._greeting: dict[Connection, asyncio.Task[None] | None] = {}
        """Those whose TLS handshake is under way."""

    async def start(self, host: str, port: int, tls: TlsFiles | None = None) -> int:
        """Listen, and give the port (which 0 leaves to the system); raises `OSError` where it cannot be had.

        It may be called for further ports: all share the limits, and what is sent to each is known by its port.
        """
        accept = functools.partial(self._accept, port, tls)
        server = await asyncio.start_server(accept, host, port, limit=READ_BYTES, backlog=BACKLOG)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def dial(self) -> socket.socket:
        """Connect from within, by no port: who runs this process has no certificate to show. Give our end."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        reader = asyncio.StreamReader(limit=READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader, functools.partial(self._accept, 0, None))
        await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, theirs)
        return ours

    async def stop(self, grace_s: float) -> None:
        """Stop accepting and reading; store and answer what was read, for `grace_s` at the most, and close."""
        if not self._servers:
            return
        for server in self._servers:
            server.close()
        for connection in list(self._serving):
            connection.stop()
        for connection in list(self._greeting):
            self._cut(connection, "stopping")
        tasks = list(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._serving)

    def _accept(
        self, port: int, tls: TlsFiles | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Give a connection its place, or refuse it."""
        number = next(self._numbers)
        peer = writer.get_extra_info("peername")
        host = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._make_room():
            self._report(Notice("refused", number, host=host))
            writer.transport.abort()
            return
        _keep_alive(writer.get_extra_info("socket"))
        connection = Connection(number, reader, writer, self._service, self._note_activity, port=port)
        self._report(Notice("opened", number, host=host))
        self._silent[connection] = None
        self._serving[connection] = None
        if tls is None:
            serving = connection.serve()
        else:
            # Nothing is to be read before TLS reads it: a greeting may be there already.
            writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio types it as its base
            serving = self._greet(connection, writer, tls)
        task = asyncio.get_running_loop().create_task(serving, name=f"mllp {number}")
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._note_end, connection))

    async def _greet(self, connection: Connection, writer: asyncio.StreamWriter, tls: TlsFiles) -> None:
        """Serve a connection once its TLS handshake is done; one that fails is told by its kind, and closed."""
        self._greeting[connection] = asyncio.current_task()
        try:
            await writer.start_tls(tls.context(), ssl_handshake_timeout=HANDSHAKE_S)
        except (OSError, EOFError, asyncio.CancelledError) as error:
            connection.refuse(_kind_of(error))
            return
        finally:
            self._greeting.pop(connection, None)
        await connection.serve()

    def _cut(self, connection: Connection, why: Why) -> None:
        """Break a connection off; a handshake by its task, for asyncio takes one whose socket is gone for done."""
        task = self._greeting.get(connection)
        if task is None:
            connection.cut(why)
        else:
            connection.end(why)
            task.cancel()

    def _make_room(self) -> bool:
        if not any(server.is_serving() for server in self._servers):
            return False
        if len(self._serving) < self._limits.connections_max:
            return True
        oldest = next(iter(self._silent), None)
        if oldest is None:
            return False
        self._cut(oldest, "evicted")
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


def _kind_of(error: BaseException) -> str:
    """Name what a handshake failed of, in OpenSSL's words, such as `WRONG_VERSION_NUMBER`; nothing of the peer's."""
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    # asyncio says a handshake that took too long as a connection that was aborted.
    return "timeout" if "longer than" in str(error) else "lost"


def _keep_alive(peer: socket.socket) -> None:
    """Have the system ask after a silent peer, where it can be told how."""
    with contextlib.suppress(OSError, AttributeError):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S // 4)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
