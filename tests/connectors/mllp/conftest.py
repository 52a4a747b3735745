"""A server on loopback for each test, with an intake in memory that can hold back, refuse and fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from connectors.decoded import Identifier, Refusal
from connectors.hl7v2.framing import MllpReader
from connectors.hl7v2.render import Result, render_oru
from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import NotStoredError, NotStoredReason, Receipt
from connectors.mllp.limits import MllpLimits
from connectors.mllp.notice import Notice, What
from connectors.mllp.server import MllpServer
from connectors.sources.arrival import Arrival
from events import Location

NOW = 1_767_225_600_000
TEST_S = 30
"""No wait of a test goes on for longer: it fails then."""


class MemoryIntake:
    """Keeps what it is offered, and is durable at once, or when it is told to be."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.offers: list[int] = []
        """How many were offered together, each time."""
        self.open = asyncio.Event()
        """Cleared: `offer` waits for room."""
        self.open.set()
        self.durable = True
        """False: receipts wait for `settle`."""
        self.refusing: NotStoredReason | None = None
        self.failing: Exception | None = None
        """What the receipts' future raises."""
        self.waiting = 0
        self._pending: list[tuple[asyncio.Future[list[Receipt]], list[Receipt]]] = []
        self._changed = asyncio.Condition()
        self._seen: set[bytes] = set()

    async def offer(self, arrivals: Sequence[Arrival]) -> asyncio.Future[list[Receipt]]:
        """Keep the arrivals; wait where there is no room, raise where nothing is taken."""
        if self.refusing:
            raise NotStoredError(self.refusing)
        self.waiting += 1
        await self._tell()
        await self.open.wait()
        self.waiting -= 1
        self.arrivals += arrivals
        self.offers.append(len(arrivals))
        future: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        self._pending.append((future, [self._receipt(arrival) for arrival in arrivals]))
        if self.durable:
            self.settle()
        await self._tell()
        return future

    def settle(self, index: int | None = None) -> None:
        """Make what is pending durable, all of it or the offer at `index`."""
        which = self._pending if index is None else [self._pending[index]]
        for future, receipts in which:
            if self.failing is not None:
                future.set_exception(self.failing)
            elif not future.done():
                future.set_result(receipts)
        if index is None:
            self._pending.clear()

    async def until(self, claim: Callable[[], bool]) -> None:
        """Wait until a claim about this intake holds."""
        async with asyncio.timeout(TEST_S), self._changed:
            await self._changed.wait_for(claim)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _receipt(self, arrival: Arrival) -> Receipt:
        assert arrival.received_time is None
        assert arrival.data is not None
        if isinstance(arrival.decoded, Refusal):
            return Receipt("refused", arrival.decoded)
        if arrival.decoded.content_hash in self._seen:
            return Receipt("duplicate")
        self._seen.add(arrival.decoded.content_hash)
        return Receipt("accepted")

    @property
    def reasons(self) -> list[str]:
        """What the arrivals were refused for; `ok` of those that were not."""
        return [
            str(arrival.decoded.reason) if isinstance(arrival.decoded, Refusal) else "ok" for arrival in self.arrivals
        ]


class Notices:
    """Keeps what the server told."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self._new = asyncio.Event()

    def __call__(self, notice: Notice) -> None:
        """Keep a notice."""
        self.told.append(notice)
        self._new.set()

    def counts(self, what: What) -> Counter[str]:
        """Count by code, or by why."""
        counts: Counter[str] = Counter()
        for notice in self.told:
            if notice.what == what:
                counts[notice.code or str(notice.why or "")] += notice.count
        return counts

    async def until(self, what: What, count: int = 1) -> Notice:
        """Wait until there were so many notices of a kind; give the last of them."""
        async with asyncio.timeout(TEST_S):
            while len(found := [notice for notice in self.told if notice.what == what]) < count:
                self._new.clear()
                await self._new.wait()
        return found[count - 1]


class Client:
    """A peer that we wrote, for what well-behaved clients cannot do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._framing = MllpReader()
        self._answers: list[bytes] = []

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answers(self, count: int) -> list[tuple[str, str]]:
        """Wait for so many answers; give MSA-1 and MSA-2 of each."""
        async with asyncio.timeout(TEST_S):
            while len(self._answers) < count:
                data = await self.reader.read(65_536)
                assert data, f"closed after {len(self._answers)} of {count} answers"
                self._answers += self._framing.feed(data)
        found, self._answers = self._answers[:count], self._answers[count:]
        told = [answer.split(b"\r")[1].split(b"|") for answer in found]
        return [(fields[1].decode(), fields[2].decode()) for fields in told]

    async def rest(self) -> list[tuple[str, str]]:
        """Read until the server closes; give the answers that came."""
        async with asyncio.timeout(TEST_S):
            while data := await self.reader.read(65_536):
                self._answers += self._framing.feed(data)
        return await self.answers(len(self._answers))


class Ward:
    """A running server with all that belongs to it."""

    def __init__(self, limits: MllpLimits, settings: Hl7Settings) -> None:
        self.intake = MemoryIntake()
        self.notices = Notices()
        self.server = MllpServer(self.intake, settings, limits, now=lambda: NOW, report=self.notices)
        self.port = 0
        self._clients: list[Client] = []

    async def connect(self, *, opened: bool = True) -> Client:
        """Open a connection, and wait until the server has given it its place."""
        before = self.notices.counts("opened")[""]
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        if opened:
            await self.notices.until("opened", before + 1)
        return client

    def part(self) -> None:
        """Break every connection off."""
        for client in self._clients:
            client.writer.transport.abort()


def render(number: int) -> bytes:
    """Give an ORU^R01 with the control id `M<number>`."""
    return render_oru(
        control_id=f"M{number}",
        sent_time=NOW + number,
        feed="LAB|MAIN",
        patient=Identifier("HOSP", "42"),
        encounter="V1",
        location=Location("W1"),
        observed_time=NOW,
        order=f"O{number}",
        results=[Result("8867-4", value=72.0, unit="/min")],
    )


@asynccontextmanager
async def running(*, message_bytes_max: int = 1024 * 1024, **limits: float) -> AsyncIterator[Ward]:
    """Start a server, and stop it in the end; linger for an instant only, unless told otherwise."""
    ward = Ward(
        MllpLimits(**{"linger_s": 0.2, **limits}),  # type: ignore[arg-type]
        Hl7Settings(message_bytes_max=message_bytes_max),
    )
    ward.port = await ward.server.start("127.0.0.1", 0)
    try:
        async with asyncio.timeout(TEST_S * 2):
            yield ward
    finally:
        ward.part()
        ward.intake.open.set()
        ward.intake.failing = None
        ward.intake.settle()
        ward.intake.durable = True
        await ward.server.stop(TEST_S)


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractAsyncContextManager[Ward]]:
    """Give what starts a server with the limits that the test names."""
    return running


@pytest.fixture(scope="session")
def message() -> Callable[[int], bytes]:
    """Give what makes a message of a number."""
    return render
