"""Claims about what a subscription notification says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fhir.resources.R4B.subscriptionstatus as r4b
import fhir.resources.subscriptionstatus as r5
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded
from connectors.fhir.codec import decode
from connectors.fhir.notification import Notification, NotificationEvent, read_notification
from connectors.fhir.settings import FhirSettings

SUBSCRIPTION, TOPIC = "http://ehr/fhir/Subscription/7", "http://example.org/SubscriptionTopic/vitals"
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-01-01T00:00:00Z",
    "valueQuantity": {"value": 72, "code": "/min", "system": "http://unitsofmeasure.org"},
}
EVENTS = (
    NotificationEvent(3, "http://ehr/fhir/Observation/o1"),
    NotificationEvent(4, "http://ehr/fhir/Observation/o2"),
)


def as_parameters(told: Notification) -> dict[str, Any]:
    """R4, by the backport guide."""
    parameters: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": told.subscription}},
        {"name": "topic", "valueCanonical": told.topic},
        {"name": "status", "valueCode": told.status},
        {"name": "type", "valueCode": told.type},
        {"name": "events-since-subscription-start", "valueString": str(told.events_since_start)},
    ]
    for event in told.events:
        parts: list[dict[str, Any]] = [{"name": "event-number", "valueString": str(event.number)}]
        if event.focus:
            parts.append({"name": "focus", "valueReference": {"reference": event.focus}})
        parameters.append({"name": "notification-event", "part": parts})
    return {"resourceType": "Parameters", "parameter": parameters}


def as_status(told: Notification) -> dict[str, Any]:
    """R4B and R5."""
    events = [
        {"eventNumber": str(one.number), **({"focus": {"reference": one.focus}} if one.focus else {})}
        for one in told.events
    ]
    status: dict[str, Any] = {
        "resourceType": "SubscriptionStatus",
        "status": told.status,
        "type": told.type,
        "eventsSinceSubscriptionStart": str(told.events_since_start),
        "subscription": {"reference": told.subscription},
        "topic": told.topic,
    }
    return status | ({"notificationEvent": events} if events else {})


SPELLINGS = [("history", as_parameters), ("history", as_status), ("subscription-notification", as_status)]


@pytest.mark.parametrize(("bundle_type", "spell"), SPELLINGS, ids=["r4", "r4b", "r5"])
@pytest.mark.parametrize(
    "told",
    [
        Notification("handshake", SUBSCRIPTION, TOPIC, "requested", 0),
        Notification("heartbeat", SUBSCRIPTION, TOPIC, "active", 2),
        Notification("event-notification", SUBSCRIPTION, TOPIC, "active", 4, EVENTS),
        Notification("event-notification", SUBSCRIPTION, TOPIC, "active", 4, (NotificationEvent(4),)),
        Notification("query-event", SUBSCRIPTION, TOPIC, "active", 9, EVENTS),
    ],
    ids=["handshake", "heartbeat", "id-only", "empty", "query-event"],
)
def test_three_spellings_say_one_thing(bundle_type: str, spell: Any, told: Notification) -> None:
    """Parameters (R4) and SubscriptionStatus (R4B, R5) are read alike, in a Bundle and by themselves."""
    status = spell(told)
    if spell is as_status:
        r4b.SubscriptionStatus.model_validate(status)
        r5.SubscriptionStatus.model_validate(status)
    entries = [{"fullUrl": "urn:uuid:1", "resource": status}]
    entries += [{"fullUrl": one.focus, "request": {"method": "PUT", "url": "Observation/o1"}} for one in told.events]
    bundle = {"resourceType": "Bundle", "type": bundle_type, "entry": entries}
    assert read_notification(msgspec.json.encode(bundle)) == told
    assert read_notification(msgspec.json.encode(status)) == told
    results = decode(msgspec.json.encode(bundle), FhirSettings(server="ehr"))
    assert len(results) == len(entries)
    assert all(isinstance(one, Decoded) and not one.events for one in results)


@pytest.mark.parametrize(("bundle_type", "spell"), SPELLINGS, ids=["r4", "r4b", "r5"])
def test_full_resources_are_the_codecs(bundle_type: str, spell: Any) -> None:
    """A notification with whole resources is their events, in the order sent; a removal names nobody and is counted."""
    status = spell(Notification("event-notification", SUBSCRIPTION, TOPIC, "active", 4, EVENTS))
    later = OBSERVATION | {"id": "o2", "valueQuantity": OBSERVATION["valueQuantity"] | {"value": 80}}
    bundle = {
        "resourceType": "Bundle",
        "type": bundle_type,
        "entry": [
            {"resource": status},
            {"fullUrl": "http://ehr/fhir/Observation/o1", "resource": OBSERVATION},
            {"fullUrl": "http://ehr/fhir/Observation/o2", "resource": later},
            {"fullUrl": "http://ehr/fhir/Observation/o3", "request": {"method": "DELETE", "url": "Observation/o3"}},
        ],
    }
    _, first, second, gone = decode(msgspec.json.encode(bundle), FhirSettings(server="ehr"))
    assert isinstance(first, Decoded)
    assert isinstance(second, Decoded)
    assert [one.value for result in (first, second) for one in result.events] == [72.0, 80.0]  # type: ignore[union-attr]
    assert isinstance(gone, Decoded)
    assert gone.notes == ("history_delete",)


@pytest.mark.parametrize("number", ["", "-1", "1.5", "many", "9" * 20, None, True, "\u0663"])
def test_a_number_that_is_none(number: object) -> None:
    """A number that cannot be read is None, never a guess."""
    status = as_status(Notification("heartbeat", SUBSCRIPTION, TOPIC, "active", 1))
    status["eventsSinceSubscriptionStart"] = number
    found = read_notification(msgspec.json.encode(status))
    assert found is None or found.events_since_start is None


def test_plain_numbers() -> None:
    """A server that writes integer64 as a JSON number is understood."""
    status = as_status(Notification("heartbeat", SUBSCRIPTION, TOPIC, "active", 1))
    status["eventsSinceSubscriptionStart"] = 12
    found = read_notification(msgspec.json.encode(status))
    assert found is not None
    assert found.events_since_start == 12


@pytest.mark.parametrize(
    "data",
    [
        b'{"resourceType":"Parameters","parameter":[{"name":"type","valueCode":"heartbeat"}]}',
        b'{"resourceType":"SubscriptionStatus","type":"shout"}',
        b'{"resourceType":"Bundle","type":"history","entry":[{"request":{"method":"GET"}}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Bundle"}}]}',
        b'{"resourceType":"Patient"}',
        b"[]",
        b"\xff",
        b"[" * 5000,
    ],
)
def test_no_notification(data: bytes) -> None:
    """What is no notification is None."""
    assert read_notification(data) is None


def test_published_examples(shared_data: Path) -> None:
    """A handshake and a notification by id that a public server sent are read."""
    folder = shared_data / "fhir" / "subscriptions" / "r4"
    greeting = read_notification((folder / "Bundle-notification-handshake.json").read_bytes())
    assert greeting is not None
    assert (greeting.type, greeting.events_since_start, greeting.events) == ("handshake", 0, ())
    told = read_notification((folder / "Bundle-notification-id.json").read_bytes())
    assert told is not None
    assert (told.type, told.status, told.events_since_start) == ("event-notification", "active", 1)
    assert [(one.number, one.focus.rpartition("/")[0][-9:]) for one in told.events] == [(1, "Encounter")]
    assert told.topic.endswith("encounter-complete")


@given(st.binary(max_size=200))
def test_it_never_raises(data: bytes) -> None:
    """Whatever the bytes are, there is an answer."""
    for sent in (data, b'{"resourceType":"Bundle","entry":[{"resource":' + data):
        assert read_notification(sent) is None or isinstance(read_notification(sent), Notification)
