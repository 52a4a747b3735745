"""A real server on loopback, over an intake and a reading in memory that a test can look into and hold up."""

# ruff: noqa: D102 - the ports say what their methods mean; these are plain stand-ins

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from alerts.limits import PatientLimits
from connectors.decoded import Decoded, Refusal
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.acting import Entrance
from connectors.http.limits import HttpLimits
from connectors.http.ports import Condition, NumberedAlert
from connectors.http.server import HttpServer
from connectors.intake import NotStoredError, NotStoredReason, Receipt
from connectors.sources.arrival import Arrival
from events import to_iso

UNTIL_S = 60.0
"""What has not come about by then, on a machine however busy, does not come about."""
NOW = 1_770_000_000_000


class MemoryIntake:
    """Keeps what it is offered; `held` keeps receipts back, `refuses_with` is why nothing is stored."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.portions: list[int] = []
        self.refuses_with: NotStoredReason | None = None
        self.fails_late: NotStoredReason | None = None
        self.breaks = False
        self.held: asyncio.Event | None = None
        self.offered = asyncio.Event()
        self._known: set[bytes] = set()

    async def offer(self, arrivals: Sequence[Arrival]) -> asyncio.Future[list[Receipt]]:
        if self.breaks:
            raise RuntimeError("Jane Doe, 42")
        if self.refuses_with is not None:
            raise NotStoredError(self.refuses_with)
        self.portions.append(len(arrivals))
        self.arrivals += arrivals
        self.offered.set()
        return asyncio.ensure_future(self._store(list(arrivals)))

    async def _store(self, arrivals: list[Arrival]) -> list[Receipt]:
        if self.held is not None:
            await self.held.wait()
        if self.fails_late is not None:
            raise NotStoredError(self.fails_late)
        return [self._receipt(arrival.decoded) for arrival in arrivals]

    def _receipt(self, decoded: Decoded | Refusal) -> Receipt:
        if isinstance(decoded, Refusal):
            return Receipt("refused", decoded)
        if decoded.content_hash in self._known:
            return Receipt("duplicate")
        self._known.add(decoded.content_hash)
        return Receipt("accepted")


class MemoryReading:
    """Alerts and documents in memory; `pages` counts the pages that streams have read."""

    def __init__(self) -> None:
        self.stored: list[NumberedAlert] = []
        self.pages = 0
        self.oldest = 0
        self.folded = True
        self.waited = 0
        self.limits: dict[str, PatientLimits] = {}
        self.idle = asyncio.Event()
        self.condition = Condition(well=True)
        self.documents: dict[str, Any] = {
            "patients": {"as_of": to_iso(NOW), "clock": to_iso(NOW), "behind_records": 0, "patients": []},
            "feeds": {"as_of": to_iso(NOW), "feeds": []},
            "open": {"alerts": []},
        }
        self._more = asyncio.Condition()

    async def say(self, *alerts: NumberedAlert) -> None:
        async with self._more:
            self.stored += alerts
            self._more.notify_all()

    def live(self) -> Condition:
        return self.condition

    def ready(self) -> Condition:
        return self.condition

    async def patients(self, ward: str | None) -> bytes:
        document = dict(self.documents["patients"])
        document["patients"] = [one for one in document["patients"] if ward is None or one["ward"] == ward]
        return msgspec.json.encode(document)

    def signals(self, _wards: Collection[str]) -> bytes:
        return msgspec.json.encode(self.documents["patients"].get("signals", []))

    async def patient(self, key: str) -> bytes | None:
        for one in self.documents["patients"]["patients"]:
            if one["patient"] == key:
                return msgspec.json.encode(one)
        return None

    async def alerts(self, after: int, limit: int) -> list[NumberedAlert]:
        self.pages += 1
        return [alert for alert in self.stored if alert.number > after][:limit]

    async def reaches(self, after: int) -> bool:
        return after >= self.oldest

    async def open_alerts(self) -> bytes:
        return msgspec.json.encode(self.documents["open"])

    async def newest_alert(self) -> int:
        return self.stored[-1].number if self.stored else 0

    async def wait_for_alert(self, after: int, timeout_s: float) -> bool:
        self.idle.set()
        try:
            async with asyncio.timeout(timeout_s), self._more:
                await self._more.wait_for(lambda: bool(self.stored) and self.stored[-1].number > after)
        except TimeoutError:
            return False
        return True

    async def ward_of(self, key: str) -> str | None:
        for one in self.documents["patients"]["patients"]:
            if one["patient"] == key:
                return str(one["ward"])
        return None

    async def caught_up(self) -> bool:
        self.waited += 1
        return self.folded

    async def limits_of(self, key: str) -> PatientLimits:
        return self.limits.get(key, PatientLimits())

    async def feeds(self) -> bytes:
        return msgspec.json.encode(self.documents["feeds"])

    def metrics(self) -> tuple[bytes, str]:
        return b"# EOF\n", "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Site:
    """A server under test, and what it talks to."""

    def __init__(
        self,
        server: HttpServer,
        port: int,
        client: aiohttp.ClientSession,
        told: list[dict[str, Any]],
        answered: list[dict[str, Any]],
    ) -> None:
        self.server = server
        self.port = port
        self.client = client
        self.told = told
        self.answered = answered
        self.url = f"http://127.0.0.1:{port}"

    async def raw(self, data: bytes, *, end: bool = False) -> bytes:
        """Send bytes on a connection of their own and give all that comes until the server closes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        if end:
            writer.write_eof()
        async with asyncio.timeout(UNTIL_S):
            answer = await reader.read()
        writer.close()
        return answer

    async def until(self, condition: Callable[[], bool]) -> None:
        """Ask the server, which serves all the while, until something is so."""
        async with asyncio.timeout(UNTIL_S):
            while not condition():
                async with self.client.get("/health/live") as response:
                    assert response.status == 200


Serve = Callable[..., Awaitable[Site]]


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
def reading() -> MemoryReading:
    return MemoryReading()


@pytest_asyncio.fixture
async def serve(intake: MemoryIntake, reading: MemoryReading) -> AsyncIterator[Serve]:
    """Give a way to start servers, which are stopped at the end."""
    sites: list[Site] = []

    async def start(
        *, token: str | None = None, port: int = 0, entrance: Entrance | None = None, **limits: Any
    ) -> Site:
        told: list[dict[str, Any]] = []
        answered: list[dict[str, Any]] = []
        server = HttpServer(
            intake,
            reading,
            Hl7Settings(),
            FhirSettings(server="ehr"),
            HttpLimits(**limits),
            token=token,
            report=lambda event, **fields: (answered if event == "answered" else told).append(
                {"event": event, **fields}
            ),
            clock=lambda: NOW,
            entrance=entrance,
        )
        bound = await server.start("127.0.0.1", port)
        client = aiohttp.ClientSession(f"http://127.0.0.1:{bound}", timeout=aiohttp.ClientTimeout(total=UNTIL_S))
        sites.append(Site(server, bound, client, told, answered))
        return sites[-1]

    yield start
    for site in sites:
        await site.client.close()
        await site.server.stop(0.1)
