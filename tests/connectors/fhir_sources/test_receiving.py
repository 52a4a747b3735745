"""Claims about what a server tells of itself: it counts once it is durable, and what is missing is fetched at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.receiving import HookHearer, Receiver
from connectors.fhir_sources.reconciling import Reconciler, RoundHearer
from connectors.fhir_sources.settings import FhirServer, SubscriptionSettings
from connectors.fhir_sources.untold import Untold
from connectors.intake import NotStoredError
from tests.connectors.fhir_sources.conftest import Asked, FakeFhir
from tests.fhir_server.servers import until

pytestmark = pytest.mark.asyncio
SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - a test's own


class Heard(HookHearer):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.gaps: list[tuple[int, int]] = []
        self.ailments: list[str] = []

    def notified(self, kind: str) -> None:
        """Keep it."""
        self.kinds.append(kind)

    def gap(self, events: int, filled: int) -> None:
        """Keep it."""
        self.gaps.append((events, filled))

    def ailing(self, why: str) -> None:
        """Keep it."""
        self.ailments.append(why)


class Told:
    """A receiver and what came of it."""

    def __init__(self, asked: Asked, folder: Path) -> None:
        self.asked = asked
        self.fake = asked.fake
        self.heard = Heard()
        self.looks = 0
        self.rounds = 0
        self.elapsed = 0.0
        self.secret_file = folder / "secret"
        self.secret_file.write_text(SECRET)
        self.receiver = Receiver(
            self.secret_file,
            asked.client,
            asked.taker,
            self.heard,
            untold=Untold(),
            look_soon=self._look,
            reconcile_soon=self._round,
            elapsed_s=lambda: self.elapsed,
        )

    def _look(self) -> None:
        self.looks += 1

    def _round(self) -> None:
        self.rounds += 1

    async def tell(self, document: Any) -> None:
        """Deliver, and wait for what that began."""
        await self.receiver.receive(msgspec.json.encode(document))
        for task in list(self.receiver._tasks):
            await task

    def notification(
        self,
        kind: str,
        since: int | None,
        *events: tuple[int, str],
        resources: tuple[str, ...] = (),
        status: str = "active",
    ) -> dict[str, Any]:
        """Give a notification as the R4 backport has it."""
        parts: list[dict[str, Any]] = [
            {"name": "subscription", "valueReference": {"reference": f"{self.fake.base}/Subscription/s1"}},
            {"name": "topic", "valueCanonical": "http://topic"},
            {"name": "status", "valueCode": status},
            {"name": "type", "valueCode": kind},
        ]
        if since is not None:
            parts.append({"name": "events-since-subscription-start", "valueString": str(since)})
        for number, focus in events:
            part = [{"name": "event-number", "valueString": str(number)}]
            if focus:
                part.append({"name": "focus", "valueReference": {"reference": f"{self.fake.base}/{focus}"}})  # type: ignore[dict-item] # JSON
            parts.append({"name": "notification-event", "part": part})
        entries = [{"resource": {"resourceType": "Parameters", "parameter": parts}}]
        entries += [{"resource": self.fake.stored[name]} for name in resources]
        return {"resourceType": "Bundle", "type": "history", "entry": entries}


async def test_a_new_secret_is_known_by_a_gateway_whose_turn_it_is_not(told: Told, tmp_path: Path) -> None:
    """Deliveries come to any gateway: one that does not ask the server reads the new secret all the same."""
    endpoint = "https://ward.example/fhir/subscriptions/ehr"
    chosen = SubscriptionSettings("criteria", endpoint, str(tmp_path / "secret"), look_s=0.01)
    rounds = Reconciler(
        FhirServer(told.fake.base, subscription=chosen),
        told.asked.client,
        told.receiver,
        RoundHearer(),
        now=lambda: 0,
        untold=Untold(),
        is_ours=lambda: False,
        look_soon=lambda: None,
        wanted=asyncio.Event(),
    )
    told.secret_file.write_text("n" * 40)

    async def known() -> bool:
        return told.receiver.knows("n" * 40)

    await rounds.start()
    await until(known)
    await rounds.stop()
    assert told.receiver.knows("n" * 40)
    assert told.receiver.knows(SECRET)
    assert told.fake.requests == []


@pytest.fixture
def told(ask: Callable[..., Asked], tmp_path: Path) -> Told:
    """A receiver of the server."""
    return Told(ask(), tmp_path)


def reads(fake: FakeFhir) -> None:
    """Let resources be read one by one."""
    search = fake.search

    def answer(kind: str, request: web.Request) -> web.Response:
        if kind in fake.stored:
            return web.json_response(fake.stored[kind])
        return web.Response(status=404) if "/" in kind else search(kind, request)

    fake.search = answer  # type: ignore[method-assign] # a test's own


async def test_a_notification_that_carries_its_resources_is_taken(told: Told, fake: FakeFhir) -> None:
    """The status is no resource of ours; what it carries is taken once, however often it comes."""
    fake.vital("o1")
    whole = told.notification("event-notification", 1, (1, "Observation/o1"), resources=("Observation/o1",))
    for _ in range(3):
        await told.tell(whole)
    assert told.asked.ids == ["Observation/o1/1"]
    assert (told.heard.gaps, told.looks, fake.requests) == ([], 0, [])


async def test_a_notification_that_names_resources_has_them_read(told: Told, fake: FakeFhir) -> None:
    """Each that is named is read from the server; one that is gone is left out."""
    reads(fake)
    fake.vital("o1")
    fake.vital("o2", value=80)
    await told.tell(told.notification("event-notification", 3, *((n, f"Observation/o{n}") for n in (1, 2, 3))))
    assert sorted(told.asked.ids) == ["Observation/o1/1", "Observation/o2/1"]


async def test_what_is_named_and_cannot_be_read_is_to_be_sent_again(told: Told, fake: FakeFhir) -> None:
    """Nothing is answered as taken that is not: a read that fails, or a disk that is full, is told to the server."""
    fake.answers = [web.Response(status=403)]
    with pytest.raises(FhirSourceError):
        await told.tell(told.notification("event-notification", 1, (1, "Observation/o1")))
    fake.vital("o1")
    told.asked.intake.fails_late = "disk_full"
    whole = told.notification("event-notification", 1, (1, "Observation/o1"), resources=("Observation/o1",))
    with pytest.raises(NotStoredError):
        await told.tell(whole)
    told.asked.intake.fails_late = None
    told.asked.intake.arrivals.clear()
    await told.tell(whole)
    assert told.asked.ids == ["Observation/o1/1"]


async def test_a_gap_is_asked_for_by_its_numbers(told: Told, fake: FakeFhir) -> None:
    """Event 5 after event 2: 3 and 4 are fetched by $events, and the server is polled at once all the same."""
    for number in range(1, 6):
        fake.vital(f"o{number}", value=70 + number)
    asked: list[str] = []

    async def events(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        names = (3, "Observation/o3"), (4, "Observation/o4")
        return web.json_response(
            told.notification("query-event", 5, *names, resources=("Observation/o3", "Observation/o4"))
        )

    fake.extra["GET", "fhir/Subscription/s1/$events"] = events
    await told.tell(told.notification("event-notification", 2, (2, "Observation/o2"), resources=("Observation/o2",)))
    await told.tell(told.notification("event-notification", 5, (5, "Observation/o5"), resources=("Observation/o5",)))
    assert asked == ["eventsSinceNumber=3&eventsUntilNumber=4"]
    assert (told.heard.gaps, told.looks) == ([(2, 2)], 1)
    assert [one.split("/")[1] for one in told.asked.ids] == ["o2", "o5", "o3", "o4"]


async def test_a_heartbeat_shows_what_was_not_delivered(told: Told, fake: FakeFhir) -> None:
    """It says how many events there were: more than were heard is a gap; without $events polling fills it."""
    await told.tell(told.notification("handshake", 0))
    await told.tell(told.notification("heartbeat", 0))
    assert told.heard.gaps == []
    fake.answers = [web.Response(status=404)]
    await told.tell(told.notification("heartbeat", 2))
    assert (told.heard.gaps, told.looks) == ([(2, 0)], 1)
    assert told.heard.ailments == ["a gap could not be asked for (FhirSourceError): it is polled for"]
    await told.tell(told.notification("heartbeat", 0))
    assert told.looks == 2, "the server counts from the beginning again: what was between is polled for"
    assert told.heard.kinds == ["handshake", "heartbeat", "heartbeat", "heartbeat"]


async def test_a_count_that_cannot_be_is_no_harm(told: Told, fake: FakeFhir) -> None:
    """A count of 10^18 makes no list of as many numbers: it is polled for."""
    await told.tell(told.notification("heartbeat", 1))
    await told.tell(told.notification("heartbeat", 10**18))
    assert told.heard.gaps == [(10**18 - 1, 0)]
    assert (told.looks, fake.requests) == (1, [])


async def test_a_subscription_that_says_it_failed_is_looked_after(told: Told) -> None:
    """Status error or off within a notification begins a round at once."""
    await told.tell(told.notification("query-status", 0, status="error"))
    assert told.rounds == 1
    assert told.heard.ailments == ["the server says that the subscription's status is error"]


async def test_a_history_is_taken_in_the_order_of_time(told: Told, fake: FakeFhir) -> None:
    """A Bundle of type history begins with the newest version: the older one goes first, or it would undo it."""
    old = dict(fake.vital("o", value=70))
    new = fake.vital("o", value=71)
    await told.tell({"resourceType": "Bundle", "type": "history", "entry": [{"resource": new}, {"resource": old}]})
    assert told.asked.ids == ["Observation/o/1", "Observation/o/2"]


async def test_a_delivery_without_content_has_the_server_polled(told: Told) -> None:
    """R4's subscription without a payload says only that something changed."""
    await told.receiver.receive(b"")
    assert (told.looks, told.heard.kinds) == (1, ["empty"])


async def test_what_cannot_be_read_is_kept_as_a_dead_letter(told: Told) -> None:
    """A delivery that is no FHIR is offered, refused and kept: nobody else would know of it."""
    await told.receiver.receive(b'{"resourceType":"Observation","id":"o","status":"fnial"}')
    assert told.asked.taken[-1][1].outcomes == {"refused": 1}


async def test_a_secret_may_be_changed_while_it_runs(told: Told) -> None:
    """After the file has another, the one before counts until the server knows the new one; a short one is refused."""
    assert told.receiver.knows(SECRET)
    assert not told.receiver.knows("")
    told.secret_file.write_text("n" * 40)
    told.receiver.renew_secret()
    assert told.receiver.knows(SECRET)
    assert told.receiver.knows("n" * 40)
    told.secret_file.write_text("short")
    with pytest.raises(FhirSourceError, match="32 characters") as raised:
        told.receiver.renew_secret()
    assert "short" not in str(raised.value)


async def test_an_answer_that_is_no_json_takes_no_other_with_it(told: Told) -> None:
    """Of two resources that are only named one comes, the other is a proxy's page: the first counts."""
    told.fake.vital("good")

    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"<html>log in</html>", content_type="text/html")

    async def good(_request: web.Request) -> web.StreamResponse:
        return web.json_response(told.fake.stored["Observation/good"])

    told.fake.extra["GET", "fhir/Observation/page"] = page
    told.fake.extra["GET", "fhir/Observation/good"] = good
    await told.tell(told.notification("event-notification", 2, (1, "Observation/good"), (2, "Observation/page")))
    assert told.asked.taken[-1][1].outcomes == {"accepted": 1, "refused": 1}


async def test_a_bundle_that_cannot_be_read_is_the_codecs(told: Told) -> None:
    """It is taken or kept as a dead letter, and no reason to have it sent again without end."""
    entry = [{"resource": told.fake.vital("o")}, {"resource": {"resourceType": "Observation", "id": "x"}}]
    await told.tell({"resourceType": "Bundle", "type": "transaction", "link": 7, "entry": entry})
    assert told.asked.taken[-1][1].outcomes == {"accepted": 1, "refused": 1}
