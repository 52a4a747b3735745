"""A FHIR server in this process that does what a test says: wrong clocks, broken pages, tokens it asks for.

It is ours, and speaks what the specification says; what HAPI's own servers do is tested on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.client import SourceClient
from connectors.fhir_sources.pages import read_instant, read_resource, write_instant
from connectors.fhir_sources.polling import Poller
from connectors.fhir_sources.progress import ProgressFile
from connectors.fhir_sources.settings import FhirServer
from connectors.fhir_sources.taking import Taken, Taker
from tests.connectors.http.conftest import MemoryIntake

NOW = 1_770_000_000_000
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeFhir:
    """A FHIR server with a clock of its own. What `answers` holds is answered first, each once."""

    def __init__(self) -> None:
        self.now = NOW
        self.stored: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens_seen: list[str] = []
        self.accepted_tokens: set[str] | None = None
        self.answers: list[web.Response | Answer] = []
        self.page_max = 1_000
        self.base = ""
        self.next_base = ""
        self.app = web.Application(client_max_size=10**7)
        self.app.router.add_route("*", "/{path:.*}", self._serve)
        self.extra: dict[tuple[str, str], Answer] = {}

    def put(self, kind: str, identity: str, *, at: int | None = None, **fields: Any) -> dict[str, Any]:
        """Store a resource, stamped by the server's clock."""
        name = f"{kind}/{identity}"
        version = int(self.stored.get(name, {"meta": {"versionId": "0"}})["meta"]["versionId"]) + 1
        meta = {"versionId": str(version), "lastUpdated": write_instant(self.now if at is None else at)}
        self.stored[name] = {"resourceType": kind, "id": identity, "meta": meta, **fields}
        return self.stored[name]

    def vital(self, identity: str, value: float = 72, **fields: Any) -> dict[str, Any]:
        """Store a pulse."""
        quantity = {"value": value, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}
        return self.put(
            "Observation",
            identity,
            status="final",
            code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            subject={"reference": "Patient/p"},
            effectiveDateTime=write_instant(self.now),
            valueQuantity=quantity,
            **fields,
        )

    async def drip(self, request: web.Request) -> web.StreamResponse:
        """Answer a byte now and then, for ten seconds."""
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.requests.append((request.method, f"{path}?{request.query_string}" if request.query_string else path))
        extra = self.extra.get((request.method, path))
        if extra is not None:
            return await extra(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.tokens_seen.append(token)
        if self.accepted_tokens is not None and token not in self.accepted_tokens:
            return web.json_response({"resourceType": "OperationOutcome", "issue": [{"code": "login"}]}, status=401)
        if self.answers:
            answer = self.answers.pop(0)
            return answer if isinstance(answer, web.Response) else await answer(request)
        return self.search(path.removeprefix("fhir/"), request)

    async def served(self, request: web.Request) -> web.Response:
        """Answer a search, as one of `answers`."""
        return self.search(request.match_info["path"].removeprefix("fhir/"), request)

    def search(self, kind: str, request: web.Request) -> web.Response:
        """Answer a search: by type and _lastUpdated, the oldest first, in pages."""
        query = {name: values[0] for name, values in parse_qs(request.query_string).items()}
        since = read_instant(query.get("_lastUpdated", "ge1970-01-01T00:00:00Z").removeprefix("ge")) or 0
        times = [(read_instant(one["meta"]["lastUpdated"]) or 0, one) for one in self.stored.values()]
        matching = [
            one for at, one in sorted(times, key=lambda pair: pair[0]) if one["resourceType"] == kind and at >= since
        ]
        count, start = min(int(query.get("_count", "50")), self.page_max), int(query.get("offset", "0"))
        links = [{"relation": "self", "url": str(request.url)}]
        if start + count < len(matching):
            following = urlencode({**query, "offset": start + count})
            links.append({"relation": "next", "url": f"{self.next_base or self.base}/{kind}?{following}"})
        entries = [
            {"fullUrl": f"{self.base}/{kind}/{one['id']}", "resource": one} for one in matching[start : start + count]
        ]
        return self.bundle(links, entries)

    def bundle(self, links: list[dict[str, str]], entries: list[dict[str, Any]]) -> web.Response:
        """Give a searchset."""
        body = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
        return web.Response(body=msgspec.json.encode(body), content_type="application/fhir+json", headers=self.date)

    @property
    def date(self) -> dict[str, str]:
        """The server's clock, as its answers tell it."""
        return {"Date": formatdate(self.now / 1_000, usegmt=True)}


class Asked:
    """A server, what asks it, and what was taken in."""

    def __init__(self, fake: FakeFhir, folder: Path, **settings: Any) -> None:
        self.fake = fake
        self.server = FhirServer(base_url=fake.base, **{"types": ("Observation",), "overlap_s": 60.0, **settings})
        self.intake = MemoryIntake()
        self.slept: list[float] = []
        self.warnings: list[str] = []
        self.taken: list[tuple[str, Taken]] = []
        self.folder = folder
        self.clients: list[SourceClient] = []
        self.begin()

    def begin(self, **client: Any) -> None:
        """Begin anew, as after a restart: all but the file is forgotten."""
        self.client = SourceClient(self.server, sleep=self._sleep, **client)
        self.clients.append(self.client)
        self.taker = Taker(
            "ehr",
            self.fake.base,
            self.intake,
            FhirSettings(),
            offered_at_once_max=500,
            counted=lambda way, taken: self.taken.append((way, taken)),
        )
        self.file = ProgressFile(self.folder, "ehr")
        self.poller = Poller(
            self.server, self.client, self.taker, self.file, now=lambda: NOW, warn=self.warnings.append
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    @property
    def ids(self) -> list[str]:
        """What was handed on, as TYPE/ID/VERSION, in order."""
        lines = [line for one in self.intake.arrivals for line in (one.data or b"").split(b"\n")]
        found = [read_resource(line) for line in lines]
        return [f"{one.kind}/{one.id}/{one.version}" for one in found]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeFhir]:
    """A FHIR server of ours."""
    made = FakeFhir()
    async with TestServer(made.app) as server:
        made.base = str(server.make_url("/fhir"))
        yield made


@pytest_asyncio.fixture
async def ask(fake: FakeFhir, tmp_path: Path) -> AsyncIterator[Callable[..., Asked]]:
    """Give what makes a source of the server."""
    made: list[Asked] = []

    def make(**settings: Any) -> Asked:
        made.append(Asked(fake, tmp_path, **settings))
        return made[-1]

    yield make
    await asyncio.gather(*(client.close() for one in made for client in one.clients))


@pytest.fixture
def outcome() -> Callable[[int, str], web.Response]:
    """Give what makes an OperationOutcome."""

    def make(status: int, code: str, **headers: str) -> web.Response:
        body = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": code, "diagnostics": "Patient/p"}],
        }
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=names)

    return make
