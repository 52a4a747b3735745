"""Claims about rest-hook Subscriptions, on HAPI's own JPA server: what it tells us, and what when it tells nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.client import SourceClient
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.hooks import Hooks
from connectors.fhir_sources.pages import read_resource
from connectors.fhir_sources.polling import Poller
from connectors.fhir_sources.progress import ProgressFile
from connectors.fhir_sources.receiving import HookHearer, Receiver
from connectors.fhir_sources.reconciling import Reconciler, RoundHearer
from connectors.fhir_sources.settings import FhirServer, SubscriptionSettings
from connectors.fhir_sources.taking import Taker
from connectors.fhir_sources.untold import Untold
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.limits import HttpLimits
from connectors.http.server import HttpServer
from tests.connectors.http.conftest import MemoryIntake, MemoryReading
from tests.fhir_server.servers import HAPI_VARIABLE, HapiServer, free_port, observation, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET = "s" * 40
AT = "2026-01-01T10:00:00Z"


class Subscribed:
    """What is subscribed at HAPI's server, with the door it delivers to."""

    def __init__(self, server: HapiServer, folder: Path, hearer: HookHearer | None = None) -> None:
        self.hapi = server
        self.folder = folder
        self.hearer = hearer or HookHearer()
        self.intake = MemoryIntake()
        self.looks = 0
        self.port = 0

    async def open(self, **fields: Any) -> None:
        """Begin; `fields` are of the subscription's settings."""
        (self.folder / "secret").write_text(SECRET)
        endpoint = f"http://127.0.0.1:{self.port}/fhir/subscriptions/ehr"
        values = {"style": "criteria", "criteria": ("Observation?",), "lasts_s": 3_600, "missed_max": 2, **fields}
        chosen = SubscriptionSettings(endpoint=endpoint, secret_file=str(self.folder / "secret"), **values)
        self.settings = FhirServer(self.hapi.url, ("Observation",), overlap_s=600, subscription=chosen)
        self.client = SourceClient(self.settings)
        self.taker = Taker("ehr", self.hapi.url, self.intake, FhirSettings(), offered_at_once_max=500)
        self.untold = Untold(grace_s=0.3)
        self.receiver = Receiver(
            self.folder / "secret",
            self.client,
            self.taker,
            self.hearer,
            untold=self.untold,
            look_soon=lambda: None,
            reconcile_soon=lambda: None,
        )
        self.wanted = asyncio.Event()
        self.reconciler = Reconciler(
            self.settings,
            self.client,
            self.receiver,
            RoundHearer(),
            now=lambda: time.time_ns() // 1_000_000,
            untold=self.untold,
            look_soon=lambda: None,
            wanted=self.wanted,
        )
        self.poller = Poller(
            self.settings,
            self.client,
            self.taker,
            ProgressFile(self.folder, "ehr"),
            now=lambda: time.time_ns() // 1_000_000,
            news=self.reconciler.news,
        )
        await self.listen()

    async def listen(self) -> None:
        """Open the door."""
        self.server = HttpServer(
            self.intake,
            MemoryReading(),
            Hl7Settings(),
            FhirSettings(),
            HttpLimits(),
            token="the site's own token",  # noqa: S106 - it opens nothing
            report=lambda *_words, **_fields: None,
            telling=Hooks({"ehr": self.receiver}),
        )
        self.port = await self.server.start("127.0.0.1", self.port)

    def taken(self, identity: str) -> int:
        """Count how often a resource was handed on."""
        lines = [line for one in self.intake.arrivals for line in (one.data or b"").split(b"\n")]
        return sum(read_resource(line).id == identity for line in lines)

    def put(self, identity: str, value: float = 72) -> dict[str, Any]:
        """Store a vital sign at HAPI's server."""
        return self.hapi.put(observation(identity, "p", value, AT))

    async def until(self, happened: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something has come about."""
        await until(happened)

    async def until_active(self) -> None:
        """Go round until the subscription is active."""

        async def active() -> bool:
            return (await self.reconciler.go_round()).active == 1

        await self.until(active)

    async def until_taken(self, identity: str, times: int = 1) -> None:
        """Wait until a resource was delivered."""

        async def taken() -> bool:
            return self.taken(identity) >= times

        await self.until(taken)

    @property
    def on_server(self) -> list[dict[str, Any]]:
        """Our subscriptions, as HAPI has them."""
        found = self.hapi.get(f"Subscription?url={self.settings.subscription.endpoint}")
        return [entry["resource"] for entry in found.get("entry", [])]

    async def only_one(self) -> dict[str, Any]:
        """Give ours, once there is one: HAPI's search may show for a moment what was deleted."""
        found: list[dict[str, Any]] = []

        async def alone() -> bool:
            found[:] = await asyncio.to_thread(lambda: self.on_server)
            return len(found) == 1

        await self.until(alone)
        return found[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def subscribed(jpa_server: HapiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Subscribed]:
    """A subscription on HAPI's server that is active."""
    made = Subscribed(jpa_server, tmp_path_factory.mktemp("subscribed"))
    made.port = free_port()
    await made.open()
    await made.until_active()
    yield made
    await made.server.stop(1)
    await made.client.close()


async def test_a_change_is_told_and_polling_adds_nothing(subscribed: Subscribed) -> None:
    """HAPI puts the resource below our endpoint, with our secret; what polling finds of it then is known already."""
    name = subscribed.hapi.unique("told")
    await asyncio.to_thread(subscribed.put, name)
    await subscribed.until_taken(name)
    await subscribed.poller.look()
    assert subscribed.taken(name) == 1
    await asyncio.to_thread(subscribed.put, name, 90)
    await subscribed.until_taken(name, 2)


async def test_nineteen_deliveries_count_once(subscribed: Subscribed) -> None:
    """The same delivery again and again is answered 200 and changes nothing; without the secret it is 401."""
    name = subscribed.hapi.unique("often")
    stored = await asyncio.to_thread(subscribed.put, name)
    await subscribed.until_taken(name)
    url = f"{subscribed.settings.subscription.endpoint}/Observation/{name}"
    headers = {"content-type": "application/fhir+json"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
        for _ in range(19):
            answer = await client.put(url, json=stored, headers={"authorization": f"Bearer {SECRET}"})
            assert answer.status_code == 200
        assert subscribed.taken(name) == 1
        for given in ({}, {"authorization": "Bearer the site's own token"}, {"authorization": f"Basic {SECRET}"}):
            assert (await client.put(url, json=stored, headers=given)).status_code == 401
        other = url.replace("/ehr/", "/other/")
        assert (await client.put(other, json=stored, headers={"authorization": f"Bearer {SECRET}"})).status_code == 401
        site = url.rpartition("/fhir/")[0] + "/feeds"
        assert (await client.get(site, headers={"authorization": f"Bearer {SECRET}"})).status_code == 401


async def test_a_subscription_that_was_switched_off_is_made_anew(subscribed: Subscribed) -> None:
    """Status off, or somebody deleted it: the next round makes another, which tells again. A second one is removed."""
    one = await subscribed.only_one()
    await asyncio.to_thread(subscribed.hapi.put, {**one, "status": "off"})
    round_ = await subscribed.reconciler.go_round()
    assert (round_.steps, round_.faults) == ({"remake": 1}, ("its status is off",))
    await subscribed.until_active()
    other = await subscribed.only_one()
    assert other["id"] != one["id"]
    await asyncio.to_thread(subscribed.hapi.put, {**other, "id": subscribed.hapi.unique("twin"), "status": "requested"})
    assert (await subscribed.reconciler.go_round()).steps == {"remake": 1, "remove": 1}
    await subscribed.until_active()  # HAPI's search may show what was deleted for a moment
    name = subscribed.hapi.unique("again")
    await asyncio.to_thread(subscribed.put, name)
    await subscribed.until_taken(name)

    async def settled() -> bool:
        return (await subscribed.reconciler.go_round()).steps == {"keep": 1}

    await subscribed.until(settled)


async def test_a_subscription_that_ends_soon_is_renewed(subscribed: Subscribed) -> None:
    """Past half of its time its end is put off, and it goes on telling."""
    one = await subscribed.only_one()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    await asyncio.to_thread(subscribed.hapi.put, {**one, "end": soon})
    assert (await subscribed.reconciler.go_round()).steps == {"renew": 1}
    renewed = await subscribed.only_one()
    assert renewed["id"] == one["id"]
    assert renewed["end"] > soon
    await subscribed.until_active()
    name = subscribed.hapi.unique("renewed")
    await asyncio.to_thread(subscribed.put, name)
    await subscribed.until_taken(name)


async def test_a_silent_failure_is_found_by_polling(subscribed: Subscribed) -> None:
    """What HAPI could not deliver while our door was shut is read by polling; nobody told, so all are made anew."""
    await subscribed.until_active()
    await subscribed.server.stop(1)
    names = [subscribed.hapi.unique("unheard") for _ in range(2)]
    for name in names:
        await asyncio.to_thread(subscribed.put, name)

    async def missed() -> bool:
        await subscribed.poller.look()
        subscribed.reconciler.looked(0)
        return subscribed.wanted.is_set()

    await subscribed.until(missed)
    assert all(subscribed.taken(name) for name in names)
    assert subscribed.wanted.is_set()
    subscribed.wanted.clear()
    await subscribed.listen()
    round_ = await subscribed.reconciler.go_round()
    assert round_.steps == {"remake": 1}
    assert round_.faults == ("resources were found by polling that it did not tell",)
    await subscribed.until_active()
    name = subscribed.hapi.unique("heard")
    await asyncio.to_thread(subscribed.put, name)
    await subscribed.until_taken(name)


async def test_pages_of_a_database_are_followed(subscribed: Subscribed) -> None:
    """HAPI's pages, with their own addresses, are followed to the end in the order of change."""
    names = [subscribed.hapi.unique("page") for _ in range(7)]
    for name in names:
        await asyncio.to_thread(subscribed.put, name)
    settings = FhirServer(subscribed.hapi.url, ("Observation",), page_size=3)
    intake = MemoryIntake()
    taker = Taker("pages", subscribed.hapi.url, intake, FhirSettings(), offered_at_once_max=500)
    file = ProgressFile(subscribed.folder, "pages")
    poller = Poller(settings, subscribed.client, taker, file, now=lambda: time.time_ns() // 1_000_000)
    look = await poller.look()
    assert look.taken["Observation"] >= 7
    lines = [read_resource(line).id for one in intake.arrivals for line in (one.data or b"").split(b"\n")]
    assert [name for name in lines if name in names] == names


async def test_a_server_that_was_killed_tells_again(subscribed: Subscribed) -> None:
    """While it is away rounds and looks say so, and forget nothing; what its database kept of us is active again."""
    hapi = _killable(subscribed)
    await subscribed.until_active()
    before = await subscribed.only_one()
    await asyncio.to_thread(hapi.kill)
    for act in (subscribed.reconciler.go_round, subscribed.poller.look):
        with pytest.raises(FhirSourceError) as fault:
            await act()
        assert fault.value.kind == "unreachable"
    await asyncio.to_thread(hapi.start)
    await subscribed.until_active()
    after = await subscribed.only_one()
    assert after["id"] == before["id"]
    name = hapi.unique("back")
    await asyncio.to_thread(subscribed.put, name)
    await subscribed.until_taken(name)
    await subscribed.poller.look()
    assert subscribed.taken(name) == 1


async def test_a_server_that_lost_its_database_is_subscribed_at_anew(subscribed: Subscribed) -> None:
    """Nothing of us is there, and nobody says so: the next round makes it, and what is new is told and found."""
    hapi = _killable(subscribed)
    await asyncio.to_thread(hapi.forget)
    await asyncio.to_thread(hapi.start)
    unheard = hapi.unique("before")
    await asyncio.to_thread(subscribed.put, unheard)
    assert (await subscribed.reconciler.go_round()).steps == {"create": 1}
    await subscribed.until_active()
    name = hapi.unique("anew")
    await asyncio.to_thread(subscribed.put, name)
    await subscribed.until_taken(name)

    async def found() -> bool:
        await subscribed.poller.look()
        return subscribed.taken(unheard) == 1

    await subscribed.until(found)
    assert subscribed.taken(name) == 1


def _killable(subscribed: Subscribed) -> HapiServer:
    if not subscribed.hapi.is_ours:
        pytest.skip(
            f"{HAPI_VARIABLE} IS SET: a server that somebody else started is not killed; restarts were NOT tested"
        )
    return subscribed.hapi
